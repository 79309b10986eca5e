//! Where couriers take their work from: one feed per drain, fed from the one lease of its domain.
//!
//! Pages are read ahead of the couriers and outcomes are settled behind them in batches, so that a courier waits for
//! the store neither before a message nor after it.
//!
//! Invariants: an entry is with at most one courier at a time; in one pass each entry is handed out once, unless it
//! was put back; an entry whose outcome is not yet in the store is never handed out again.

mod ahead;
mod pages;
mod settler;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_queue::{
    ContentReader, DomainLease, DrainCause, EntryKey, Outcome, QueueStore, Settlement, StoreError, Work,
};
use restante_types::{Domain, Reply};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::Clock;
use crate::limits::{HEAD, OUTCOMES_AHEAD};
use crate::retry::RetryList;

use ahead::Ahead;
pub(crate) use ahead::AheadBudget;
pub use state::Tally;
use state::{State, Step};

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
    shared: Arc<Shared>,
    outcomes: mpsc::Sender<Settlement>,
}

/// What a feed is made of.
pub(crate) struct FeedParts {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) lease: DomainLease,
    /// What set the drain off: what was asked for takes all that waits, a schedule only what is due.
    pub(crate) cause: DrainCause,
    /// When deferred entries are tried again on our own; `None`: not before somebody asks.
    pub(crate) retry: Option<RetryList>,
    pub(crate) clock: Clock,
    pub(crate) budget: AheadBudget,
}

struct Shared {
    store: Arc<dyn QueueStore>,
    domain: Domain,
    lease: Arc<DomainLease>,
    retry: Option<RetryList>,
    clock: Clock,
    state: Mutex<State>,
    /// Locked after `state`, where both are.
    ahead: Mutex<Ahead>,
    budget: AheadBudget,
    /// Rung when a page came in or the feed stopped.
    changed: Notify,
    /// Messages that have an outcome; whoever starts further couriers looks at it.
    finished: watch::Sender<u64>,
}

/// The drain's end of it.
pub(crate) struct FeedOwner {
    feed: Feed,
    lease: Arc<DomainLease>,
    settler: JoinHandle<()>,
}

impl Feed {
    /// The domain that is drained.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.shared.domain
    }

    /// The next message, oldest first. Waits while a page is being read; may be dropped at any time without losing a
    /// message.
    ///
    /// `None` with `room.alone`: this drain has nothing more for this connection, it may end. `None` without it:
    /// nothing that fits now; ask again when the window is empty.
    pub async fn next(&self, room: Room) -> Option<Work> {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            match self.shared.step(room) {
                Step::Take(work) => return Some(work),
                Step::Nothing => return None,
                Step::Wait => changed.await,
            }
        }
    }

    /// The content of a message that `next` gave.
    ///
    /// # Errors
    /// As [`QueueStore::open_content`]. After [`StoreError::Damaged`] the message is given up with
    /// [`skip`](Self::skip); anything else is a reason to put it back and end.
    pub async fn open_content(&self, work: &Work) -> Result<ContentReader, StoreError> {
        let reading = self.shared.ahead().take(work.id);
        if let Some(reading) = reading
            && let Some(content) = ahead::arrived(reading).await
        {
            return Ok(content);
        }
        let key = EntryKey { domain: self.shared.domain.clone(), id: work.id };
        self.shared.store.open_content(&key).await
    }

    /// Hands in what became of a message; every message that `next` gave comes back here, to
    /// [`put_back`](Self::put_back) or to [`skip`](Self::skip). Returns as soon as the outcome stands in line, which is
    /// at once unless the store is far behind. The next attempt of deferred recipients is filled in here.
    pub async fn done(&self, mut settlement: Settlement) {
        if settlement.outcomes.is_empty() {
            return self.skip(settlement.id);
        }
        self.shared.schedule(&mut settlement);
        let finished = self.shared.state().count(&settlement);
        self.shared.finished.send_replace(finished);
        // The receiver lives until the last sender is gone.
        let _ = self.outcomes.send(settlement).await;
    }

    /// A message on which nothing was said: it goes back to the head, for another courier or for the next drain.
    pub fn put_back(&self, work: Work) {
        self.shared.state().put_back(work);
        self.shared.changed.notify_waiters();
    }

    /// A message that cannot be tried now through a fault of ours; it stays as it is and is left out of this pass.
    pub fn skip(&self, id: restante_types::QueueId) {
        self.shared.state().forget(id);
        drop(self.shared.ahead().take(id));
    }

    /// Whether the drain was told to end: finish what is under way, take nothing more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.check_fence();
        self.shared.state().stopped()
    }

    /// Returns once the drain was told to end.
    pub(crate) async fn until_stopped(&self) {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if self.is_stopped() {
                return;
            }
            changed.await;
        }
    }
}

