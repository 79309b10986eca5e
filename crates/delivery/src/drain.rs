//! One drain of one domain: lease, route, couriers, report.

mod fleet;
mod report;
mod rules;
mod turned;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_queue::{DomainLease, DrainCause, DrainReport, LeaseAnswer, QueueStore};
use restante_smtp::client::limits::WINDOW_START;
use restante_types::{Domain, Reply, UnixMillis};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Clock;
use crate::carrier::{Carrier, Certificates};
use crate::events;
use crate::feed::{AheadBudget, FeedOwner, FeedParts, Source, Tally};
use crate::limits::NOT_SCHEDULED;
use crate::news::{News, Witness};
use crate::notice::Clerk;
use crate::requester::{Requester, Requesters};
use crate::resolve::Lookup;
use crate::returns::Returns;
use crate::route::{self, Hop, NoRoute, Ourselves};
use crate::settings::{DeliverySettings, DomainDelivery, Mode};
use crate::unreached::{Trying, Unreached};
use crate::why::{LastFailure, WhyBook};

use fleet::Fleet;
pub(crate) use fleet::Trouble;
pub(crate) use turned::run as turned;

/// The result of a drain that a shutdown ended.
const SHUTTING_DOWN: &str = "the server was shut down";

/// The result of a drain that had not reached the primary when its customer called.
const GAVE_WAY: &str = "gave way to its customer, which called";

/// The result of a drain that found its domain stopped by its circuit a moment ago.
const CIRCUIT_OPEN: &str = "stopped: too much was refused for good";

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// None was asked for.
    Run,
    /// Finish what is under way, take nothing more.
    Finish,
    /// Drop the connections; record what was said.
    Now,
}

/// What all drains share.
pub(crate) struct Context {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) settings: Arc<ArcSwap<DeliverySettings>>,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) carrier: Arc<dyn Carrier>,
    pub(crate) requesters: Arc<dyn Requesters>,
    pub(crate) witness: Arc<dyn Witness>,
    pub(crate) clock: Clock,
    pub(crate) ahead: AheadBudget,
    pub(crate) unreached: Unreached,
    /// Told of attempts that failed, for `restante why`.
    pub(crate) why: WhyBook,
    pub(crate) returns: Returns,
    pub(crate) clerk: Clerk,
    pub(crate) stop: watch::Receiver<Stop>,
    /// Told that the settings were replaced.
    pub(crate) reloads: watch::Receiver<()>,
}

/// Drains a domain once. Returns a cause when somebody asked again and has not been served.
pub(crate) async fn run(context: Arc<Context>, domain: Domain, cause: DrainCause) -> Option<DrainCause> {
    let lease = match context.store.lease(&domain, cause).await {
        Ok(LeaseAnswer::Leased(lease)) => lease,
        // Its holder has been told to look once more.
        Ok(LeaseAnswer::Busy) => return None,
        Ok(LeaseAnswer::Held) => {
            events::drain_held(&domain, cause);
            return None;
        }
        Err(error) => {
            events::lease_failed(&domain, cause, &error);
            return None;
        }
    };
    let settings = context.settings.load_full();
    let Some((_, delivery)) = settings.domains.find(&domain) else {
        let report = DrainReport { result: "not configured".to_owned(), ..DrainReport::default() };
        context.end(lease, report).await;
        return None;
    };
    if context.returns.is_opening(&domain).await {
        let report = DrainReport { result: CIRCUIT_OPEN.to_owned(), ..DrainReport::default() };
        context.end(lease, report).await;
        return None;
    }
    let unasked = matches!(cause, DrainCause::Schedule | DrainCause::Returned);
    if unasked && delivery.mode == Mode::OnDemand {
        let not_before = Some((context.clock)().plus(NOT_SCHEDULED));
        let report = DrainReport { result: "waits to be asked".to_owned(), not_before, misrouted: false };
        context.end(lease, report).await;
        return None;
    }
    Drain { context: &context, settings: settings.clone(), delivery, domain, cause }.run(lease).await
}

struct Drain<'a> {
    context: &'a Context,
    settings: Arc<DeliverySettings>,
    delivery: &'a DomainDelivery,
    domain: Domain,
    cause: DrainCause,
}

