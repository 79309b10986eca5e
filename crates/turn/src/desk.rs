//! Where asking is answered.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use restante_queue::{DrainCause, QueueStore, Started, StoreError};
use restante_smtp::{EtrnAnswer, EtrnTarget};
use restante_types::{Domain, Network, Reply};

use crate::collect::auth_first;
use crate::events;
use crate::flush::FlushError;
use crate::interval::{Intervals, Pair};
use crate::ledger::{Ledger, Unkept};
use crate::limits::REFUSED_LOOK;
use crate::pace::Pace;
use crate::requester::{self, RequesterHop, RequesterHops};
use crate::rights::{Asker, PrimaryAddresses, Right, may_be_primary_below, right_of};
use crate::settings::{DomainTurn, EtrnFrom, EtrnReply, TurnSettings};
use crate::targets::{Queues, add_queues_below, parents_of, queues_of};

/// Answers who may ask for which queue, and starts the queues of those who may.
pub struct TurnDesk {
    store: Arc<dyn QueueStore>,
    primaries: Arc<dyn PrimaryAddresses>,
    settings: ArcSwap<TurnSettings>,
    intervals: Mutex<Intervals<Pair>>,
    /// Networks that looked below a configured domain and were refused.
    refused: Mutex<Intervals<Pair>>,
    /// Refusals that are told one by one.
    refusals: Pace,
    /// Askers of ATRN who were told that there is nothing, by identity.
    polls: Mutex<Intervals<String>>,
    requesters: Arc<RequesterHops>,
    ledger: Arc<dyn Ledger>,
    /// The rules of a node that is not held here: nobody may ask.
    nobody: DomainTurn,
}

impl fmt::Debug for TurnDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnDesk").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A queue that the asker may ask for.
struct Permitted<'a> {
    queue: Domain,
    rules: &'a DomainTurn,
    right: Right,
    /// Where its mail goes, if not to the primary on file.
    hop: Option<RequesterHop>,
}

/// What starting the permitted queues came to.
#[derive(Default)]
struct Tally {
    started: usize,
    messages: u64,
    held: Option<String>,
    too_soon: Option<Duration>,
    error: Option<StoreError>,
}

