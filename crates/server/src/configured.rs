//! The authority that answers from the configuration and from the state of the store.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use restante_queue::{Destination, HoldNote, QueueStore};
use restante_smtp::{
    ContentFacts, EtrnAnswer, EtrnTarget, Evidence, Identity, MailCommand, RcptCommand, ScramKeys,
    Transaction,
};
use restante_turn::{Accounts, Asker, AuthFailure, Peer, TurnDesk};
use restante_types::{ClientFacts, Domain, DomainMap, Envelope, Recipient, Reply, UnixMillis};

use crate::authority::{Authority, Collect, Decision};
use crate::events;
use crate::pool::Pool;
use crate::recipients::{self, Held};
use crate::refused::Refused;
use crate::replies;
use crate::settings::{HeldDomain, ServerSettings};
use crate::subtrees::Subtrees;

/// Holds mail for the configured domains and for nobody else.
pub struct ConfiguredAuthority {
    settings: ArcSwap<ServerSettings>,
    store: Arc<dyn QueueStore>,
    desk: Arc<TurnDesk>,
    accounts: Arc<Accounts>,
    pool: Pool,
    subtrees: Subtrees,
}

/// Whether there may be a queue below a domain: [`Subtrees::make_room`] or [`Subtrees::has_room`].
type AskForRoom =
    fn(&Subtrees, &dyn QueueStore, &DomainMap<HeldDomain>, (&Domain, &Domain), usize, Instant) -> bool;

impl fmt::Debug for ConfiguredAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredAuthority").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ConfiguredAuthority {
    /// Answers from these settings, this store, this desk and these accounts.
    #[must_use]
    pub fn new(
        settings: Arc<ServerSettings>,
        store: Arc<dyn QueueStore>,
        desk: Arc<TurnDesk>,
        accounts: Arc<Accounts>,
    ) -> Self {
        let (settings, pool, subtrees) = (ArcSwap::new(settings), Pool::default(), Subtrees::default());
        Self { settings, store, desk, accounts, pool, subtrees }
    }

    /// Answers from other settings from now on, also in sessions that run.
    pub fn reload(&self, settings: Arc<ServerSettings>) {
        self.settings.store(settings);
        self.subtrees.clear();
    }

    fn recipient(&self, transaction: &Transaction, command: &RcptCommand) -> Result<Recipient, Refused> {
        let settings = self.settings.load();
        let found = self.find(&settings, transaction, command)?;
        if found.queue != *found.configured {
            self.has_place(&settings, &found, Subtrees::make_room)?;
        }
        Ok(found.recipient)
    }

    /// As if it came, without a place being taken for it: its queue, the configured domain that it was found by, and
    /// the stop of the queue.
    pub(crate) fn would_take(
        &self,
        transaction: &Transaction,
        command: &RcptCommand,
    ) -> Result<(Domain, Domain, Option<HoldNote>), Refused> {
        let settings = self.settings.load();
        let found = self.find(&settings, transaction, command)?;
        if found.queue != *found.configured {
            self.has_place(&settings, &found, Subtrees::has_room)?;
        }
        let stop = self.store.stats(&found.queue).held;
        Ok((found.queue, found.configured.clone(), stop))
    }

    fn find<'a>(
        &self,
        settings: &'a ServerSettings,
        transaction: &Transaction,
        command: &RcptCommand,
    ) -> Result<Held<'a>, Refused> {
        let found = recipients::find(settings, transaction, command)?;
        let size = transaction.declared_size.unwrap_or(0);
        self.store.ready_for_mail(size).map_err(Refused::Store)?;
        self.within_quota(settings, &found, size)?;
        Ok(found)
    }

    /// Quotas are looked at here and not again when the content has come: a domain may go over by what was under
    /// way. Refusing a message that was sent in full would cost its sender more than it saves us.
    fn within_quota(&self, settings: &ServerSettings, found: &Held<'_>, size: u64) -> Result<(), Refused> {
        let Some(quota) = found.held.quota else { return Ok(()) };
        let held = if found.held.subdomains {
            self.subtrees.bytes(&*self.store, &settings.domains, found.configured, Instant::now())
        } else {
            self.store.stats(&found.queue).bytes
        };
        if held.saturating_add(size.max(1)) > quota {
            return Err(Refused::OverQuota { domain: found.configured.clone(), held, quota });
        }
        Ok(())
    }

    fn has_place(&self, settings: &ServerSettings, found: &Held<'_>, ask: AskForRoom) -> Result<(), Refused> {
        let (top, most) = (found.configured, settings.limits.max_subdomains);
        let (names, now) = ((top, &found.queue), Instant::now());
        if ask(&self.subtrees, &*self.store, &settings.domains, names, most, now) {
            return Ok(());
        }
        Err(Refused::TooManyQueues { domain: top.clone(), most })
    }

    fn destinations(&self, envelope: &Envelope, arrived: UnixMillis) -> Result<Vec<Destination>, Reply> {
        let settings = self.settings.load();
        let mut destinations: Vec<Destination> = Vec::new();
        for (index, recipient) in (0..=u16::MAX).zip(&envelope.recipients) {
            let Some(domain) = recipient.mailbox.domain() else { return Err(replies::relaying()) };
            match destinations.iter_mut().find(|destination| destination.domain == *domain) {
                Some(destination) => destination.recipients.push(index),
                None => destinations.push(destination(&settings, domain, index, arrived)?),
            }
        }
        Ok(destinations)
    }
}

