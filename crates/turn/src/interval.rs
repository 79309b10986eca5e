//! The minimum interval between two requests.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use restante_types::{Domain, Network};

use crate::limits::MAX_INTERVALS;

/// What an unauthenticated asker's interval is counted by: per pair, so that what one asker does never uses up another's.
pub(crate) type Pair = (Domain, Network);

/// When each asker last asked with success.
#[derive(Debug)]
pub(crate) struct Intervals<K> {
    /// The end of each interval.
    until: HashMap<K, Instant>,
}

impl<K> Default for Intervals<K> {
    fn default() -> Self {
        Self { until: HashMap::new() }
    }
}

impl<K: Hash + Eq + Clone> Intervals<K> {
    /// How long this asker still has to wait; `None` if it need not.
    pub(crate) fn remaining(&self, key: &K, now: Instant) -> Option<Duration> {
        let until = self.until.get(key)?;
        until.checked_duration_since(now).filter(|rest| !rest.is_zero())
    }

    /// Starts its interval.
    pub(crate) fn start(&mut self, key: &K, now: Instant, interval: Duration) {
        if interval.is_zero() {
            return;
        }
        if self.until.len() >= MAX_INTERVALS {
            self.make_room(now);
        }
        self.until.insert(key.clone(), now + interval);
    }

    /// It need not wait.
    pub(crate) fn forget(&mut self, key: &K) {
        self.until.remove(key);
    }

    fn make_room(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        // Only every MAX_INTERVALS / 2 requests at the soonest, so that its cost spreads.
        if self.until.len() > MAX_INTERVALS / 2 {
            let mut ends: Vec<Instant> = self.until.values().copied().collect();
            let keep = MAX_INTERVALS / 2;
            ends.sort_unstable_by(|a, b| b.cmp(a));
            let oldest_kept = ends[keep - 1];
            let mut room = keep;
            self.until.retain(|_, until| {
                let stays = *until >= oldest_kept && room > 0;
                room -= usize::from(stays);
                stays
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: usize) -> Network {
        Network::of(std::net::IpAddr::V6((n as u128).into()), 128)
    }

    #[test]
    fn a_pair_waits_for_itself_only() {
        let (start, span) = (Instant::now(), Duration::from_secs(15));
        let (a, b): (Domain, Domain) = ("a.example".parse().unwrap(), "b.example".parse().unwrap());
        let mut intervals = Intervals::default();
        intervals.start(&(a.clone(), network(1)), start, span);
        let later = start + Duration::from_secs(5);
        assert_eq!(intervals.remaining(&(a.clone(), network(1)), later), Some(Duration::from_secs(10)));
        assert_eq!(intervals.remaining(&(a.clone(), network(2)), later), None);
        assert_eq!(intervals.remaining(&(b.clone(), network(1)), later), None);
        assert_eq!(intervals.remaining(&(a.clone(), network(1)), start + span), None);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let (start, span) = (Instant::now(), Duration::from_secs(15));
        let domain: Domain = "a.example".parse().unwrap();
        let mut intervals = Intervals::default();
        for n in 0..3 * MAX_INTERVALS {
            intervals.start(&(domain.clone(), network(n)), start + Duration::from_micros(n as u64), span);
            assert!(intervals.until.len() <= MAX_INTERVALS);
        }
        let end = start + Duration::from_secs(1);
        assert!(intervals.remaining(&(domain.clone(), network(3 * MAX_INTERVALS - 1)), end).is_some());
        assert!(intervals.remaining(&(domain.clone(), network(0)), end).is_none());
    }

    #[test]
    fn the_table_stays_bounded_when_all_ask_at_once() {
        let (start, span) = (Instant::now(), Duration::from_secs(15));
        let domain: Domain = "a.example".parse().unwrap();
        let mut intervals = Intervals::default();
        for n in 0..2 * MAX_INTERVALS {
            intervals.start(&(domain.clone(), network(n)), start, span);
            assert!(intervals.until.len() <= MAX_INTERVALS);
        }
    }
}
