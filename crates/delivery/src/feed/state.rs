//! The bookkeeping of a feed. No waiting, no store: what was handed out, what is at hand, what came of it.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use restante_queue::{DrainCause, Outcome, Scope, Settlement, Work};
use restante_types::{QueueId, Reply, UnixMillis};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Room;
use crate::limits::{FIRST_PAGE, LOW_PAGE, PAGE, PASSES, UNRECORDED};
use crate::returns::{Gate, Pass};

/// What a drain did so far, in recipients but for `messages`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that have an outcome.
    pub messages: u64,
    /// Recipients the next hop took.
    pub delivered: u64,
    /// Recipients that stay.
    pub deferred: u64,
    /// Recipients parked.
    pub failed: u64,
    /// The first reply that was not a yes.
    pub trouble: Option<Reply>,
    /// Why the feed ended before its time: the store failed, or the domain was stopped.
    pub stopped: Option<String>,
}

/// What a courier that asks for work is told.
pub(super) enum Step {
    Take(Work),
    Nothing,
    Wait,
    /// Wait, but no longer than until then.
    Until(Instant),
}

/// What a lane would hand out next.
pub(super) enum Head {
    Work {
        id: QueueId,
        size: u64,
    },
    /// Nothing before this.
    Later(Instant),
    /// A page is being read, or too much is not recorded yet.
    Unknown,
    Nothing,
}

impl Tally {
    /// Of several domains: everything counted together, the first trouble, the first reason.
    pub(crate) fn sum(tallies: impl Iterator<Item = Self>) -> Self {
        tallies.fold(Self::default(), |sum, one| Self {
            messages: sum.messages + one.messages,
            delivered: sum.delivered + one.delivered,
            deferred: sum.deferred + one.deferred,
            failed: sum.failed + one.failed,
            trouble: sum.trouble.or(one.trouble),
            stopped: sum.stopped.or(one.stopped),
        })
    }
}

/// Where an entry is that a new page must not bring once more.
enum Place {
    AtHand,
    /// With a courier, or its outcome on the way to the store.
    Out {
        attempts: u32,
    },
}

pub(super) struct State {
    at_hand: VecDeque<Work>,
    known: HashMap<QueueId, Place>,
    /// How many of `known` are out.
    out: usize,
    /// What left `known` while a page was being read: the page may show it as it was before.
    left: HashSet<QueueId>,
    cause: DrainCause,
    after: Option<QueueId>,
    passes: u32,
    loader: Option<JoinHandle<()>>,
    loading: bool,
    exhausted: bool,
    ended: bool,
    tally: Tally,
    /// None where nothing holds the drain back.
    gate: Option<Gate>,
    /// The primary is back too early: it puts off one after the other, last with this.
    put_off: Option<Reply>,
}

impl State {
    pub(super) fn new(cause: DrainCause, gate: Option<Gate>) -> Self {
        Self {
            gate,
            put_off: None,
            at_hand: VecDeque::new(),
            known: HashMap::new(),
            out: 0,
            left: HashSet::new(),
            cause,
            after: None,
            passes: 1,
            loader: None,
            loading: false,
            exhausted: false,
            ended: false,
            tally: Tally::default(),
        }
    }

    pub(super) fn step(&mut self, room: Room) -> Step {
        if self.ended || room.messages == 0 {
            return Step::Nothing;
        }
        match self.at_hand.front() {
            Some(_) if self.is_full() => Step::Wait,
            Some(work) if room.alone || work.size <= room.octets => match self.pass() {
                Pass::Go => self.take_head().map_or(Step::Nothing, Step::Take),
                Pass::Full if room.alone => Step::Wait,
                Pass::Full => Step::Nothing,
                Pass::Later(at) => Step::Until(at),
            },
            Some(_) => Step::Nothing,
            None if self.loading || !self.exhausted => Step::Wait,
            None => Step::Nothing,
        }
    }

    pub(super) fn head(&self) -> Head {
        match self.at_hand.front() {
            _ if self.ended => Head::Nothing,
            Some(_) if self.is_full() => Head::Unknown,
            Some(work) => match self.pass() {
                Pass::Go | Pass::Full => Head::Work { id: work.id, size: work.size },
                Pass::Later(at) => Head::Later(at),
            },
            None if self.loading || !self.exhausted => Head::Unknown,
            None => Head::Nothing,
        }
    }

    /// Whether a courier would find something; `None` while that is being read.
    pub(super) fn peek(&self) -> Option<bool> {
        if self.ended {
            return Some(false);
        }
        if !self.at_hand.is_empty() {
            return Some(true);
        }
        (self.exhausted && !self.loading).then_some(false)
    }

    pub(super) fn take_head(&mut self) -> Option<Work> {
        let work = self.at_hand.pop_front()?;
        if let Some(gate) = &mut self.gate {
            gate.take(Instant::now());
        }
        self.known.insert(work.id, Place::Out { attempts: work.attempts });
        self.out += 1;
        Some(work)
    }

    /// So much is out that nothing more may follow before some of it is recorded.
    pub(super) const fn is_full(&self) -> bool {
        self.out >= UNRECORDED
    }

    /// What will be handed out next, in order.
    pub(super) fn next_up(&self) -> impl Iterator<Item = &Work> {
        self.at_hand.iter()
    }