impl Drain<'_> {
    async fn run(self, lease: DomainLease) -> Option<DrainCause> {
        let started = Instant::now();
        if self.cause == DrainCause::Flush {
            self.context.returns.forget_tries(&self.domain);
        }
        let pushes = self.delivery.mode == Mode::Push;
        let retry = pushes.then(|| self.delivery.retry.clone());
        let trying = self.context.unreached.enter(&self.domain);
        let parts = self.context.feed_parts(self.cause);
        let (returns, now) = (&self.context.returns, self.context.now());
        let conduct = returns.begin(&self.domain, Some(self.delivery), true, now);
        let owner = FeedOwner::start(&parts, Source { lease, retry, conduct }, Some(trying.reach()));
        // An empty queue is no reason to knock at the primary's door.
        let ending = if owner.has_more().await {
            events::drain_started(&self.domain, self.cause);
            let ending = self.go(&owner, &trying).await;
            if let Ending::Unreached(trouble) = &ending {
                owner.defer_head(&trouble.reply).await;
            }
            match (ending, owner.put_off()) {
                (Ending::Through, Some(reply)) => Ending::PutOff(reply),
                (ending, _) => ending,
            }
        } else {
            Ending::Through
        };
        let (lease, tally) = owner.finish().await;
        let report = self.report(&ending, &tally);
        events::drain_ended(&self.domain, self.cause, &tally, &report.result, started.elapsed());
        if report.misrouted {
            events::misrouted(&self.domain, &report.result);
            let why = report.result.clone();
            self.context.witness.tell(News::Misrouted { domain: self.domain.clone(), why });
        }
        let lease = lease?;
        let again = self.context.store.asked_again(&lease);
        self.context.end(lease, report).await;
        let other_rules = tally.stopped.as_deref() == Some(rules::CHANGED);
        again.or(other_rules.then_some(self.cause))
    }

    /// Delivers until nothing is left, or until somebody wants it to end.
    async fn go(&self, owner: &FeedOwner, trying: &Trying) -> Ending {
        let mut delivered = pin!(self.deliver(owner));
        let mut changed = pin!(rules::changed(self.context, &self.domain, self.delivery));
        let mut stopped = false;
        loop {
            tokio::select! {
                ending = &mut delivered => return ending,
                // [2645-unreached] Nothing was taken up yet, so what is broken off is a connection at most.
                () = trying.gave_way() => {
                    owner.stop(Some(GAVE_WAY));
                    return Ending::Through;
                }
                // A drain may take days, and no connection is to be opened by rules that its owner took back.
                () = &mut changed, if !stopped => {
                    owner.stop(Some(rules::CHANGED));
                    stopped = true;
                }
            }
        }
    }

    async fn deliver(&self, owner: &FeedOwner) -> Ending {
        // [1985-requester-once] Only who asked by ETRN, and only this once.
        let asked = self.cause == DrainCause::Etrn;
        if let Some(requester) = asked.then(|| self.context.requesters.take(&self.domain)).flatten() {
            return self.deliver_to(owner, requester).await;
        }
        let primary = &self.delivery.primary;
        let route = route::find(&self.context.lookup, &self.settings, &self.domain, primary);
        let mut stop = self.context.stop.clone();
        let route = tokio::select! {
            route = route => route,
            _ = stop.wait_for(|stop| *stop > Stop::Run) => {
                owner.stop(Some(SHUTTING_DOWN));
                return Ending::Through;
            }
        };
        match route {
            Ok(route) => self.travel(owner, route.hops, None).await,
            Err(NoRoute::Misrouted(why)) => {
                self.no_way(&why);
                Ending::Misrouted(why)
            }
            Err(NoRoute::Later(why)) => {
                self.no_way(&why);
                // RFC 3463 3.5: X.4.3, directory server failure
                Ending::unreached(Reply::new(451, (4, 4, 3), why))
            }
        }
    }

    /// Nobody was talked to.
    fn no_way(&self, why: &str) {
        let (at, verdict) = ((self.context.clock)(), why.to_owned());
        let failure = LastFailure { at, hop: String::new(), verdict, dialogue: Vec::new() };
        self.context.why.record(self.domain.clone(), failure);
    }

    /// [1985-requester] To the address that asked, which must show its certificate.
    async fn deliver_to(&self, owner: &FeedOwner, requester: Requester) -> Ending {
        let Requester { address, certificates } = requester;
        if Ourselves::new(&self.settings).is_address(address.ip()) {
            let reply = Reply::new(450, (4, 4, 6), "the address that asked is our own");
            return Ending::unreached(reply);
        }
        let source = route::source(&self.settings, Some(self.delivery), address.ip());
        let hop = Hop::literal(address, source);
        self.travel(owner, vec![hop], Some(certificates.into())).await
    }

    /// Fleet after fleet, as long as the last one went through and there is more.
    async fn travel(&self, owner: &FeedOwner, hops: Vec<Hop>, certificates: Option<Certificates>) -> Ending {
        let mut fleet = Fleet::new(self.context, &self.settings, self.delivery, owner, (hops, certificates));
        loop {
            let mut stop = self.context.stop.clone();
            tokio::select! {
                () = owner.until_open() => {}
                _ = stop.wait_for(|stop| *stop > Stop::Run) => {
                    owner.stop(Some(SHUTTING_DOWN));
                    return Ending::Through;
                }
            }
            let before = owner.tally();
            let trouble = fleet.travel(&mut |hop| self.returned(hop)).await;
            if let Some(Trouble { ourselves: true, reply }) = trouble {
                // Notices to such a place are tried until they are too old; nobody needs to act.
                let notices = self.domain.notices_to().is_some();
                return if notices { Ending::unreached(reply) } else { Ending::Misrouted(reply.to_string()) };
            }
            // Others of the fleet may have carried what a broken one put back.
            if !owner.has_more().await {
                return Ending::Through;
            }
            let tally = owner.tally();
            let (answered, taken) = (tally.messages - before.messages, tally.delivered > before.delivered);
            match trouble {
                None if answered > 0 => {}
                // A primary that takes so many messages on one connection and no more; the next one goes on.
                Some(trouble) if taken && trouble.reply.code.get() == 421 => {}
                // The same, where we never saw its 421: who closes over commands that were not read resets the connection.
                // What stood unanswered comes again: on each connection as much as it took, or a first window. So it has to
                // have taken no less than those.
                Some(trouble) if taken && trouble.is_lost() && answered >= self.first_windows() => {}
                // One that does not wait for the next minute's share; there is one more for each message it takes.
                Some(trouble) if taken && owner.has_rate() && !trouble.is_refused_connection() => {}
                Some(trouble) => {
                    // Notices go to as many places as strangers like, and have their retries.
                    if self.delivery.mode == Mode::Push && self.domain.notices_to().is_none() {
                        self.context.returns.waits_for(&self.domain, fleet.addresses());
                    }
                    return Ending::Unreached(trouble);
                }
                None => {
                    let reply = Reply::new(451, (4, 4, 2), "the connection ended without a message");
                    return Ending::unreached(reply);
                }
            }
        }
    }

    /// Messages that may stand unanswered on all its connections together before any was taken.
    fn first_windows(&self) -> u64 {
        self.delivery.connections.max(1).saturating_mul(WINDOW_START) as u64
    }

    /// A next hop takes mail, for the first time in this drain. What waited for it goes at once; of this domain
    /// too, where only what was due was looked at.
    fn returned(&self, hop: SocketAddr) {
        for domain in self.context.returns.answers(hop, &self.domain) {
            let settings = self.context.settings.load();
            let pushed = settings.domains.find(&domain).is_some_and(|(_, other)| other.mode == Mode::Push);
            let asked = domain == self.domain && self.cause != DrainCause::Schedule;
            if pushed && !asked && self.context.store.start_drain(&domain, DrainCause::Returned).is_ok() {
                events::returned(&domain, hop);
            }
        }
        self.context.returns.reached(&self.domain);
    }

    fn report(&self, ending: &Ending, tally: &Tally) -> DrainReport {
        let (returns, now) = (&self.context.returns, self.context.now());
        self.context.note_answers(&self.domain, tally);
        let progress = tally.delivered + tally.failed > 0;
        let missed = match ending {
            Ending::Unreached(trouble) => Some(&trouble.reply),
            Ending::PutOff(reply) => Some(reply),
            Ending::Through | Ending::Misrouted(_) => None,
        };
        let scheduled = self.delivery.mode == Mode::Push || self.cause == DrainCause::Schedule;
        let earlier = missed.map(|reply| returns.unreached(&self.domain, reply, progress, now));
        let wait = |earlier| now.plus(self.delivery.retry.wait(earlier, rand::random()));
        let not_before = earlier.filter(|_| scheduled).map(wait);
        DrainReport {
            result: report::sentence(ending, tally),
            not_before,
            misrouted: matches!(ending, Ending::Misrouted(_)),
        }
    }
}

