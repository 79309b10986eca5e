//! The times in which a domain's clock stood still: what waited meanwhile is not older for it.

use std::time::Duration;

use restante_types::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_PAUSES;

/// A time in which the clock stood still; its end does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pause {
    from: UnixMillis,
    until: UnixMillis,
}

/// A pause that runs: its stop has not been taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    from: UnixMillis,
    /// When it is to end, if that is known.
    until: Option<UnixMillis>,
}

/// A domain's pauses: the stops with `pause_retention`, and how old its mail is by a clock that stands still in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    over: Past,
    running: Option<Running>,
}

/// Pauses that are over, in order; none touches another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Past(Vec<Pause>);

impl Past {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one, joined with those it touches. Of more than [`MAX_PAUSES`] the two with the least between them become
    /// one: mail stays a little longer then, never shorter.
    pub(crate) fn add(&mut self, from: UnixMillis, until: UnixMillis) {
        if until <= from {
            return;
        }
        let first = self.0.partition_point(|pause| pause.until < from);
        let behind = self.0.partition_point(|pause| pause.from <= until);
        let joined = self.0[first..behind].iter().fold(Pause { from, until }, |joined, pause| Pause {
            from: joined.from.min(pause.from),
            until: joined.until.max(pause.until),
        });
        self.0.splice(first..behind, [joined]);
        if self.0.len() > MAX_PAUSES {
            let gap = |at: &usize| self.0[at + 1].from.since(self.0[*at].until);
            if let Some(at) = (0..self.0.len() - 1).min_by_key(gap) {
                self.0[at].until = self.0[at + 1].until;
                self.0.remove(at + 1);
            }
        }
    }

    /// Forgets what was over when the oldest message came.
    pub(crate) fn forget_before(&mut self, oldest: UnixMillis) {
        self.0.retain(|pause| pause.until > oldest);
    }
}

impl Pauses {
    pub(crate) const fn new(over: Past) -> Self {
        Self { over, running: None }
    }

    /// With a pause that runs since `from` and ends at `until`, if that is known.
    #[must_use]
    pub fn with_running(self, from: UnixMillis, until: Option<UnixMillis>) -> Self {
        Self { running: Some(Running { from, until }), ..self }
    }

    /// With a pause that is over; for stores outside this crate, and tests.
    #[must_use]
    pub fn with(mut self, from: UnixMillis, until: UnixMillis) -> Self {
        self.over.add(from, until);
        self
    }

    /// Whether the clock stands still now.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// What has arrived before this is older, at `now`, than `retention` by the domain's clock.
    #[must_use]
    pub fn cutoff(&self, now: UnixMillis, retention: Duration) -> UnixMillis {
        let (mut at, mut left) = (now.0, millis(retention));
        for pause in self.merged(|_| now).0.iter().rev() {
            let ran = at.saturating_sub(pause.until.0);
            if ran > left {
                break;
            }
            left -= ran;
            at = at.min(pause.from.0);
        }
        UnixMillis(at.saturating_sub(left))
    }

    /// Up to when a message that arrived then is no older than `retention` by the domain's clock. A pause that runs
    /// counts up to its end where that is known, else up to `now`.
    #[must_use]
    pub fn expires(&self, arrived: UnixMillis, retention: Duration, now: UnixMillis) -> UnixMillis {
        let (mut at, mut left) = (arrived.0, millis(retention));
        let ends = |running: Running| running.until.map_or(now, |until| until.max(now));
        for pause in self.merged(ends).0.iter().filter(|pause| pause.until > arrived) {
            let runs = pause.from.0.saturating_sub(at);
            if runs > left {
                break;
            }
            left -= runs;
            at = pause.until.0;
        }
        UnixMillis(at.saturating_add(left))
    }

    /// All of them, the running one up to the end it is given.
    fn merged(&self, end: impl FnOnce(Running) -> UnixMillis) -> std::borrow::Cow<'_, Past> {
        let Some(running) = self.running else { return std::borrow::Cow::Borrowed(&self.over) };
        let mut all = self.over.clone();
        all.add(running.from, end(running));
        std::borrow::Cow::Owned(all)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const END: u64 = 120;

