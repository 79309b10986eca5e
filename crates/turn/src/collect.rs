//! ATRN (RFC 2645) and TURN (RFC 821): who may have its mail over its own connection.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use restante_queue::{DomainStats, DrainCause, IndexHealth};
use restante_types::{Domain, Reply};

use crate::desk::TurnDesk;
use crate::events;
use crate::limits::MAX_ATRN_DOMAINS;
use crate::requester::RequesterHop;
use crate::rights::Asker;
use crate::settings::TurnSettings;
use crate::targets::{Queues, queues_of_identity};

/// What the queues of one request hold.
#[derive(Default)]
struct Holding {
    with_mail: Vec<DomainStats>,
    stopped: bool,
}

impl TurnDesk {
    /// Answers ATRN: the domains that have mail, the one with the oldest message first. Nothing is leased yet; at once.
    ///
    /// # Errors
    /// The refusal to send: 530, 450, 451 or 453.
    pub fn atrn(&self, asker: &Asker, named: Vec<Domain>, now: Instant) -> Result<Vec<Domain>, Reply> {
        let settings = self.settings();
        let answer = self.atrn_with(&settings, asker, &named, now);
        events::atrn(asker, &named, &answer);
        self.tell(DrainCause::Atrn, &answer);
        answer
    }

    fn atrn_with(
        &self,
        settings: &TurnSettings,
        asker: &Asker,
        named: &[Domain],
        now: Instant,
    ) -> Result<Vec<Domain>, Reply> {
        // [2645-5.2.1-auth] 530: who are you?
        let Some(identity) = asker.identity.as_deref() else { return Err(auth_first()) };
        in_tls(settings, asker, identity)?;
        let queues = self.allowed(settings, identity, named)?;
        self.ledger().asked(DrainCause::Atrn, &mut queues.keys());
        let holding = self.holding(&queues)?;
        if !holding.with_mail.is_empty() {
            // A redial after a lost line must not have to wait.
            self.polls().forget(&identity.to_owned());
            return Ok(oldest_first(holding.with_mail));
        }
        if holding.stopped {
            // [2645-5.2.1-451] Stopped by the operator: there may be mail, and it may not go.
            return Err(Reply::new(451, (4, 3, 0), "Unable to process ATRN request now"));
        }
        let interval = queues.values().map(|rules| rules.etrn_interval).max().unwrap_or_default();
        Err(self.nothing(identity, interval, now))
    }

    /// [2645-5.2.1-453] 453: allowed, nothing held. [2645-5.2.1-soon] Who was told so and asks again within the interval, with still nothing
    /// there, gets 450 with the time to wait.
    fn nothing(&self, identity: &str, interval: Duration, now: Instant) -> Reply {
        let (mut polls, key) = (self.polls(), identity.to_owned());
        if let Some(wait) = polls.remaining(&key, now) {
            let seconds = wait.as_millis().div_ceil(1000);
            return Reply::new(450, (4, 7, 1), format!("Asked again too soon, try again in {seconds} s"));
        }
        polls.start(&key, now, interval);
        Reply::new(453, (4, 0, 0), "You have no mail")
    }