impl FeedOwner {
    /// Starts a feed; the first page is under way when this returns.
    pub(crate) fn start(parts: FeedParts) -> Self {
        let FeedParts { store, lease, cause, retry, clock, budget } = parts;
        let lease = Arc::new(lease);
        let shared = Arc::new(Shared {
            store,
            domain: lease.domain().clone(),
            lease: lease.clone(),
            retry,
            clock,
            state: Mutex::new(State::new(cause)),
            ahead: Mutex::default(),
            budget,
            changed: Notify::new(),
            finished: watch::Sender::new(0),
        });
        let (outcomes, receiver) = mpsc::channel(OUTCOMES_AHEAD);
        let settler = tokio::spawn(settler::run(shared.clone(), receiver));
        shared.load_if_low(&mut shared.state());
        Self { feed: Feed { shared, outcomes }, lease, settler }
    }

    /// An end for a courier.
    pub(crate) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Entries that a further courier would find, as far as is known without asking the store.
    pub(crate) fn backlog(&self) -> usize {
        self.feed.shared.state().backlog()
    }

    /// Follows the number of messages that have an outcome.
    pub(crate) fn finished(&self) -> watch::Receiver<u64> {
        self.feed.shared.finished.subscribe()
    }

    /// Nothing more is handed out.
    pub(crate) fn stop(&self, why: Option<&str>) {
        self.feed.shared.state().stop(why.map(str::to_owned));
        self.feed.shared.changed.notify_waiters();
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> Tally {
        self.feed.shared.state().tally()
    }

    /// Whether there is something to hand out, or somebody asked again. Waits for a page that is under way.
    pub(crate) async fn has_more(&self) -> bool {
        loop {
            let mut changed = std::pin::pin!(self.feed.shared.changed.notified());
            changed.as_mut().enable();
            match self.feed.shared.peek() {
                Some(answer) => return answer,
                None => changed.await,
            }
        }
    }

    /// Notes at the head of the queue why the domain was not reached, so that `list` shows it. The rest of the queue
    /// stays untouched.
    pub(crate) async fn defer_head(&self, reply: &Reply) {
        let outcome = Outcome::Deferred { reply: reply.clone(), next_attempt: None };
        for _ in 0..HEAD {
            let Some(work) = self.feed.shared.state().take_head() else { return };
            let outcomes = work.waiting.iter().map(|index| (*index, outcome.clone())).collect();
            self.feed.done(Settlement { id: work.id, outcomes }).await;
        }
    }

    /// Settles what is left and gives the lease back to the caller. Every [`Feed`] must be gone by now; the lease is
    /// `None` (and returned by being dropped) where one is not.
    pub(crate) async fn finish(self) -> (Option<DomainLease>, Tally) {
        self.stop(None);
        let Self { feed, lease, settler } = self;
        let Feed { shared, outcomes } = feed;
        drop(outcomes);
        let _ = settler.await;
        let loader = shared.state().take_loader();
        if let Some(loader) = loader {
            let _ = loader.await;
        }
        shared.ahead().clear();
        let tally = shared.state().tally();
        drop(shared);
        (Arc::into_inner(lease), tally)
    }
}

impl Shared {
    /// A courier that panicked leaves the state consistent: no change of it is left half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_ahead(&self, state: &State) {
        self.ahead().read(&self.store, &self.domain, &self.budget, state.next_up());
    }

    fn check_fence(&self) {
        if self.store.is_fenced(&self.lease) {
            self.state().stop(Some("the domain was stopped".to_owned()));
        }
    }

    fn step(self: &Arc<Self>, room: Room) -> Step {
        self.check_fence();
        let mut state = self.state();
        let step = state.step(room);
        if matches!(step, Step::Nothing) && state.is_idle() {
            if !self.look_once_more(&mut state) {
                return Step::Nothing;
            }
            return Step::Wait;
        }
        self.load_if_low(&mut state);
        if matches!(step, Step::Take(_)) {
            self.read_ahead(&state);
        }
        step
    }

    fn peek(self: &Arc<Self>) -> Option<bool> {
        self.check_fence();
        let mut state = self.state();
        if state.is_idle() {
            return Some(self.look_once_more(&mut state));
        }
        self.load_if_low(&mut state);
        state.peek()
    }

    /// Starts over if somebody asked since the last look.
    fn look_once_more(self: &Arc<Self>, state: &mut State) -> bool {
        if !state.may_start_over() {
            return false;
        }
        let Some(cause) = self.store.asked_again(&self.lease) else { return false };
        state.start_over(cause);
        self.load_if_low(state);
        true
    }

    fn schedule(&self, settlement: &mut Settlement) {
        let attempts = self.state().attempts(settlement.id);
        let Some(retry) = &self.retry else { return };
        let next = (self.clock)().plus(retry.wait(attempts, rand::random()));
        for (_, outcome) in &mut settlement.outcomes {
            if let Outcome::Deferred { next_attempt, .. } = outcome {
                *next_attempt = Some(next);
            }
        }
    }
}
