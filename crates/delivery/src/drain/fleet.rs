//! The couriers of one drain: one first, more as long as they pay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use restante_smtp::Transcript;
use restante_types::{EnhancedStatusCode, Reply};
use tokio::task::{JoinError, JoinSet};

use super::{Context, Stop};
use crate::Clock;
use crate::carrier::{Carrier, Certificates, Errand, Trip};
use crate::courier::REFUSED;
use crate::events;
use crate::feed::{Feed, FeedOwner};
use crate::limits::{CONNECT_TIMEOUT, CONNECT_TIMEOUT_SHORT, RAMP, WORTH_A_CONNECTION};
use crate::route::Hop;
use crate::settings::{DeliverySettings, DomainDelivery};
use crate::why::WhyBook;

/// Why a courier did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What the primary said, or what we say for it.
    pub(crate) reply: Reply,
    /// It was ourselves who answered.
    pub(crate) ourselves: bool,
}

impl Trouble {
    /// Whether no connection to this server will do better.
    fn is_for_all(&self) -> bool {
        self.ourselves || self.is_refused_connection() || self.reply.code.get() == 421
    }

    /// Whether nobody listens there any more. RFC 3463 3.5: X.4.1, no answer from host
    pub(crate) fn is_refused_connection(&self) -> bool {
        self.reply.enhanced == Some(EnhancedStatusCode(4, 4, 1)) && self.reply.text.starts_with(REFUSED)
    }

    /// Whether a connection ended, or fell silent, in the midst. RFC 3463 3.5: X.4.2, bad connection
    pub(crate) fn is_lost(&self) -> bool {
        self.reply.enhanced == Some(EnhancedStatusCode(4, 4, 2))
    }
}

pub(super) struct Fleet<'a> {
    context: &'a Context,
    owner: &'a FeedOwner,
    limit: usize,
    /// Somebody was told that the next hop takes mail.
    told: bool,
    plan: Plan,
}

/// What every courier of the fleet gets.
#[derive(Clone)]
struct Plan {
    carrier: Arc<dyn Carrier>,
    why: WhyBook,
    clock: Clock,
    settings: Arc<DeliverySettings>,
    delivery: Arc<DomainDelivery>,
    certificates: Option<Certificates>,
    hops: Arc<[Hop]>,
    /// The address the last courier tried: the ones before it have failed, so that nobody tries them once more.
    current: Arc<AtomicUsize>,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(
        context: &'a Context,
        settings: &Arc<DeliverySettings>,
        delivery: &DomainDelivery,
        owner: &'a FeedOwner,
        (hops, certificates): (Vec<Hop>, Option<Certificates>),
    ) -> Self {
        let plan = Plan {
            carrier: context.carrier.clone(),
            why: context.why.clone(),
            clock: context.clock.clone(),
            settings: settings.clone(),
            delivery: Arc::new(delivery.clone()),
            certificates,
            hops: hops.into(),
            current: Arc::default(),
        };
        Self { context, owner, limit: delivery.connections.max(1), told: false, plan }
    }

