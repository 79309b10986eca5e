//! Where couriers take their work from: one feed per drain, fed from the one lease of its domain, or, on a connection
//! that was turned, from the leases of several.
//!
//! Pages are read ahead of the couriers and outcomes are settled behind them in batches, so that a courier waits for
//! the store neither before a message nor after it.
//!
//! Invariants: an entry is with at most one courier at a time; in one pass each entry is handed out once, unless it
//! was put back; an entry whose outcome is not yet in the store is never handed out again.

mod ahead;
mod lane;
mod merge;
mod pages;
mod settler;
mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_queue::{
    ContentReader, DomainLease, DrainCause, EntryKey, Outcome, QueueStore, Settlement, StoreError, Work,
};
use restante_types::{Domain, QueueId, Reply};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::Clock;
use crate::limits::{HEAD, OUTCOMES_AHEAD};
use crate::notice::Clerk;
use crate::retry::RetryList;
use crate::returns::{Conduct, Gate};
use crate::unreached::Reach;

pub(crate) use ahead::AheadBudget;
use lane::Shared;
pub(crate) use merge::Allowance;
use merge::Merge;
pub use state::Tally;
use state::{Head, Step};

/// What a courier's window still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Messages; with none the feed gives nothing.
    pub messages: usize,
    /// Octets of content.
    pub octets: u64,
    /// Nothing is under way on this connection: a message larger than `octets` may go all the same.
    pub alone: bool,
}

/// A courier's end of a drain. Cheap to clone; all clones share one queue.
#[derive(Clone)]
pub struct Feed {
    inside: Arc<Inside>,
}

/// What a feed is made of.
pub(crate) struct FeedParts {
    pub(crate) store: Arc<dyn QueueStore>,
    /// What set the drain off: what was asked for takes all that waits, a schedule only what is due.
    pub(crate) cause: DrainCause,
    pub(crate) clock: Clock,
    pub(crate) budget: AheadBudget,
    pub(crate) clerk: Clerk,
}

/// A domain to be fed from.
pub(crate) struct Source {
    pub(crate) lease: DomainLease,
    /// When deferred entries are tried again on our own; `None`: not before somebody asks.
    pub(crate) retry: Option<RetryList>,
    /// How fast it may go, and who counts.
    pub(crate) conduct: Conduct,
}

struct Inside {
    /// Never empty.
    lanes: Vec<Lane>,
    /// Several lanes, or an allowance: then work is handed out through `merge`, which is locked before any lane.
    merged: bool,
    merge: Mutex<Merge>,
    /// Rung when a page came in or the feed stopped.
    changed: Arc<Notify>,
    /// Messages that have an outcome; whoever starts further couriers looks at it.
    finished: watch::Sender<u64>,
    /// Couriers end at once, whatever is under way.
    cut: watch::Sender<bool>,
    /// Nothing is handed out until the couriers that are out are back.
    paused: AtomicBool,
    /// Told when a courier takes up its first message; it may be too late then.
    reach: Option<Reach>,
}

/// One domain of a feed.
struct Lane {
    shared: Arc<Shared>,
    outcomes: mpsc::Sender<Settlement>,
}

/// The drain's end of it.
pub(crate) struct FeedOwner {
    feed: Feed,
    shared: Vec<Arc<Shared>>,
    settlers: Vec<JoinHandle<()>>,
}

/// One domain at the end of a drain.
pub(crate) struct LaneEnd {
    /// `None`, and returned by being dropped, where a courier still holds on to it.
    pub(crate) lease: Option<DomainLease>,
    pub(crate) tally: Tally,
}