    fn pauses(spans: &[(u64, u64)]) -> Pauses {
        let pause = |all: Pauses, (from, until): &(u64, u64)| all.with(UnixMillis(*from), UnixMillis(*until));
        spans.iter().fold(Pauses::default(), pause)
    }

    /// Milliseconds from one time to another in which the clock ran.
    fn ran(spans: &[(u64, u64)], from: u64, until: u64) -> u64 {
        let stands = |at: &u64| spans.iter().any(|(from, until)| from <= at && at < until);
        (from..until).filter(|at| !stands(at)).count() as u64
    }

    fn spans() -> impl Strategy<Value = Vec<(u64, u64)>> {
        proptest::collection::vec((0..END, 0..20u64).prop_map(|(from, span)| (from, from + span)), 0..8)
    }

    proptest! {
        #[test]
        fn what_is_before_the_cutoff_is_older_than_the_retention(
            over in spans(),
            running in proptest::option::of(0..END),
            now in 0..END,
            retention in 0..END,
        ) {
            let mut all = over.clone();
            all.extend(running.map(|from| (from, now.max(from))));
            let pauses = match running {
                Some(from) => pauses(&over).with_running(UnixMillis(from), None),
                None => pauses(&over),
            };
            let cutoff = pauses.cutoff(UnixMillis(now), Duration::from_millis(retention));
            for arrived in 0..=now {
                prop_assert_eq!(arrived < cutoff.0, ran(&all, arrived, now) > retention, "{}", arrived);
            }
        }

        #[test]
        fn a_message_expires_when_its_clock_has_run_for_the_retention(
            over in spans(),
            running in proptest::option::of((0..END, proptest::option::of(0..END))),
            arrived in 0..END,
            now in 0..END,
            retention in 0..END,
        ) {
            let mut all = over.clone();
            all.extend(running.map(|(from, until)| (from, until.unwrap_or(now).max(now))));
            let pauses = match running {
                Some((from, until)) => pauses(&over).with_running(UnixMillis(from), until.map(UnixMillis)),
                None => pauses(&over),
            };
            let expires = pauses.expires(UnixMillis(arrived), Duration::from_millis(retention), UnixMillis(now)).0;
            prop_assert_eq!(ran(&all, arrived, expires), retention);
            prop_assert!(ran(&all, arrived, expires + 1) > retention);
        }

        #[test]
        fn pauses_are_apart_and_what_is_forgotten_matters_to_nobody(over in spans(), oldest in 0..END, now in 0..END) {
            let mut some = pauses(&over);
            prop_assert!(some.over.0.is_sorted_by(|one, next| one.until < next.from));
            some.over.forget_before(UnixMillis(oldest));
            for arrived in oldest..=now {
                let expires = |pauses: &Pauses| pauses.expires(UnixMillis(arrived), Duration::from_millis(40), UnixMillis(now));
                prop_assert_eq!(expires(&some), expires(&pauses(&over)));
            }
        }

        #[test]
        fn more_pauses_than_are_kept_let_mail_stay_longer_never_shorter(gaps in proptest::collection::vec((1..50u64, 1..50u64), 65..200)) {
            let (mut all, mut at) = (Vec::new(), 0);
            for (gap, span) in gaps {
                all.push((at + gap, at + gap + span));
                at += gap + span;
            }
            let kept = pauses(&all);
            prop_assert_eq!(kept.over.0.len(), MAX_PAUSES);
            for (from, until) in all {
                prop_assert!(kept.over.0.iter().any(|pause| pause.from.0 <= from && until <= pause.until.0));
            }
        }
    }

    #[test]
    fn without_pauses_it_is_a_subtraction() {
        let none = Pauses::default();
        let day = Duration::from_secs(24 * 3600);
        let now = UnixMillis(1_800_000_000_000);
        assert_eq!(none.cutoff(now, day), UnixMillis(now.0 - 86_400_000));
        assert_eq!(none.cutoff(UnixMillis(5), day), UnixMillis::EPOCH);
        assert_eq!(none.cutoff(now, Duration::MAX), UnixMillis::EPOCH);
        assert_eq!(none.expires(now, day, now), now.plus(day));
        assert_eq!(none.expires(now, Duration::MAX, now), UnixMillis::MAX);
        assert!(!none.is_running() && none.with_running(now, None).is_running());
    }
}
