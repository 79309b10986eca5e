//! Several domains as one queue, oldest first, and no more than one session may have.

use std::collections::HashMap;

use restante_queue::{Settlement, Work};
use restante_types::QueueId;
use tokio::time::Instant;

use super::{Inside, Lane, MutexGuard, Ordering, PoisonError, Room};
use crate::feed::state::{Head, Step};

/// [2645-limits] What a feed may still give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) messages: u64,
    /// Octets of content; the message that goes beyond them still goes.
    pub(crate) octets: u64,
    pub(crate) until: Instant,
}

/// Why a feed ended that had more to give.
pub(crate) const SPENT: &str = "the limit of one session was reached";

impl Allowance {
    fn is_spent(&self) -> bool {
        self.messages == 0 || self.octets == 0 || self.until <= Instant::now()
    }

    const fn spend(&mut self, octets: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.octets = self.octets.saturating_sub(octets);
    }
}

/// A message as one lane handed it out.
struct Part {
    lane: usize,
    work: Work,
}

/// What was handed out of which lanes.
pub(super) struct Merge {
    out: HashMap<QueueId, Vec<Part>>,
    /// Lanes that may have something; the others were found through their pass.
    live: Vec<usize>,
    allowance: Option<Allowance>,
}

impl Merge {
    pub(super) fn new(lanes: usize, allowance: Option<Allowance>) -> Self {
        Self { out: HashMap::new(), live: (0..lanes).collect(), allowance }
    }

    fn revive(&mut self, lane: usize) {
        if !self.live.contains(&lane) {
            self.live.push(lane);
        }
    }
}

impl Inside {
    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    fn merge(&self) -> MutexGuard<'_, Merge> {
        self.merge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn step(&self, room: Room) -> Step {
        if !self.merged {
            return self.lanes[0].shared.step(room);
        }
        if room.messages == 0 {
            return Step::Nothing;
        }
        let mut merge = self.merge();
        let (id, size) = match self.oldest(&mut merge) {
            Oldest::Work(id, size) => (id, size),
            Oldest::Later(at) => return Step::Until(at),
            Oldest::Unknown => return Step::Wait,
            Oldest::Nothing => return self.look_once_more(&mut merge),
        };
        if merge.allowance.is_some_and(|allowance| allowance.is_spent()) {
            self.lanes.iter().for_each(|lane| lane.shared.state().stop(Some(SPENT.to_owned())));
            return Step::Nothing;
        }
        // The same message for a domain whose turn came later: not before the answer for the others is there.
        if merge.out.contains_key(&id) || !(room.alone || size <= room.octets) {
            return Step::Nothing;
        }
        self.take(&mut merge, id, size).map_or(Step::Nothing, Step::Take)
    }

    /// [2645-5.2.1-oldest] The oldest message of all lanes. A lane whose page is being read may have an older one.
    /// One that has used up its rate is passed over meanwhile.
    fn oldest(&self, merge: &mut Merge) -> Oldest {
        let (mut oldest, mut unknown): (Option<(QueueId, u64)>, _) = (None, false);
        let mut later: Option<Instant> = None;
        merge.live.retain(|lane| match self.lanes[*lane].shared.head() {
            Head::Work { id, size } => {
                if oldest.is_none_or(|(other, _)| id < other) {
                    oldest = Some((id, size));
                }
                true
            }
            Head::Later(at) => {
                later = Some(later.map_or(at, |other| other.min(at)));
                true
            }
            Head::Unknown => {
                unknown = true;
                true
            }
            Head::Nothing => false,
        });
        match (unknown, oldest, later) {
            (true, ..) => Oldest::Unknown,
            (false, Some((id, size)), _) => Oldest::Work(id, size),
            (false, None, Some(at)) => Oldest::Later(at),
            (false, None, None) => Oldest::Nothing,
        }
    }

    fn look_once_more(&self, merge: &mut Merge) -> Step {
        let over = |lane: &usize| self.lanes[*lane].shared.starts_over();
        merge.live = (0..self.lanes.len()).filter(over).collect();
        if merge.live.is_empty() { Step::Nothing } else { Step::Wait }
    }

    /// Takes a message out of every lane that has it as its head: it crosses the line once.
    fn take(&self, merge: &mut Merge, id: QueueId, size: u64) -> Option<Work> {
        let heads = merge.live.iter().map(|lane| (*lane, &self.lanes[*lane].shared));
        let parts: Vec<Part> =
            heads.filter_map(|(lane, shared)| Some(Part { lane, work: shared.take(id)? })).collect();
        let mut work = parts.first()?.work.clone();
        for part in &parts[1..] {
            work.waiting.extend(&part.work.waiting);
        }
        work.waiting.sort_unstable();
        work.waiting.dedup();
        merge.out.insert(id, parts);
        if let Some(allowance) = &mut merge.allowance {
            allowance.spend(size);
        }
        Some(work)
    }

    /// What is at hand, without waiting.
    pub(super) fn at_hand(&self, room: Room) -> Option<Work> {
        if !self.merged {
            return self.lanes[0].shared.state().take_head();
        }
        match self.step(room) {
            Step::Take(work) => Some(work),
            Step::Nothing | Step::Wait | Step::Until(_) => None,
        }
    }

    /// The lane of a message that is out, or of one of its recipients.
    pub(super) fn lane_of(&self, id: QueueId, recipient: Option<u16>) -> &Lane {
        let mut lane = 0;
        if self.merged
            && let Some(parts) = self.merge().out.get(&id)
        {
            let of = |part: &&Part| recipient.is_none_or(|index| part.work.waiting.contains(&index));
            lane = parts.iter().find(of).map_or(0, |part| part.lane);
        }
        &self.lanes[lane]
    }

    /// What each lane is to be told of a message that is done.
    pub(super) fn divide(&self, settlement: Settlement) -> Vec<(usize, Settlement)> {
        if !self.merged {
            return vec![(0, settlement)];
        }
        let Settlement { id, outcomes } = settlement;
        let parts = self.merge().out.remove(&id).unwrap_or_default();
        let mut divided = Vec::with_capacity(parts.len());
        for Part { lane, work } in parts {
            let of = |index: &u16| work.waiting.contains(index);
            let outcomes: Vec<_> = outcomes.iter().filter(|(index, _)| of(index)).cloned().collect();
            if outcomes.is_empty() {
                // Nothing was said about this domain's recipients: they stay as they are.
                self.lanes[lane].shared.state().skip(id);
            } else {
                divided.push((lane, Settlement { id, outcomes }));
            }
        }
        divided
    }

    pub(super) fn put_back(&self, work: Work) {
        if !self.merged {
            return self.lanes[0].shared.state().put_back(work);
        }
        let mut merge = self.merge();
        for Part { lane, work } in merge.out.remove(&work.id).unwrap_or_default() {
            merge.revive(lane);
            self.lanes[lane].shared.state().put_back(work);
        }
    }

    /// The lanes of a message that is out no longer.
    pub(super) fn take_out(&self, id: QueueId) -> Vec<usize> {
        if !self.merged {
            return vec![0];
        }
        let parts = self.merge().out.remove(&id).unwrap_or_default();
        parts.into_iter().map(|part| part.lane).collect()
    }
}

/// What is next of several lanes.
enum Oldest {
    Work(QueueId, u64),
    /// Nothing before this.
    Later(Instant),
    /// A page is being read.
    Unknown,
    Nothing,
}
