//! The clocks the store asks, and the watch over them: mail must not expire because a clock jumped.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use restante_types::UnixMillis;

use crate::limits::{CLOCK_JUMP, CLOCK_RECOVERY, CLOCK_SLACK};

/// Where a store takes the time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day; it may jump.
    fn wall(&self) -> UnixMillis;

    /// Time since some fixed point; it never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> UnixMillis {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Notices that the wall clock cannot be trusted: it jumped by more than an hour against the monotonic clock, or it
/// stands before the newest record.
///
/// Trust comes back when both clocks have agreed, at or behind the newest record, for an hour without a break (a
/// machine that slept shows the same jump as a wrong clock, and must not stop expiring for good), or with a restart.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    last: Option<(Duration, UnixMillis)>,
    /// Monotonic time of the last reading that was wrong.
    doubted: Option<Duration>,
}

/// What a reading changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockChange {
    /// The clock is in doubt from now on.
    Doubted,
    /// It is trusted again.
    Trusted,
}

impl ClockWatch {
    pub(crate) const fn new() -> Self {
        Self { last: None, doubted: None }
    }

    pub(crate) const fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    /// Takes a reading of both clocks; `newest` is the arrival of the newest record.
    pub(crate) fn observe(
        &mut self,
        monotonic: Duration,
        wall: UnixMillis,
        newest: UnixMillis,
    ) -> Option<ClockChange> {
        let jumped = self.last.is_some_and(|(then, wall_then)| {
            let expected = wall_then.plus(monotonic.saturating_sub(then));
            expected.since(wall).max(wall.since(expected)) > CLOCK_JUMP
        });
        self.last = Some((monotonic, wall));
        if jumped || newest.since(wall) > CLOCK_SLACK {
            let first = self.doubted.replace(monotonic).is_none();
            return first.then_some(ClockChange::Doubted);
        }
        let since = self.doubted?;
        if monotonic.saturating_sub(since) < CLOCK_RECOVERY {
            return None;
        }
        self.doubted = None;
        Some(ClockChange::Trusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_800_000_000_000;

    fn watch_with(readings: &[(u64, u64)]) -> (ClockWatch, Vec<Option<ClockChange>>) {
        let mut watch = ClockWatch::new();
        let newest = UnixMillis(NOW);
        let changes = readings
            .iter()
            .map(|(monotonic, wall)| {
                watch.observe(Duration::from_millis(*monotonic), UnixMillis(*wall), newest)
            })
            .collect();
        (watch, changes)
    }

    #[test]
    fn a_steady_clock_is_trusted() {
        let (watch, changes) =
            watch_with(&[(0, NOW), (HOUR, NOW + HOUR), (9 * HOUR, NOW + 9 * HOUR + 50_000)]);
        assert!(!watch.is_doubted());
        assert_eq!(changes, [None, None, None]);
    }

    #[test]
    fn a_jump_either_way_is_doubted_once() {
        for wall in [NOW + 5 * HOUR, NOW + HOUR + 60_000 + 1000] {
            let (watch, changes) = watch_with(&[(0, NOW), (1000, wall), (2000, wall + 1000)]);
            assert!(watch.is_doubted());
            assert_eq!(changes, [None, Some(ClockChange::Doubted), None]);
        }
        let (watch, _) = watch_with(&[(0, NOW + 9 * HOUR), (1000, NOW + 7 * HOUR)]);
        assert!(watch.is_doubted());
        let (watch, _) = watch_with(&[(0, NOW), (1000, NOW + HOUR)]);
        assert!(!watch.is_doubted(), "an hour and no more");
    }

    #[test]
    fn a_clock_before_the_newest_record_is_doubted() {
        assert!(watch_with(&[(0, NOW - 60_001)]).0.is_doubted());
        assert!(!watch_with(&[(0, NOW - 60_000)]).0.is_doubted());
    }

    #[test]
    fn an_hour_of_agreement_brings_trust_back() {
        let jump = [(0, NOW), (1000, NOW + 5 * HOUR)];
        let (watch, changes) =
            watch_with(&[&jump[..], &[(HOUR, NOW + 6 * HOUR), (HOUR + 1000, NOW + 6 * HOUR)]].concat());
        assert!(!watch.is_doubted());
        assert_eq!(changes[3], Some(ClockChange::Trusted));
        let (watch, _) =
            watch_with(&[&jump[..], &[(HOUR, NOW + 9 * HOUR), (HOUR + 1000, NOW + 9 * HOUR)]].concat());
        assert!(watch.is_doubted(), "it jumped again in between");
    }
}