/// How a drain went, the outcomes of single messages apart.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Everything was tried, or the feed was stopped.
    Through,
    /// The primary was not reached, or the connection broke with work left.
    Unreached(Trouble),
    /// After an outage: it was reached, and put off one message after the other.
    PutOff(Reply),
    /// There is no way but through ourselves, or none at all.
    Misrouted(String),
}

impl Ending {
    const fn unreached(reply: Reply) -> Self {
        Self::Unreached(Trouble { reply, ourselves: false })
    }
}

impl Context {
    fn feed_parts(&self, cause: DrainCause) -> FeedParts {
        let (store, clock, budget) = (self.store.clone(), self.clock.clone(), self.ahead.clone());
        FeedParts { store, cause, clock, budget, clerk: self.clerk.clone() }
    }

    async fn end(&self, lease: DomainLease, report: DrainReport) {
        let domain = lease.domain().clone();
        if let Err(error) = self.store.end_lease(lease, report).await {
            events::report_failed(&domain, &error);
        }
        self.returns.settle_up(&domain);
    }

    /// Whoever answers for good is there, also one that called us.
    fn note_answers(&self, domain: &Domain, tally: &Tally) {
        if tally.delivered + tally.failed > 0 {
            self.returns.answered(domain, tally.delivered > 0, self.now());
            self.returns.reached(domain);
        }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        (self.clock)()
    }
}