fn destination(
    settings: &ServerSettings,
    domain: &Domain,
    index: u16,
    arrived: UnixMillis,
) -> Result<Destination, Reply> {
    // Gone from the configuration since RCPT: whoever sends tries again, and is told then.
    let Some((_, held)) = settings.domains.find(domain) else { return Err(replies::lost_domain()) };
    let first_attempt = held.push.then_some(arrived);
    Ok(Destination { domain: domain.clone(), recipients: vec![index], first_attempt, dead: false })
}

fn asker(client: &ClientFacts) -> Asker {
    Asker { address: client.address, identity: client.identity.clone(), tls: client.tls.clone() }
}

impl Authority for ConfiguredAuthority {
    fn connect<'a>(&'a self, _client: &'a ClientFacts) -> Decision<'a, ()> {
        Decision::Now(Ok(()))
    }

    fn mail<'a>(&'a self, _client: &'a ClientFacts, _mail: &'a MailCommand) -> Decision<'a, ()> {
        Decision::Now(Ok(()))
    }

    fn rcpt<'a>(
        &'a self,
        _client: &'a ClientFacts,
        transaction: &'a Transaction,
        rcpt: &'a RcptCommand,
    ) -> Decision<'a, Recipient> {
        Decision::Now(self.recipient(transaction, rcpt).map_err(|why| why.reply()))
    }

    fn begin<'a>(&'a self, _client: &'a ClientFacts, transaction: &'a Transaction) -> Decision<'a, ()> {
        let ready = self.store.ready_for_mail(transaction.declared_size.unwrap_or(0));
        Decision::Now(ready.map_err(|error| replies::store(&error)))
    }

    fn content<'a>(
        &'a self,
        _client: &'a ClientFacts,
        envelope: &'a Envelope,
        _facts: ContentFacts,
        arrived: UnixMillis,
    ) -> Decision<'a, Vec<Destination>> {
        Decision::Now(self.destinations(envelope, arrived))
    }

    fn etrn<'a>(
        &'a self,
        client: &'a ClientFacts,
        target: &'a EtrnTarget,
        now: Instant,
    ) -> Decision<'a, EtrnAnswer> {
        Decision::Now(self.desk.etrn(&asker(client), target, now))
    }

    fn scram_keys<'a>(&'a self, peer: &'a Peer, name: &'a str, now: Instant) -> Decision<'a, ScramKeys> {
        Decision::Now(self.accounts.scram_keys(name, peer, now).map_err(AuthFailure::reply))
    }

    fn auth<'a>(&'a self, peer: Peer, evidence: Evidence, now: Instant) -> Decision<'a, Identity> {
        if !evidence.mechanism().shows_password() {
            return Decision::Now(self.accounts.check(&evidence, &peer, now).map_err(AuthFailure::reply));
        }
        // [4954-4-alike-pool] Only here keys are derived from a password, which takes a processor for a while.
        let accounts = Arc::clone(&self.accounts);
        Decision::Later(Box::pin(async move {
            let checked = self.pool.run(move || accounts.check(&evidence, &peer, now)).await;
            match checked {
                Some(checked) => checked.map_err(AuthFailure::reply),
                None => {
                    events::too_many_logins();
                    Err(replies::too_many_logins())
                }
            }
        }))
    }

    fn atrn<'a>(
        &'a self,
        client: &'a ClientFacts,
        named: Vec<Domain>,
        now: Instant,
    ) -> Decision<'a, Collect> {
        let asker = asker(client);
        let domains = self.desk.atrn(&asker, named, now);
        Decision::Now(
            domains.map(|domains| Collect { identity: asker.identity.unwrap_or_default(), domains }),
        )
    }

    fn turn<'a>(&'a self, client: &'a ClientFacts) -> Decision<'a, Collect> {
        let asker = asker(client);
        let domains = self.desk.turn(&asker);
        let identity = self.desk.identity_of(&asker).ok_or_else(replies::no_turn);
        Decision::Now(domains.and_then(|domains| Ok(Collect { identity: identity?, domains })))
    }

    fn owns(&self, identity: &str, domain: &Domain) -> bool {
        self.desk.owns(identity, domain)
    }
}