impl Feed {
    /// The domain that is drained; of several, the first.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.inside.lanes[0].shared.domain
    }

    /// The domain that a message, or one of its recipients, is drained for.
    #[must_use]
    pub fn domain_of(&self, id: QueueId, recipient: Option<u16>) -> &Domain {
        &self.inside.lane_of(id, recipient).shared.domain
    }

    /// The next message, oldest first. Waits while a page is being read; may be dropped at any time without losing a
    /// message. A message that waits in several of the domains comes once, with the recipients of all of them.
    ///
    /// `None` with `room.alone`: this drain has nothing more for this connection, it may end. `None` without it:
    /// nothing that fits now; ask again when the window is empty.
    pub async fn next(&self, room: Room) -> Option<Work> {
        loop {
            let mut changed = std::pin::pin!(self.inside.changed.notified());
            changed.as_mut().enable();
            if self.inside.is_paused() {
                return None;
            }
            match self.inside.step(room) {
                Step::Take(work) if self.inside.reach.as_ref().is_none_or(Reach::reached) => {
                    return Some(work);
                }
                Step::Take(work) => {
                    self.inside.put_back(work);
                    return None;
                }
                Step::Nothing => return None,
                Step::Wait => changed.await,
                Step::Until(at) => {
                    let _sooner = timeout_at(at, changed).await;
                }
            }
        }
    }

    /// The content of a message that `next` gave.
    ///
    /// # Errors
    /// As [`QueueStore::open_content`]. After [`StoreError::Damaged`] the message is given up with
    /// [`skip`](Self::skip); anything else is a reason to put it back and end.
    pub async fn open_content(&self, work: &Work) -> Result<ContentReader, StoreError> {
        let shared = &self.inside.lane_of(work.id, None).shared;
        let reading = shared.ahead().take(work.id);
        if let Some(reading) = reading
            && let Some(content) = ahead::arrived(reading).await
        {
            return Ok(content);
        }
        let key = EntryKey { domain: shared.domain.clone(), id: work.id };
        shared.store.open_content(&key).await
    }

    /// Hands in what became of a message; every message that `next` gave comes back here, to
    /// [`put_back`](Self::put_back) or to [`skip`](Self::skip). Returns as soon as the outcome stands in line, which is
    /// at once unless the store is far behind. The next attempt of deferred recipients is filled in here.
    pub async fn done(&self, settlement: Settlement) {
        if settlement.outcomes.is_empty() {
            return self.skip(settlement.id);
        }
        for (lane, mut settlement) in self.inside.divide(settlement) {
            let Lane { shared, outcomes } = &self.inside.lanes[lane];
            shared.schedule(&mut settlement);
            shared.count(&settlement).await;
            // The receiver lives until the last sender is gone.
            let _ = outcomes.send(settlement).await;
        }
        self.inside.finished.send_modify(|finished| *finished += 1);
    }

    /// A message on which nothing was said: it goes back to the head, for another courier or for the next drain.
    pub fn put_back(&self, work: Work) {
        self.inside.put_back(work);
        self.inside.changed.notify_waiters();
    }

    /// A message that cannot be tried now through a fault of ours; it stays as it is and is left out of this pass.
    pub fn skip(&self, id: QueueId) {
        for lane in self.inside.take_out(id) {
            let shared = &self.inside.lanes[lane].shared;
            shared.state().skip(id);
            drop(shared.ahead().take(id));
        }
        self.inside.changed.notify_waiters();
    }

    /// Whether the drain was told to end: finish what is under way, take nothing more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.inside.is_paused() || self.inside.lanes.iter().all(|lane| lane.shared.is_stopped())
    }

    /// Who is told what somebody may have to be told of.
    pub(crate) fn clerk(&self) -> &Clerk {
        &self.inside.lanes[0].shared.clerk
    }

    /// Turns true when the connection is to end at once, whatever is under way on it.
    pub(crate) fn cut(&self) -> watch::Receiver<bool> {
        self.inside.cut.subscribe()
    }

    /// Returns once the drain was told to end.
    pub(crate) async fn until_stopped(&self) {
        loop {
            let mut changed = std::pin::pin!(self.inside.changed.notified());
            changed.as_mut().enable();
            if self.is_stopped() {
                return;
            }
            changed.await;
        }
    }
}

impl FeedOwner {
    /// Starts a feed of one domain; the first page is under way when this returns.
    pub(crate) fn start(parts: &FeedParts, source: Source, reach: Option<Reach>) -> Self {
        Self::build(parts, source, Vec::new(), (None, reach))
    }

    /// Starts a feed of several domains, for one courier, that gives no more than `allowance`.
    pub(crate) fn start_merged(
        parts: &FeedParts,
        first: Source,
        others: Vec<Source>,
        allowance: Allowance,
    ) -> Self {
        Self::build(parts, first, others, (Some(allowance), None))
    }

    fn build(
        parts: &FeedParts,
        first: Source,
        others: Vec<Source>,
        (allowance, reach): (Option<Allowance>, Option<Reach>),
    ) -> Self {
        let merged = !others.is_empty() || allowance.is_some();
        let changed = Arc::new(Notify::new());
        let (mut lanes, mut shared, mut settlers) = (Vec::new(), Vec::new(), Vec::new());
        for source in std::iter::once(first).chain(others) {
            let one = Arc::new(Shared::new(parts, source, changed.clone(), !merged));
            let (outcomes, receiver) = mpsc::channel(OUTCOMES_AHEAD);
            settlers.push(tokio::spawn(settler::run(one.clone(), receiver)));
            lanes.push(Lane { shared: one.clone(), outcomes });
            shared.push(one);
        }
        shared.iter().for_each(|shared| shared.load_if_low(&mut shared.state()));
        let merge = Mutex::new(Merge::new(lanes.len(), allowance));
        let (finished, cut) = (watch::Sender::new(0), watch::Sender::new(false));
        let paused = AtomicBool::new(false);
        let inside = Inside { lanes, merged, merge, changed, finished, cut, paused, reach };
        Self { feed: Feed { inside: Arc::new(inside) }, shared, settlers }
    }

