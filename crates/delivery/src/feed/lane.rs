//! One domain of a feed: its lease, its state, and what it asks of the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_queue::{DomainLease, Outcome, QueueStore, Settlement, Work};
use restante_types::{Domain, QueueId};
use tokio::sync::Notify;

use super::ahead::Ahead;
use super::state::{Head, State, Step};
use super::{AheadBudget, FeedParts, LaneEnd, Room, Source};
use crate::Clock;
use crate::notice::Clerk;
use crate::retry::RetryList;
use crate::returns::{Conduct, Watch};

pub(super) struct Shared {
    pub(super) store: Arc<dyn QueueStore>,
    pub(super) domain: Domain,
    pub(super) lease: DomainLease,
    retry: Option<RetryList>,
    pub(super) clock: Clock,
    state: Mutex<State>,
    /// Locked after `state`, where both are.
    ahead: Mutex<Ahead>,
    budget: AheadBudget,
    watch: Watch,
    /// Whether content is read before a courier asks for it. Not where many domains share one line: it would take
    /// the room of drains that are faster.
    reads_ahead: bool,
    pub(super) changed: Arc<Notify>,
    pub(super) clerk: Clerk,
}

impl Shared {
    pub(super) fn new(parts: &FeedParts, source: Source, changed: Arc<Notify>, reads_ahead: bool) -> Self {
        let Source { lease, retry, conduct: Conduct { watch, gate } } = source;
        Self {
            store: parts.store.clone(),
            domain: lease.domain().clone(),
            lease,
            retry,
            clock: parts.clock.clone(),
            state: Mutex::new(State::new(parts.cause, gate)),
            watch,
            ahead: Mutex::default(),
            budget: parts.budget.clone(),
            reads_ahead,
            changed,
            clerk: parts.clerk.clone(),
        }
    }

    /// A courier that panicked leaves the state consistent: no change of it is left half done.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read_ahead(&self, state: &State) {
        if self.reads_ahead {
            self.ahead().read(&self.store, &self.domain, &self.budget, state.next_up());
        }
    }

    fn check_fence(&self) {
        if self.store.is_fenced(&self.lease) {
            self.state().stop(Some("the domain was stopped".to_owned()));
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.check_fence();
        self.state().stopped()
    }

    pub(super) fn step(self: &Arc<Self>, room: Room) -> Step {
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

    /// What would be handed out next, without looking once more.
    pub(super) fn head(self: &Arc<Self>) -> Head {
        self.check_fence();
        let mut state = self.state();
        self.load_if_low(&mut state);
        state.head()
    }

    /// Hands out the head if it is this message.
    pub(super) fn take(&self, id: QueueId) -> Option<Work> {
        let mut state = self.state();
        matches!(state.head(), Head::Work { id: head, .. } if head == id).then(|| state.take_head()).flatten()
    }

    /// Starts over if the pass is through and somebody asked since the last look.
    pub(super) fn starts_over(self: &Arc<Self>) -> bool {
        let mut state = self.state();
        state.is_idle() && self.look_once_more(&mut state)
    }

    pub(super) fn peek(self: &Arc<Self>) -> Option<bool> {
        self.check_fence();
        let mut state = self.state();
        // Whether who asked again has something is known when the page is there.
        if state.is_idle() && !self.look_once_more(&mut state) {
            return Some(false);
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

    /// Counts what became of a message, and stops the domain if that was one refusal too many: before it is recorded.
    pub(super) async fn count(&self, settlement: &Settlement) {
        let held_back = {
            let mut state = self.state();
            state.count(settlement);
            state.gate().is_some() || state.put_off().is_some()
        };
        if let Some(why) = self.watch.count(&settlement.outcomes, &*self.clock) {
            self.state().stop(Some(format!("stopped: {why}")));
            self.changed.notify_waiters();
            self.watch.open(why).await;
        } else if held_back {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn schedule(&self, settlement: &mut Settlement) {
        let Some(retry) = &self.retry else { return };
        let attempts = self.state().attempts(settlement.id);
        let next = (self.clock)().plus(retry.wait(attempts, rand::random()));
        for (_, outcome) in &mut settlement.outcomes {
            if let Outcome::Deferred { next_attempt, .. } = outcome {
                *next_attempt = Some(next);
            }
        }
    }

    /// After the last courier and the settler have let go.
    pub(super) async fn end(self: Arc<Self>) -> LaneEnd {
        let loader = self.state().take_loader();
        if let Some(loader) = loader {
            let _ = loader.await;
        }
        self.ahead().clear();
        let tally = self.state().tally();
        LaneEnd { lease: Arc::into_inner(self).map(|shared| shared.lease), tally }
    }
}
