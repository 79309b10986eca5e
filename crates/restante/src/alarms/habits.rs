//! How often each domain's mail is asked for, and when whoever does has fallen silent.
//!
//! A domain counts as collected regularly once it was asked for [`REGULAR`] times. Its rhythm is the longest time between
//! two requests in the last [`HABIT_DAYS`] days, so that nights and weekends are learned. It is silent when nobody has
//! asked for three times that, at least for a quarter of an hour, and at most for its `uncollected-alarm`. A domain that is
//! asked for now and then is silent after its `uncollected-alarm`. One that nobody ever asked for is never silent: its mail that
//! waits raises `uncollected`. Time in which this server did not run is no silence.

use std::collections::BTreeMap;
use std::time::Duration;

use restante_types::{Domain, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::limits::HABIT_DAYS;

/// Requests that make a habit.
const REGULAR: u32 = 5;
/// Requests that are closer than this are one: a redial, or a list of domains.
const ONE_CALL: Duration = Duration::from_secs(60);
/// Nobody is silent sooner.
const LEAST: Duration = Duration::from_secs(15 * 60);
const DAY: u64 = 86_400_000;

/// One domain's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Habit {
    /// The last request.
    last: UnixMillis,
    /// The last one that was not part of the same call.
    call: UnixMillis,
    /// How many calls; counted up to [`REGULAR`].
    calls: u32,
    /// The longest pause, in milliseconds, that ended on each of the last days (counted from 1970).
    pauses: Vec<(u64, u64)>,
}

impl Habit {
    fn asked(&mut self, now: UnixMillis) {
        if self.calls == 0 {
            *self = Self { last: now, call: now, calls: 1, pauses: Vec::new() };
            return;
        }
        let pause = now.since(self.call);
        self.last = self.last.max(now);
        if pause < ONE_CALL {
            return;
        }
        self.call = now;
        self.calls = (self.calls + 1).min(REGULAR);
        let (today, pause) = (now.0 / DAY, u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.pauses.retain(|(day, _)| day + HABIT_DAYS > today && *day <= today);
        match self.pauses.iter_mut().find(|(day, _)| *day == today) {
            Some((_, longest)) => *longest = pause.max(*longest),
            None => self.pauses.push((today, pause)),
        }
    }

    /// After how long without a request it is silent.
    fn patience(&self, uncollected: Option<Duration>) -> Option<Duration> {
        let longest = self.pauses.iter().map(|(_, pause)| *pause).max();
        let usual = longest.filter(|_| self.calls >= REGULAR).map(Duration::from_millis);
        match usual.map(|usual| usual.saturating_mul(3).max(LEAST)) {
            Some(own) => Some(uncollected.map_or(own, |most| own.min(most))),
            None => uncollected,
        }
    }
}

/// Those of all domains that were ever asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Habits(BTreeMap<Domain, Habit>);

impl Habits {
    /// Somebody who may asked for a configured domain.
    pub(crate) fn asked(&mut self, domain: Domain, now: UnixMillis) {
        self.0.entry(domain).or_default().asked(now);
    }

    /// For how long nobody has asked for the domain, if that is too long. `up` is since when this server runs.
    pub(crate) fn silent(
        &self,
        domain: &Domain,
        uncollected: Option<Duration>,
        up: UnixMillis,
        now: UnixMillis,
    ) -> Option<Duration> {
        let habit = self.0.get(domain)?;
        let patience = habit.patience(uncollected)?;
        (now.since(habit.last.max(up)) >= patience).then(|| now.since(habit.last))
    }

    /// Whether somebody asked for it after this.
    pub(crate) fn asked_since(&self, domain: &Domain, since: UnixMillis) -> bool {
        self.0.get(domain).is_some_and(|habit| habit.last > since)
    }

    /// Forgets domains that are no longer configured.
    pub(crate) fn keep(&mut self, is_configured: impl Fn(&Domain) -> bool) {
        self.0.retain(|domain, _| is_configured(domain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;

    fn domain() -> Domain {
        "example.org".parse().unwrap()
    }

    fn asked_at(times: impl IntoIterator<Item = u64>) -> Habits {
        let mut habits = Habits::default();
        times.into_iter().for_each(|time| habits.asked(domain(), UnixMillis(time)));
        habits
    }

    fn silent(habits: &Habits, uncollected: Option<u64>, now: u64) -> bool {
        let uncollected = uncollected.map(Duration::from_millis);
        habits.silent(&domain(), uncollected, UnixMillis(0), UnixMillis(now)).is_some()
    }

    #[test]
    fn a_regular_asker_is_silent_after_three_of_its_pauses() {
        let habits = asked_at((0..20).map(|n| 100 * HOUR + n * 15 * MINUTE));
        let last = 100 * HOUR + 19 * 15 * MINUTE;
        assert!(!silent(&habits, Some(24 * HOUR), last + 44 * MINUTE));
        assert!(silent(&habits, Some(24 * HOUR), last + 45 * MINUTE));
        assert!(silent(&habits, None, last + 45 * MINUTE), "uncollected-alarm = off is no matter");
        assert!(silent(&habits, Some(20 * MINUTE), last + 20 * MINUTE), "uncollected-alarm is the most");
    }

    #[test]
    fn nights_are_learned() {
        // Three days from 8 to 18 h, every quarter of an hour.
        let days =
            (0..3).flat_map(|day| (0..40).map(move |n| (4800 + day * 24 + 8) * HOUR + n * 15 * MINUTE));
        let habits = asked_at(days);
        let evening = (4800 + 2 * 24 + 18) * HOUR;
        assert!(!silent(&habits, Some(48 * HOUR), evening + 14 * HOUR));
        assert!(silent(&habits, Some(48 * HOUR), evening + 44 * HOUR));
        // Nine days later the nights are forgotten.
        let mut habits = habits;
        let later = evening + 9 * 24 * HOUR;
        (0..800).for_each(|n| habits.asked(domain(), UnixMillis(later + n * 15 * MINUTE)));
        assert!(silent(&habits, Some(48 * HOUR), later + 799 * 15 * MINUTE + 46 * MINUTE));
    }

    #[test]
    fn who_asks_now_and_then_is_silent_after_the_alarms_time() {
        let habits = asked_at([HOUR, HOUR + 1, HOUR + 2, HOUR + 3, HOUR + 4, HOUR + 5, 2 * HOUR]);
        assert!(
            !silent(&habits, Some(24 * HOUR), 25 * HOUR),
            "one call is one, however many requests it has"
        );
        assert!(silent(&habits, Some(24 * HOUR), 26 * HOUR));
        assert!(!silent(&habits, None, 1000 * HOUR));
        assert!(!silent(&Habits::default(), Some(HOUR), 1000 * HOUR), "nobody ever asked");
    }

    #[test]
    fn time_in_which_we_did_not_run_is_no_silence() {
        let habits = asked_at((0..20).map(|n| n * 5 * MINUTE));
        let up = UnixMillis(50 * HOUR);
        let silent = |now: u64| habits.silent(&domain(), None, up, UnixMillis(now)).is_some();
        assert!(!silent(50 * HOUR + 14 * MINUTE));
        assert!(silent(50 * HOUR + 15 * MINUTE));
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let habits = asked_at([10 * HOUR, 5 * HOUR, 11 * HOUR]);
        assert!(!silent(&habits, Some(HOUR), 0));
        assert!(silent(&habits, Some(HOUR), 12 * HOUR));
    }
}