    /// An end for a courier.
    pub(crate) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Entries that a further courier would find, as far as is known without asking the store.
    pub(crate) fn backlog(&self) -> usize {
        self.shared.iter().map(|shared| shared.state().backlog()).sum()
    }

    /// Couriers end with what they have under way, and nothing is handed out before [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.feed.inside.paused.store(true, Ordering::Relaxed);
        self.feed.inside.changed.notify_waiters();
    }

    /// All couriers are back: others may go.
    pub(crate) fn resume(&self) {
        self.feed.inside.paused.store(false, Ordering::Relaxed);
    }

    /// Whether nothing holds the drain back from so many connections.
    pub(crate) fn fills(&self, connections: usize) -> bool {
        let fills = |shared: &Arc<Shared>| {
            shared.state().gate().is_none_or(|gate| gate.fills(connections, Instant::now()))
        };
        self.shared.iter().all(fills)
    }

    /// Whether messages are counted by the minute.
    pub(crate) fn has_rate(&self) -> bool {
        self.shared.iter().any(|shared| shared.state().gate().is_some_and(Gate::has_rate))
    }

    /// Waits until the next message may go, so that no connection is opened to be idle; at once where the feed was
    /// stopped.
    pub(crate) async fn until_open(&self) {
        loop {
            let mut changed = std::pin::pin!(self.feed.inside.changed.notified());
            changed.as_mut().enable();
            let later = |shared: &Arc<Shared>| match shared.head() {
                Head::Later(at) => Some(at),
                Head::Work { .. } | Head::Unknown | Head::Nothing => None,
            };
            let Some(at) = self.shared.iter().find_map(later) else { return };
            let _sooner = timeout_at(at, changed).await;
        }
    }

    /// What was said last by a primary that put off one message after the other.
    pub(crate) fn put_off(&self) -> Option<Reply> {
        self.shared.iter().find_map(|shared| shared.state().put_off().cloned())
    }

    /// Follows the number of messages that have an outcome.
    pub(crate) fn finished(&self) -> watch::Receiver<u64> {
        self.feed.inside.finished.subscribe()
    }

    /// Nothing more is handed out.
    pub(crate) fn stop(&self, why: Option<&str>) {
        self.shared.iter().for_each(|shared| shared.state().stop(why.map(str::to_owned)));
        self.feed.inside.changed.notify_waiters();
    }

    /// Nothing more is handed out, and connections end at once. What was answered so far is settled.
    pub(crate) fn cut(&self, why: Option<&str>) {
        self.stop(why);
        self.feed.inside.cut.send_replace(true);
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> Tally {
        Tally::sum(self.shared.iter().map(|shared| shared.state().tally()))
    }

    /// Whether there is something to hand out, or will be because somebody asked again. Waits for a page that is under
    /// way.
    pub(crate) async fn has_more(&self) -> bool {
        loop {
            let mut changed = std::pin::pin!(self.feed.inside.changed.notified());
            changed.as_mut().enable();
            let answers: Vec<_> = self.shared.iter().map(Shared::peek).collect();
            if answers.contains(&Some(true)) {
                return true;
            }
            if !answers.contains(&None) {
                return false;
            }
            changed.await;
        }
    }

    /// Notes at the head of the queue why the domain was not reached, so that `list` shows it. The rest of the queue
    /// stays untouched.
    pub(crate) async fn defer_head(&self, reply: &Reply) {
        let outcome = Outcome::Deferred { reply: reply.clone(), next_attempt: None };
        for _ in 0..HEAD {
            let room = Room { messages: 1, octets: u64::MAX, alone: true };
            let Some(work) = self.feed.inside.at_hand(room) else { return };
            let outcomes = work.waiting.iter().map(|index| (*index, outcome.clone())).collect();
            self.feed.done(Settlement { id: work.id, outcomes }).await;
        }
    }

    /// Settles what is left and gives the lease back to the caller. Every [`Feed`] must be gone by now; the lease is
    /// `None` (and returned by being dropped) where one is not.
    pub(crate) async fn finish(self) -> (Option<DomainLease>, Tally) {
        let mut ends = self.finish_all().await;
        let tally = Tally::sum(ends.iter().map(|end| end.tally.clone()));
        (ends.pop().and_then(|end| end.lease), tally)
    }

    /// As [`finish`](Self::finish), of each domain.
    pub(crate) async fn finish_all(self) -> Vec<LaneEnd> {
        self.stop(None);
        let Self { feed, shared, settlers } = self;
        drop(feed);
        for settler in settlers {
            let _ = settler.await;
        }
        let mut ends = Vec::with_capacity(shared.len());
        for shared in shared {
            ends.push(shared.end().await);
        }
        ends
    }
}
