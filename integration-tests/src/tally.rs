//! The account of a test that counts by ids: what was acknowledged, what arrived, what waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::Daemon;
use crate::faults::say;

/// How a message is acknowledged; the id follows.
const QUEUED: &str = "250 2.0.0 queued as ";

/// Ids that were acknowledged so far.
#[derive(Debug, Default)]
pub struct Tally {
    acknowledged: Mutex<Vec<String>>,
}

/// What became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Acknowledged.
    pub accepted: usize,
    /// Of these, those that arrived.
    pub delivered: usize,
    /// Of these, those that wait and did not arrive.
    pub held: usize,
    /// Of these, all others.
    pub lost: usize,
    /// Copies beyond the first of each.
    pub doubled: usize,
    /// What arrived or waits without having been acknowledged.
    pub strange: usize,
}

impl Tally {
    /// Takes up the reply to the end of a message; whether it was an acknowledgement.
    pub fn note(&self, reply: &str) -> bool {
        let id = reply.strip_prefix(QUEUED).map(|id| id.trim().to_owned());
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = id.is_some();
        acknowledged.extend(id);
        taken
    }

    /// How many were acknowledged so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Compares with what the daemon lists and with what `arrived`, and tells it. Nothing may be missing, twice, or
    /// from nowhere, and something must have been there.
    ///
    /// # Panics
    /// When it is not so.
    pub fn account(&self, what: &str, daemon: &Daemon, arrived: impl IntoIterator<Item = Vec<u8>>) -> Sums {
        let waits = daemon
            .json(&["list"])
            .iter()
            .filter_map(|entry| entry["id"].as_str().map(str::to_owned))
            .collect();
        let sums = self.sums(&waits, arrived.into_iter().map(|content| id_of(&content)));
        say(&format!("{what}: {sums}"));
        assert!(sums.accepted > 0, "{what}: nothing was there");
        assert_eq!((sums.lost, sums.doubled, sums.strange), (0, 0, 0), "{what}: {sums}");
        sums
    }

    fn sums(&self, waits: &BTreeSet<String>, arrived: impl Iterator<Item = String>) -> Sums {
        let mut copies: BTreeMap<String, usize> = BTreeMap::new();
        arrived.for_each(|id| *copies.entry(id).or_default() += 1);
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let known: BTreeSet<_> = acknowledged.iter().collect();
        let delivered = known.iter().filter(|id| copies.contains_key(**id)).count();
        let held = known.iter().filter(|id| !copies.contains_key(**id) && waits.contains(**id)).count();
        Sums {
            accepted: acknowledged.len(),
            delivered,
            held,
            lost: acknowledged.len() - delivered - held,
            doubled: copies.values().map(|count| count - 1).sum(),
            strange: copies.keys().chain(waits).filter(|id| !known.contains(id)).count(),
        }
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, held, lost, doubled, strange } = self;
        write!(
            out,
            "{accepted} accepted, {delivered} delivered, {held} held, {lost} lost, {doubled} doubled, {strange} from nowhere"
        )
    }
}

/// The id in the topmost Received line.
fn id_of(content: &[u8]) -> String {
    let head = String::from_utf8_lossy(&content[..content.len().min(4096)]).into_owned();
    let id = head.lines().find_map(|line| line.strip_prefix("\tid "));
    id.unwrap_or_default().trim_end_matches(';').to_owned()
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn what_is_missing_or_twice_is_found() {
        let tally = Tally::default();
        for id in ["1", "2", "3", "4"] {
            assert!(tally.note(&format!("250 2.0.0 queued as {id}")));
        }
        assert!(!tally.note("451 4.3.1 later"));
        let waits = ["2", "5"].map(str::to_owned).into();
        let sums = tally.sums(&waits, ["1", "3", "3"].map(str::to_owned).into_iter());
        let found = (sums.accepted, sums.delivered, sums.held, sums.lost, sums.doubled, sums.strange);
        assert_eq!(found, (4, 2, 1, 1, 1, 1));
    }
}
