//! When a server is called.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use jiff::{SignedDuration, Timestamp, Zoned};
use rand::Rng;

use crate::limits::{BACK_OFF, BACK_OFF_MOST};

/// When, without jitter.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// At the times of a cron expression, in local time.
    Cron(Box<Cron>),
    /// This long after the last time.
    Every(Duration),
}

/// A text that is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cron expression: {0}")]
pub struct NoSchedule(String);

impl FromStr for Schedule {
    type Err = NoSchedule;
    /// Five fields: minute, hour, day, month, weekday.
    fn from_str(text: &str) -> Result<Self, NoSchedule> {
        let cron: Cron =
            text.parse().map_err(|error: croner::errors::CronError| NoSchedule(error.to_string()))?;
        // One that never comes, such as the 30th of February, is no schedule.
        let start = Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
        cron.find_next_occurrence(&start, false).map_err(|error| NoSchedule(error.to_string()))?;
        Ok(Self::Cron(Box::new(cron)))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(cron) => f.write_str(cron.as_str()),
            Self::Every(span) => write!(f, "every {span:?}"),
        }
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cron(one), Self::Cron(other)) => one.as_str() == other.as_str(),
            (Self::Every(one), Self::Every(other)) => one == other,
            _ => false,
        }
    }
}
impl Eq for Schedule {}

impl Schedule {
    /// The first time to come, for one whose last run is on record. A run that was missed is made up for at once, where
    /// the schedule is a span.
    #[must_use]
    pub fn first(&self, now: &Zoned, last: Option<Timestamp>) -> Timestamp {
        match (self, last) {
            (Self::Cron(_), _) => self.next(now),
            (Self::Every(_), None) => now.timestamp(),
            (Self::Every(span), Some(last)) => later(last.min(now.timestamp()), *span).max(now.timestamp()),
        }
    }

    /// The next time after now.
    #[must_use]
    pub fn next(&self, now: &Zoned) -> Timestamp {
        match self {
            Self::Every(span) => later(now.timestamp(), *span),
            // It was tried when it was read; a calendar that ends is as good as a day.
            Self::Cron(cron) => cron.find_next_occurrence(now, false).map_or_else(
                |_| later(now.timestamp(), Duration::from_secs(86_400)),
                |next| next.timestamp(),
            ),
        }
    }
}

/// This much later; the end of time where there is no later.
pub(crate) fn later(from: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// A part of `most`, at random, so that not all customers of a server call in the same second.
pub(crate) fn jitter(most: Duration, random: &mut impl Rng) -> Duration {
    most.mul_f64(random.random_range(0.0..=1.0))
}

/// The wait after this many failures in a row: doubling from [`BACK_OFF`] to [`BACK_OFF_MOST`], half of it at random.
pub(crate) fn back_off(failures: u32, random: &mut impl Rng) -> Duration {
    let doubled = BACK_OFF.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let wait = doubled.min(BACK_OFF_MOST);
    wait / 2 + jitter(wait / 2, random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn cron_is_local_time() {
        let quarter: Schedule = "*/15 * * * *".parse().unwrap();
        assert_eq!(
            quarter.next(&at("2026-01-31T12:07:30+01:00[Europe/Berlin]")),
            "2026-01-31T11:15:00Z".parse().unwrap()
        );
        let morning: Schedule = "0 8 * * MON-FRI".parse().unwrap();
        assert_eq!(
            morning.next(&at("2026-01-30T08:00:00+01:00[Europe/Berlin]")),
            "2026-02-02T07:00:00Z".parse().unwrap()
        );
        assert_eq!(morning.to_string(), "0 8 * * 1-5");
        for text in ["", "soon", "* * * *", "61 * * * *", "0 0 30 2 *"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_counts_from_the_last_run() {
        let now = at("2026-01-31T12:00:00+00:00[UTC]");
        let every = Schedule::Every(Duration::from_secs(900));
        assert_eq!(every.first(&now, None), now.timestamp());
        for (last, first) in [
            ("2026-01-31T11:50:00Z", "2026-01-31T12:05:00Z"),
            ("2026-01-31T10:00:00Z", "2026-01-31T12:00:00Z"),
            // A clock that was set back does not put it off for ever.
            ("2030-01-31T10:00:00Z", "2026-01-31T12:15:00Z"),
        ] {
            assert_eq!(every.first(&now, Some(last.parse().unwrap())), first.parse().unwrap(), "{last}");
        }
        assert_eq!(Schedule::Every(Duration::MAX).next(&now), Timestamp::MAX);
    }

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let mut random = StdRng::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for failures in 1..100 {
            let wait = back_off(failures, &mut random);
            let full = BACK_OFF.saturating_mul(1 << (failures - 1).min(16)).min(BACK_OFF_MOST);
            assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
            seen.insert(wait);
        }
        assert!(seen.len() > 90);
        assert!(jitter(Duration::from_secs(30), &mut random) <= Duration::from_secs(30));
        assert_eq!(jitter(Duration::ZERO, &mut random), Duration::ZERO);
    }
}
