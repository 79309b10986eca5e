//! Which of many events of one kind are told, so that no stranger fills a disk with them.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use restante_types::Network;

use crate::interval::Intervals;
use crate::limits::{NETWORK_TOLD_EVERY, TOLD_AT_ONCE, TOLD_EVERY};

/// Tells all of what comes now and then. Of a flood it tells so much: [`TOLD_AT_ONCE`] events, then one in [`TOLD_EVERY`],
/// and the first of each network in [`NETWORK_TOLD_EVERY`], which somebody else's flood does not hide. The others are
/// counted, and the next event that is told says how many they were.
#[derive(Debug, Default)]
pub struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Events told since there was room for all of them, less one for each [`TOLD_EVERY`] that has passed.
    owed: u32,
    /// Up to when that was reckoned.
    since: Option<Instant>,
    networks: Intervals<Network>,
    untold: u64,
}

impl Pace {
    /// Whether an event that `network` caused should be told now, with the number of those that were not told since the
    /// last one that was.
    pub fn worth_telling(&self, network: Network, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.relieve(now);
        let is_first = state.networks.remaining(&network, now).is_none();
        if !is_first && state.owed >= TOLD_AT_ONCE {
            state.untold += 1;
            return None;
        }
        if is_first {
            state.networks.start(&network, now, NETWORK_TOLD_EVERY);
        }
        state.owed = state.owed.saturating_add(1).min(TOLD_AT_ONCE);
        Some(std::mem::take(&mut state.untold))
    }
}

impl State {
    fn relieve(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since).as_nanos() / TOLD_EVERY.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.owed = self.owed.saturating_sub(passed);
        // What has passed of the next one is not lost, so that a steady flood is told at a steady pace.
        self.since = since.checked_add(TOLD_EVERY.saturating_mul(passed)).or(Some(now));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn network(n: u8) -> Network {
        Network::of_client([192, 0, 2, n].into())
    }

    #[test]
    fn what_comes_now_and_then_is_told() {
        let (pace, start) = (Pace::default(), Instant::now());
        for n in 0..10 * TOLD_AT_ONCE {
            assert_eq!(pace.worth_telling(network(1), start + TOLD_EVERY * n), Some(0));
        }
    }

    #[test]
    fn a_flood_is_counted_and_nothing_of_it_is_lost() {
        let (pace, start) = (Pace::default(), Instant::now());
        let (mut told, mut counted) = (0, 0);
        for n in 0..100_000_u32 {
            if let Some(untold) = pace.worth_telling(network(1), start + Duration::from_millis(n.into())) {
                (told, counted) = (told + 1, counted + untold);
            }
        }
        assert_eq!(told, u64::from(TOLD_AT_ONCE) + 99, "then one in each second");
        let last = pace.worth_telling(network(1), start + Duration::from_secs(1000)).unwrap();
        assert_eq!(told + counted + last, 100_000);
    }

    #[test]
    fn a_flood_does_not_hide_what_others_do() {
        let (pace, now) = (Pace::default(), Instant::now());
        let told = (0..1000).filter(|_| pace.worth_telling(network(1), now).is_some()).count();
        assert_eq!(told, TOLD_AT_ONCE as usize);
        assert_eq!(pace.worth_telling(network(2), now), Some(1000 - u64::from(TOLD_AT_ONCE)));
        assert_eq!(pace.worth_telling(network(2), now), None);
        assert_eq!(pace.worth_telling(network(2), now + NETWORK_TOLD_EVERY), Some(1));
    }
}
