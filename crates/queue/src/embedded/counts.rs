//! One domain's counts, kept as entries come, change and go: a count never scans.

use std::collections::BTreeMap;

use restante_types::{DeliveryState, QueueId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::index::{Arrival, EntryValue, Standing};

/// Counts of one domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Messages that wait.
    pub(super) messages: u64,
    /// Their content, in octets.
    pub(super) bytes: u64,
    /// The first of them.
    pub(super) oldest: Option<Arrival>,
    /// The first whose id says when it came: a derived id is as old as what it is derived from.
    #[serde(default)]
    pub(super) first_minted: Option<Arrival>,
    /// The last of them.
    pub(super) newest: Option<Arrival>,
    /// Messages that do not wait, by the number of their state.
    parked: [u64; DeliveryState::ALL.len()],
    /// The earliest scheduled attempt.
    pub(super) next_due: Option<UnixMillis>,
}

/// What must be looked up in the index, because what was taken away was at the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) oldest: bool,
    pub(super) first_minted: bool,
    pub(super) newest: bool,
    pub(super) next_due: bool,
}

impl Stale {
    pub(super) const fn any(self) -> bool {
        self.oldest || self.first_minted || self.newest || self.next_due
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self {
            oldest: self.oldest || other.oldest,
            first_minted: self.first_minted || other.first_minted,
            newest: self.newest || other.newest,
            next_due: self.next_due || other.next_due,
        }
    }
}

fn number(state: DeliveryState) -> usize {
    DeliveryState::ALL.iter().position(|known| *known == state).unwrap_or(0)
}

impl Counts {
    /// Messages in the queue, waiting or not.
    pub(super) fn entries(&self) -> u64 {
        self.messages + self.parked.iter().sum::<u64>()
    }

    /// Messages that do not wait, by state; absent means none.
    pub(super) fn parked(&self) -> BTreeMap<DeliveryState, u64> {
        let all = DeliveryState::ALL.into_iter().zip(self.parked);
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// When the oldest of them came. A notice among mail is no older than it is, though it stands before it.
    pub(super) fn oldest_arrival(&self) -> Option<UnixMillis> {
        self.first_minted.or(self.oldest).map(|(_, arrived)| arrived)
    }

    pub(super) fn add(&mut self, id: QueueId, entry: &EntryValue) {
        match entry.standing() {
            Standing::Done => {}
            Standing::Parked(state) => self.parked[number(state)] += 1,
            Standing::Waits => {
                self.messages += 1;
                self.bytes += entry.size;
                self.waits(id, entry);
            }
        }
    }

    /// Takes an entry for the edges into account that is counted already.
    pub(super) fn waits(&mut self, id: QueueId, entry: &EntryValue) {
        let arrival = (id, entry.arrived);
        self.oldest = Some(self.oldest.map_or(arrival, |oldest| oldest.min(arrival)));
        if !id.is_derived() {
            self.first_minted = Some(self.first_minted.map_or(arrival, |first| first.min(arrival)));
        }
        self.newest = Some(self.newest.map_or(arrival, |newest| newest.max(arrival)));
        if let Some(due) = entry.due() {
            self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        }
    }

    pub(super) fn remove(&mut self, id: QueueId, entry: &EntryValue) -> Stale {
        match entry.standing() {
            Standing::Done => return Stale::default(),
            Standing::Parked(state) => {
                let parked = &mut self.parked[number(state)];
                *parked = parked.saturating_sub(1);
                return Stale::default();
            }
            Standing::Waits => {}
        }
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.size);
        let is = |edge: Option<Arrival>| edge.is_some_and(|(edge, _)| edge == id);
        Stale {
            oldest: is(self.oldest),
            first_minted: is(self.first_minted),
            newest: is(self.newest),
            next_due: entry.due().is_some() && entry.due() == self.next_due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::RecipientState;
    use crate::index::tests::entry;

    #[test]
    fn what_is_added_and_taken_away_leaves_nothing() {
        let mut counts = Counts::default();
        let ids = [1, 2, 3].map(|n| QueueId::from_bytes([n; 16]));
        let mut waits = entry(1);
        waits.next_attempt = Some(UnixMillis(9));
        let mut failed = entry(1);
        failed.recipients[0].state = RecipientState::new(DeliveryState::Failed);
        counts.add(ids[1], &waits);
        counts.add(ids[0], &waits);
        counts.add(ids[2], &failed);
        assert_eq!((counts.messages, counts.bytes, counts.entries()), (2, 2 * 8192, 3));
        assert_eq!(counts.oldest.unwrap().0, ids[0]);
        assert_eq!(counts.newest.unwrap().0, ids[1]);
        assert_eq!(counts.next_due, Some(UnixMillis(9)));
        assert_eq!(counts.parked(), [(DeliveryState::Failed, 1)].into());
        assert_eq!(
            counts.remove(ids[0], &waits),
            Stale { oldest: true, first_minted: true, newest: false, next_due: true }
        );
        assert_eq!(counts.remove(ids[2], &failed), Stale::default());
        counts.remove(ids[1], &waits);
        assert_eq!((counts.entries(), counts.bytes), (0, 0));
    }

    #[test]
    fn a_derived_id_says_nothing_about_who_came_first() {
        let mut counts = Counts::default();
        let original = QueueId::from_bytes([1; 16]);
        let (mut notice, mut mail) = (entry(1), entry(1));
        (notice.arrived, mail.arrived) = (UnixMillis(9000), UnixMillis(5000));
        let (first, second) = (original.derived(b"failed"), QueueId::from_bytes([2; 16]));
        counts.add(first, &notice);
        assert_eq!(counts.oldest_arrival(), Some(UnixMillis(9000)), "nothing else is there");
        counts.add(second, &mail);
        assert_eq!((counts.oldest.unwrap().0, counts.oldest_arrival()), (first, Some(UnixMillis(5000))));
        let gone = counts.remove(second, &mail);
        assert!(gone.first_minted && !gone.oldest);
        assert!(!counts.remove(first, &notice).first_minted);
    }
}