    /// [2645-5.2.1-450] One domain that is not the asker's own: 450 for all of them, and nothing says which. Without a name, all of
    /// its domains.
    fn allowed<'a>(
        &self,
        settings: &'a TurnSettings,
        identity: &str,
        named: &[Domain],
    ) -> Result<Queues<'a>, Reply> {
        let refused = || Reply::new(450, (4, 7, 1), "ATRN request refused");
        if named.len() > MAX_ATRN_DOMAINS {
            return Err(refused());
        }
        let own = |name: &Domain| {
            let (_, rules) = settings.domains.find(name)?;
            rules.identities.contains(identity).then(|| (name.clone(), rules))
        };
        let queues: Option<Queues<'a>> = match named {
            [] => Some(queues_of_identity(identity, settings, self.store())),
            named => named.iter().map(own).collect(),
        };
        queues.filter(|queues| !queues.is_empty()).ok_or_else(refused)
    }

    /// [2645-5.2.1-451] 451 while the store cannot tell what it holds.
    fn holding(&self, queues: &Queues<'_>) -> Result<Holding, Reply> {
        if self.store().health().index != IndexHealth::Ready {
            return Err(Reply::new(451, (4, 3, 0), "Unable to process ATRN request now"));
        }
        let mut holding = Holding::default();
        for stats in queues.keys().map(|name| self.store().stats(name)) {
            if stats.held.is_some() {
                holding.stopped = true;
            } else if stats.messages > 0 {
                holding.with_mail.push(stats);
            }
        }
        Ok(holding)
    }

    /// Answers TURN, for all domains of the account: those that have mail, the one with the oldest message first. None is
    /// no refusal: the connection turns, and nothing comes.
    ///
    /// # Errors
    /// The refusal to send: 530 before TLS, 502 for everything else.
    pub fn turn(&self, asker: &Asker) -> Result<Vec<Domain>, Reply> {
        let settings = self.settings();
        let answer = self.turn_with(&settings, asker);
        events::turn(asker, &answer);
        self.tell(DrainCause::Turn, &answer);
        answer
    }

    fn tell(&self, cause: DrainCause, answer: &Result<Vec<Domain>, Reply>) {
        self.ledger().answered(cause, answer.as_ref().map_or_else(|reply| reply.code.get(), |_| 250));
    }

    fn turn_with(&self, settings: &TurnSettings, asker: &Asker) -> Result<Vec<Domain>, Reply> {
        // [821-turn-rights] Anonymous TURN gives one site's mail to another; only who proved who it is, and whose account says so.
        let refused = || Reply::new(502, (5, 5, 1), "Command not implemented");
        let identity = self.identity_of(asker).ok_or_else(refused)?;
        if !settings.accounts.get(&identity).is_some_and(|account| account.turn) {
            return Err(refused());
        }
        in_tls(settings, asker, &identity)?;
        let queues = queues_of_identity(&identity, settings, self.store());
        self.ledger().asked(DrainCause::Turn, &mut queues.keys());
        let holding = self.holding(&queues).map_err(|_| refused())?;
        Ok(oldest_first(holding.with_mail))
    }

    /// The account that the asker proved to own, by AUTH or else by its certificate.
    #[must_use]
    pub fn identity_of(&self, asker: &Asker) -> Option<String> {
        if asker.identity.is_some() {
            return asker.identity.clone();
        }
        let fingerprint = asker.tls.as_ref()?.peer_fingerprint?;
        let settings = self.settings();
        let mut accounts = settings.accounts.iter();
        accounts
            .find(|(_, account)| account.certificates.contains(&fingerprint))
            .map(|(name, _)| name.clone())
    }

    /// [1985-requester-revoked] Whether mail may still go to an address that asked: whoever asked owns the queue still, and each certificate
    /// that its server may show is still on file. For addresses that wait for their drain, after a reload.
    #[must_use]
    pub fn may_go_to(&self, hop: &RequesterHop, queue: &Domain) -> bool {
        let settings = self.settings();
        let Some((_, rules)) = settings.domains.find(queue) else { return false };
        let Some(identity) = &hop.identity else { return hop.certificates.is_subset(&rules.certificates) };
        let account = settings.accounts.get(identity).filter(|_| rules.identities.contains(identity));
        account.is_some_and(|account| hop.certificates.is_subset(&account.certificates))
    }

    /// Whether the account owns the queue now. For drains that run, after a reload.
    #[must_use]
    pub fn owns(&self, identity: &str, queue: &Domain) -> bool {
        let settings = self.settings();
        settings.domains.find(queue).is_some_and(|(_, rules)| rules.identities.contains(identity))
    }
}

/// [2645-tls] What an account gets over its own connection goes through TLS, unless it says `allow-cleartext`.
fn in_tls(settings: &TurnSettings, asker: &Asker, identity: &str) -> Result<(), Reply> {
    let may = |name: &str| settings.accounts.get(name).is_some_and(|account| account.allow_cleartext);
    if asker.tls.is_some() || may(identity) {
        return Ok(());
    }
    Err(Reply::new(530, (5, 7, 0), "Must issue a STARTTLS command first"))
}

pub(crate) fn auth_first() -> Reply {
    Reply::new(530, (5, 7, 0), "Authentication required")
}

/// [2645-order] Whatever has waited longest goes first.
fn oldest_first(mut queues: Vec<DomainStats>) -> Vec<Domain> {
    queues.sort_by_key(|stats| (Reverse(stats.oldest.is_some()), stats.oldest));
    queues.into_iter().map(|stats| stats.domain).collect()
}