    /// Where it goes.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.plan.hops.iter().map(|hop| hop.address)
    }

    /// Sends couriers until all of them are back; returns the first trouble that one met. Tells `takes` once which
    /// next hop took a message.
    ///
    /// [5321-3.8-drain] 421 to one of them, and nobody listening any more, ends them all: what is under way is
    /// finished, nothing more is taken up. Where a connection breaks, or a further one is not wanted, the others go on
    /// without it.
    pub(super) async fn travel(&mut self, takes: &mut (dyn FnMut(SocketAddr) + Send)) -> Option<Trouble> {
        self.owner.resume();
        let mut stop = self.context.stop.clone();
        let mut finished = self.owner.finished();
        let before = *finished.borrow_and_update();
        let mut trips = JoinSet::new();
        let (mut started, mut trouble, mut level) = (0_u64, None, Stop::Run);
        loop {
            self.tell(takes);
            if started == 0 || (trouble.is_none() && self.pays(started, *finished.borrow() - before)) {
                trips.spawn(travel(self.plan.clone(), self.owner.feed()));
                started += 1;
            }
            let may_grow = trouble.is_none() && started < self.limit as u64;
            tokio::select! {
                trip = trips.join_next() => match trip {
                    Some(trip) if !trips.is_empty() && is_not_wanted(&trip) => {
                        self.limit = trips.len();
                    }
                    Some(trip) => {
                        trouble = trouble.or(trouble_of(trip));
                        if trouble.as_ref().is_some_and(Trouble::is_for_all) {
                            self.owner.pause();
                        }
                    }
                    None => return trouble,
                },
                Ok(()) = finished.changed(), if may_grow || !self.told => {}
                Ok(stop) = stop.wait_for(|stop| *stop > level), if level < Stop::Now => {
                    level = *stop;
                    self.owner.stop(Some(super::SHUTTING_DOWN));
                    if level == Stop::Now {
                        trips.abort_all();
                    }
                }
            }
        }
    }

    /// Whether one more courier should go: those on the way work, and there is enough for another.
    fn pays(&self, started: u64, finished: u64) -> bool {
        started < self.limit as u64
            && finished >= started * RAMP
            && self.owner.backlog() >= WORTH_A_CONNECTION
            && self.owner.fills(usize::try_from(started).unwrap_or(usize::MAX))
    }

    fn tell(&mut self, takes: &mut (dyn FnMut(SocketAddr) + Send)) {
        if !self.told && self.owner.tally().delivered > 0 {
            self.told = true;
            if let Some(hop) = self.plan.hops.get(self.plan.current.load(Ordering::Relaxed)) {
                takes(hop.address);
            }
        }
    }
}

/// Whether one more connection was turned away by a server that listens.
fn is_not_wanted(trip: &Result<Trip, JoinError>) -> bool {
    let Ok(Trip::Unused(reply)) = trip else { return false };
    !Trouble { reply: reply.clone(), ourselves: false }.is_refused_connection()
}

fn trouble_of(trip: Result<Trip, JoinError>) -> Option<Trouble> {
    match trip {
        Ok(Trip::Finished) => None,
        Ok(Trip::Unused(reply) | Trip::Broken(reply)) => Some(Trouble { reply, ourselves: false }),
        Ok(Trip::Ourselves) => {
            // RFC 3463 3.5: X.4.6, routing loop detected
            let reply = Reply::new(550, (5, 4, 6), "the primary greets with our own name");
            Some(Trouble { reply, ourselves: true })
        }
        // Cut off at the end of a shutdown's grace: nobody's fault.
        Err(error) if error.is_cancelled() => None,
        Err(error) => {
            events::task_lost(&error);
            let reply = Reply::new(451, (4, 3, 0), "interrupted");
            Some(Trouble { reply, ourselves: false })
        }
    }
}

/// What was wrong, if it ended badly.
fn verdict(trip: &Trip) -> Option<String> {
    match trip {
        Trip::Finished => None,
        Trip::Unused(reply) | Trip::Broken(reply) => Some(reply.to_string()),
        Trip::Ourselves => Some("it greets with our own name: the way to the primary leads to us".to_owned()),
    }
}

/// One courier's way: [5321-5.1-each] the addresses in turn until one takes the connection.
async fn travel(plan: Plan, feed: Feed) -> Trip {
    let mut last = Trip::Finished;
    let first = plan.current.load(Ordering::Relaxed);
    for (index, hop) in plan.hops.iter().enumerate().skip(first) {
        if feed.is_stopped() {
            return Trip::Finished;
        }
        plan.current.fetch_max(index, Ordering::Relaxed);
        let more = index + 1 < plan.hops.len();
        let transcript = Transcript::default();
        let trip = plan
            .carrier
            .carry(Errand {
                settings: plan.settings.clone(),
                delivery: plan.delivery.clone(),
                certificates: plan.certificates.clone(),
                hop: hop.clone(),
                connect_timeout: if more { CONNECT_TIMEOUT_SHORT } else { CONNECT_TIMEOUT },
                feed: feed.clone(),
                transcript: transcript.clone(),
            })
            .await;
        plan.why.tell(feed.domain(), hop.to_string(), (plan.clock)(), verdict(&trip), &transcript);
        match trip {
            Trip::Unused(reply) => {
                events::connect_failed(feed.domain(), hop, &reply);
                last = Trip::Unused(reply);
            }
            // We stand behind a better MX that cannot be reached now: that is its trouble, no loop.
            Trip::Ourselves if hop.preference > plan.hops[0].preference => return last,
            trip => return trip,
        }
    }
    last
}