    /// The pass is through and nothing is at hand.
    pub(super) fn is_idle(&self) -> bool {
        !self.ended && self.exhausted && !self.loading && self.at_hand.is_empty()
    }

    pub(super) const fn may_start_over(&self) -> bool {
        self.passes < PASSES
    }

    pub(super) fn start_over(&mut self, cause: DrainCause) {
        self.cause = cause;
        self.after = None;
        self.exhausted = false;
        self.passes += 1;
    }

    /// What to read next, if it is time to; whoever is told so must call `page_read`.
    pub(super) fn wants_page(&mut self) -> Option<(DrainCause, Option<QueueId>, usize)> {
        if self.ended || self.loading || self.exhausted || self.at_hand.len() >= LOW_PAGE {
            return None;
        }
        self.loading = true;
        self.left.clear();
        Some((self.cause, self.after, if self.after.is_none() { FIRST_PAGE } else { PAGE }))
    }

    pub(super) fn keep_loader(&mut self, loader: JoinHandle<()>) {
        self.loader = Some(loader);
    }

    pub(super) const fn take_loader(&mut self) -> Option<JoinHandle<()>> {
        self.loader.take()
    }

    pub(super) fn page_read(&mut self, page: Vec<Work>) {
        self.loading = false;
        // A short page may come from a store that bounds its own work; only an empty one is the end.
        match page.last() {
            Some(last) => self.after = Some(last.id),
            None => self.exhausted = true,
        }
        for work in page {
            if !self.known.contains_key(&work.id) && !self.left.contains(&work.id) {
                self.known.insert(work.id, Place::AtHand);
                self.at_hand.push_back(work);
            }
        }
        self.left.clear();
    }

    pub(super) fn put_back(&mut self, work: Work) {
        if let Some(gate) = &mut self.gate {
            gate.back();
        }
        if let Some(Place::Out { .. }) = self.known.insert(work.id, Place::AtHand) {
            self.out -= 1;
        }
        let position = self.at_hand.partition_point(|other| other.id < work.id);
        self.at_hand.insert(position, work);
    }

    pub(super) fn forget(&mut self, id: QueueId) {
        let place = self.known.remove(&id);
        self.out -= usize::from(matches!(place, Some(Place::Out { .. })));
        if place.is_some() && self.loading {
            self.left.insert(id);
        }
    }

    /// Nothing was said about a message that was out.
    pub(super) fn skip(&mut self, id: QueueId) {
        if let Some(gate) = &mut self.gate {
            gate.back();
        }
        self.forget(id);
    }

    fn pass(&self) -> Pass {
        self.gate.as_ref().map_or(Pass::Go, |gate| gate.ask(Instant::now()))
    }

    pub(super) const fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    pub(super) const fn put_off(&self) -> Option<&Reply> {
        self.put_off.as_ref()
    }

    pub(super) fn attempts(&self, id: QueueId) -> u32 {
        match self.known.get(&id) {
            Some(Place::Out { attempts }) => *attempts,
            _ => 0,
        }
    }

    /// [5321-4.2.1-outcomes] Counts an outcome.
    pub(super) fn count(&mut self, settlement: &Settlement) {
        self.tally.messages += 1;
        self.move_gate(settlement);
        for (_, outcome) in &settlement.outcomes {
            let trouble = match outcome {
                Outcome::Delivered => {
                    self.tally.delivered += 1;
                    continue;
                }
                Outcome::Deferred { reply, .. } => {
                    self.tally.deferred += 1;
                    reply
                }
                Outcome::Failed { reply } => {
                    self.tally.failed += 1;
                    reply
                }
            };
            self.tally.trouble.get_or_insert_with(|| trouble.clone());
        }
    }

    fn move_gate(&mut self, settlement: &Settlement) {
        let Some(gate) = &mut self.gate else { return };
        let too_early = gate.over(&settlement.outcomes);
        if gate.is_idle() {
            self.gate = None;
        }
        if too_early && !self.ended {
            let replies = settlement.outcomes.iter().filter_map(|(_, outcome)| match outcome {
                Outcome::Deferred { reply, .. } => Some(reply),
                Outcome::Delivered | Outcome::Failed { .. } => None,
            });
            self.put_off = replies.cloned().next_back();
            self.ended = true;
        }
    }

    pub(super) fn stop(&mut self, why: Option<String>) {
        self.ended = true;
        if self.tally.stopped.is_none() {
            self.tally.stopped = why;
        }
    }

    pub(super) const fn stopped(&self) -> bool {
        self.ended
    }

    pub(super) fn backlog(&self) -> usize {
        match (self.ended, self.exhausted) {
            (true, _) => 0,
            (false, true) => self.at_hand.len(),
            (false, false) => self.at_hand.len() + PAGE,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.clone()
    }
}

/// What a drain takes: all that waits where somebody asked, only what is due where it was our own idea.
pub(super) fn scope(cause: DrainCause, now: UnixMillis) -> Scope {
    match cause {
        DrainCause::Schedule => Scope::DueBy(now),
        DrainCause::Etrn | DrainCause::Atrn | DrainCause::Turn | DrainCause::Flush | DrainCause::Returned => {
            Scope::All
        }
    }
}