impl TurnDesk {
    /// A desk over a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn QueueStore>,
        primaries: Arc<dyn PrimaryAddresses>,
        settings: TurnSettings,
    ) -> Self {
        Self {
            store,
            primaries,
            settings: ArcSwap::from_pointee(settings),
            intervals: Mutex::default(),
            refused: Mutex::default(),
            refusals: Pace::default(),
            polls: Mutex::default(),
            requesters: Arc::default(),
            ledger: Arc::new(Unkept),
            nobody: DomainTurn::default(),
        }
    }

    /// Keeps the addresses of requesters there; a drain may look for them before the desk is made.
    #[must_use]
    pub fn with_requesters(mut self, requesters: Arc<RequesterHops>) -> Self {
        self.requesters = requesters;
        self
    }

    /// Tells it of every request and answer.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = ledger;
        self
    }

    pub(crate) fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// Takes a new configuration; requests that come from now on are judged by it.
    pub fn reload(&self, settings: TurnSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Answers ETRN (RFC 1985 5.1) at once; no drain and no name resolution is waited for.
    ///
    /// # Errors
    /// The refusal to send: 459 4.7.1, the same for what is not held here and for what the asker may not ask for;
    /// 458 4.3.0 when it may, but not now; 530 where the domain asks for AUTH.
    pub fn etrn(&self, asker: &Asker, target: &EtrnTarget, now: Instant) -> Result<EtrnAnswer, Reply> {
        let answer = self.decide_etrn(asker, target, now);
        let code = match &answer {
            Ok(EtrnAnswer::Started) => 250,
            Ok(EtrnAnswer::NothingWaiting) => 251,
            Ok(EtrnAnswer::Pending) => 252,
            Ok(EtrnAnswer::PendingCount(_)) => 253,
            Err(reply) => reply.code.get(),
        };
        self.ledger.answered(DrainCause::Etrn, code);
        answer
    }

    fn decide_etrn(&self, asker: &Asker, target: &EtrnTarget, now: Instant) -> Result<EtrnAnswer, Reply> {
        // [1985-5.1-at-once] All of this is in memory; the mail flows later, on another connection.
        let settings = self.settings.load();
        let mut queues = queues_of(target, &settings, &self.nobody);
        // [1985-5.1-decision] Authorisation comes before every other check, so that a stranger learns nothing from the others.
        let parents = parents_of(target, &queues, &settings);
        let looks_below = self.may_look_below(asker, &parents, now);
        if looks_below {
            add_queues_below(&mut queues, target, &settings, &*self.store);
        }
        let wants_auth = wants_auth(asker, &queues);
        let permitted = self.permitted(asker, queues, &settings, now);
        let Some(right) = permitted.iter().map(|one| one.right).min() else {
            if looks_below {
                self.remember_refusal(asker, &parents, now);
            }
            if let Some(untold) = self.refusals.worth_telling(Network::of_client(asker.address), now) {
                events::etrn_refused(asker, target, self.rules_of(target, &settings), untold);
            }
            if wants_auth {
                return Err(auth_first());
            }
            // [1985-5.1-459] One text for unknown and forbidden.
            return Err(Reply::new(459, (4, 7, 1), "Node not allowed: not held here, or not for you"));
        };
        self.ledger.asked(DrainCause::Etrn, &mut permitted.iter().map(|one| &one.queue));
        let tally = self.start(asker, &permitted, now);
        if tally.started == 0 {
            return Err(not_now(asker, target, tally));
        }
        let answer = answer_for(&permitted, right, tally.messages);
        events::etrn(asker, target, right, tally.messages, answer);
        Ok(answer)
    }

    /// Starts a drain for the operator; rights and interval do not apply.
    ///
    /// # Errors
    /// [`FlushError`] when the domain is unknown or stopped, or the store cannot start it now.
    pub fn flush(&self, domain: &Domain) -> Result<Started, FlushError> {
        let stats = self.store.stats(domain);
        let known = stats.messages > 0 || self.settings.load().domains.find(domain).is_some();
        if let Some(note) = stats.held {
            return Err(FlushError::Held(note));
        }
        if !known {
            return Err(FlushError::Unknown);
        }
        let started = self.store.start_drain(domain, DrainCause::Flush)?;
        events::flush(domain, started.messages, started.running);
        Ok(started)
    }

    fn permitted<'a>(
        &self,
        asker: &Asker,
        queues: Queues<'a>,
        settings: &TurnSettings,
        now: Instant,
    ) -> Vec<Permitted<'a>> {
        let judge = |(queue, rules): (Domain, &'a DomainTurn)| {
            let right = right_of(asker, &queue, rules, &*self.primaries)?;
            // [1985-requester] Only who proved to own the domain gets its mail to where it is; for others it goes to the primary on file.
            let port = rules.requester_port.filter(|_| right == Right::Owner);
            let hop = port.map(|port| requester::hop(asker, port, settings, now)).transpose();
            let hop = hop.map_err(|why| events::requester_refused(asker, &queue, why)).ok()?;
            Some(Permitted { queue, rules, right, hop })
        };
        queues.into_iter().filter_map(judge).collect()
    }

    /// Whether the queues below these domains are worth a walk over the store: not for a stranger, whose `@` must cost
    /// and take no more than one for a name that nobody knows.
    fn may_look_below(&self, asker: &Asker, parents: &Queues<'_>, now: Instant) -> bool {
        let network = Network::of_client(asker.address);
        parents.iter().any(|(name, rules)| {
            right_of(asker, name, rules, &*self.primaries).is_some()
                || (may_be_primary_below(rules)
                    && self.refused().remaining(&((*name).clone(), network), now).is_none())
        })
    }

    fn remember_refusal(&self, asker: &Asker, parents: &Queues<'_>, now: Instant) {
        let network = Network::of_client(asker.address);
        let mut refused = self.refused();
        for name in parents.keys() {
            refused.start(&(name.clone(), network), now, REFUSED_LOOK);
        }
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, Intervals<Pair>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rules to suggest a change to.
    fn rules_of<'a>(&self, target: &EtrnTarget, settings: &'a TurnSettings) -> Option<&'a DomainTurn> {
        let name = match target {
            EtrnTarget::Node(name) | EtrnTarget::Subtree(name) => name,
            EtrnTarget::Group(name) => settings.groups.get(&name.to_ascii_lowercase())?.first()?,
        };
        settings.domains.find(name).map(|(_, rules)| rules)
    }

    /// Starts what may be started. A queue that was started a moment ago still counts in what is pending.
    fn start(&self, asker: &Asker, permitted: &[Permitted<'_>], now: Instant) -> Tally {
        let network = Network::of_client(asker.address);
        let mut tally = Tally::default();
        for one in permitted {
            let stats = self.store.stats(&one.queue);
            if let Some(note) = stats.held {
                tally.held = Some(note.reason);
                continue;
            }
            if let Some(wait) = self.wait_of(one, network, now) {
                tally.too_soon = Some(tally.too_soon.map_or(wait, |other| other.min(wait)));
                tally.messages += stats.messages;
                continue;
            }
            // Before the drain, which may look at once.
            if !one.hop.as_ref().is_none_or(|hop| self.requesters.put(&one.queue, hop.clone(), now)) {
                tally.error = Some(StoreError::Unavailable("too many requesters at one time".into()));
                continue;
            }
            match self.store.start_drain(&one.queue, DrainCause::Etrn) {
                Ok(started) => {
                    tally.started += 1;
                    tally.messages += started.messages;
                    self.begin_interval(one, network, now);
                }
                Err(error) => tally.error = Some(error),
            }
        }
        tally
    }

    /// [1985-5.1-interval] Who proved an identity need not wait between requests.
    fn wait_of(&self, one: &Permitted<'_>, network: Network, now: Instant) -> Option<Duration> {
        if one.right == Right::Owner {
            return None;
        }
        self.intervals().remaining(&(one.queue.clone(), network), now)
    }

    fn begin_interval(&self, one: &Permitted<'_>, network: Network, now: Instant) {
        if one.right != Right::Owner {
            self.intervals().start(&(one.queue.clone(), network), now, one.rules.etrn_interval);
        }
    }

    fn intervals(&self) -> MutexGuard<'_, Intervals<Pair>> {
        self.intervals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn polls(&self) -> MutexGuard<'_, Intervals<String>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settings(&self) -> Arc<TurnSettings> {
        self.settings.load_full()
    }

    pub(crate) fn store(&self) -> &dyn QueueStore {
        &*self.store
    }

    /// The addresses of requesters that wait for their drains; for whoever runs drains that an ETRN started.
    #[must_use]
    pub fn requesters(&self) -> Arc<RequesterHops> {
        Arc::clone(&self.requesters)
    }
}

