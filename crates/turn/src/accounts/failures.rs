//! Counting failed attempts.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use restante_types::Network;

use crate::limits::{FAILURE_SPAN, FAILURES_PER_ACCOUNT, FAILURES_PER_NETWORK, MAX_FAILURES};

/// What is counted: attempts of a network at one account (by a hash of its name, so that long names cost nothing), or
/// at any.
type Key = (Network, Option<u64>);

/// Failures of one key.
#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    since: Instant,
    /// It got in before: failures of others behind the same address do not keep it out.
    proved: bool,
}

/// Who has to wait before it may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limited {
    /// This network at this account, for so long.
    Account(Duration),
    /// This network at all accounts, for so long.
    Network(Duration),
}

/// Failed attempts by network and account. A stranger elsewhere, whatever it does, never keeps the owner out.
#[derive(Debug, Default)]
pub(super) struct Failures {
    counts: HashMap<Key, Count>,
    names: RandomState,
}

impl Failures {
    /// Whether an attempt is not even looked at.
    pub(super) fn limit(&self, network: Network, name: &str, now: Instant) -> Option<Limited> {
        let pair = self.counts.get(&self.pair(network, name));
        if let Some(rest) = over(pair, FAILURES_PER_ACCOUNT, now) {
            return Some(Limited::Account(rest));
        }
        if pair.is_some_and(|pair| pair.proved) {
            return None;
        }
        over(self.counts.get(&(network, None)), FAILURES_PER_NETWORK, now).map(Limited::Network)
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, network: Network, name: &str, now: Instant) {
        let pair = self.pair(network, name);
        for key in [pair, (network, None)] {
            self.make_room(now);
            let fresh = Count { failures: 0, since: now, proved: false };
            let count = self.counts.entry(key).or_insert(fresh);
            if is_over(count, now) {
                *count = Count { proved: count.proved, ..fresh };
            }
            count.failures = count.failures.saturating_add(1);
        }
    }

    /// An attempt succeeded.
    pub(super) fn succeeded(&mut self, network: Network, name: &str, now: Instant) {
        self.make_room(now);
        let pair = self.pair(network, name);
        self.counts.insert(pair, Count { failures: 0, since: now, proved: true });
    }

    fn pair(&self, network: Network, name: &str) -> Key {
        (network, Some(self.names.hash_one(name)))
    }

    /// Forgets what is over, then the older half, so that a flood can only make us more lenient.
    fn make_room(&mut self, now: Instant) {
        if self.counts.len() < MAX_FAILURES {
            return;
        }
        self.counts.retain(|_, count| !is_over(count, now));
        if self.counts.len() > MAX_FAILURES / 2 {
            let mut since: Vec<Instant> = self.counts.values().map(|count| count.since).collect();
            let older = since.len() - MAX_FAILURES / 2;
            let middle = *since.select_nth_unstable(older).1;
            let mut room = MAX_FAILURES / 2;
            self.counts.retain(|_, count| {
                let stays = count.since >= middle && room > 0;
                room -= usize::from(stays);
                stays
            });
        }
    }
}

fn is_over(count: &Count, now: Instant) -> bool {
    now.saturating_duration_since(count.since) >= FAILURE_SPAN
}

fn over(count: Option<&Count>, most: u32, now: Instant) -> Option<Duration> {
    let count = count.filter(|count| count.failures >= most)?;
    FAILURE_SPAN.checked_sub(now.saturating_duration_since(count.since)).filter(|rest| !rest.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: usize) -> Network {
        Network::of(std::net::IpAddr::V6((n as u128).into()), 128)
    }

    /// [4954-9-guessing]
    #[test]
    fn a_stranger_never_keeps_the_owner_out() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for _ in 0..FAILURES_PER_ACCOUNT {
            assert_eq!(failures.limit(network(1), "owner", now), None);
            failures.failed(network(1), "owner", now);
        }
        assert!(matches!(failures.limit(network(1), "owner", now), Some(Limited::Account(_))));
        assert_eq!(failures.limit(network(2), "owner", now), None);
        assert_eq!(failures.limit(network(1), "other", now), None);
        assert_eq!(failures.limit(network(1), "owner", now + FAILURE_SPAN), None);
    }

    #[test]
    fn guessing_at_many_accounts_is_limited_too_but_not_for_who_got_in_before() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.succeeded(network(1), "neighbour", now);
        for n in 0..FAILURES_PER_NETWORK {
            failures.failed(network(1), &format!("name{n}"), now);
        }
        assert!(matches!(failures.limit(network(1), "another", now), Some(Limited::Network(_))));
        assert_eq!(failures.limit(network(1), "neighbour", now), None);
    }

    #[test]
    fn success_forgets_the_failures() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        (0..FAILURES_PER_ACCOUNT).for_each(|_| failures.failed(network(1), "owner", now));
        failures.succeeded(network(1), "owner", now);
        assert_eq!(failures.limit(network(1), "owner", now), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        for n in 0..3 * MAX_FAILURES {
            failures.failed(network(n), "owner", start + Duration::from_micros(n as u64));
            assert!(failures.counts.len() <= MAX_FAILURES);
        }
        for n in 0..2 * MAX_FAILURES {
            failures.failed(network(n), "owner", start);
            assert!(failures.counts.len() <= MAX_FAILURES);
        }
    }
}