/// [1985-530] 530: a domain asks for AUTH, and the asker has not proved anything yet.
fn wants_auth(asker: &Asker, queues: &Queues<'_>) -> bool {
    asker.identity.is_none() && queues.values().any(|rules| rules.etrn_from.contains(&EtrnFrom::Auth))
}

/// [1985-5.1-458] 458: the asker may ask, but nothing could be started now. Trouble weighs more than haste.
fn not_now(asker: &Asker, target: &EtrnTarget, tally: Tally) -> Reply {
    let refusal = |text: String| Reply::new(458, (4, 3, 0), text);
    if let Some(error) = tally.error {
        events::etrn_unavailable(asker, target, &error);
        return refusal("Unable to queue messages now, try again later".into());
    }
    if let Some(wait) = tally.too_soon {
        events::etrn_too_soon(asker, target, wait);
        return refusal(format!("Asked again too soon, try again in {} s", wait.as_millis().div_ceil(1000)));
    }
    events::etrn_held(asker, target, &tally.held.unwrap_or_default());
    refusal("Unable to queue messages now, delivery is stopped".into())
}

/// How much the reply tells: the most reticent of the queues decides, and who is allowed only as anybody gets 250.
fn answer_for(permitted: &[Permitted<'_>], right: Right, messages: u64) -> EtrnAnswer {
    let all = |reply: EtrnReply| permitted.iter().all(|one| one.rules.etrn_reply == reply);
    let any = |reply: EtrnReply| permitted.iter().any(|one| one.rules.etrn_reply == reply);
    // [1985-5.1-250] 250 tells nothing.
    if right == Right::Anybody || any(EtrnReply::Plain) {
        return EtrnAnswer::Started;
    }
    if messages == 0 {
        // [1985-5.1-251] 251 only to who is known to bear it: fetchmail stops asking at the first one.
        let bears_251 = all(EtrnReply::Truthful) || right == Right::Owner;
        return if bears_251 { EtrnAnswer::NothingWaiting } else { EtrnAnswer::Started };
    }
    // [1985-5.1-252] withholds the count, [1985-5.1-253] tells it.
    if any(EtrnReply::Uncounted) { EtrnAnswer::Pending } else { EtrnAnswer::PendingCount(messages) }
}
