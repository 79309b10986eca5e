//! Whether a primary can be reached, and when that is worth telling.

use restante_types::UnixMillis;

use crate::limits::{DOWN_AFTER, DOWN_AFTER_DRAINS, FLAPPING, REASON};

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It cannot be reached; what was said last.
    Down(String),
    /// It takes mail again.
    Up,
}

/// One domain's primary.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Steps walked on the retry list: attempts of ours in a row that found nobody. An operator's flush starts it anew.
    tries: u32,
    outage: Option<Outage>,
    /// Down was told, and up not yet.
    told: bool,
    /// When down was told last.
    told_at: Option<UnixMillis>,
}

#[derive(Debug)]
struct Outage {
    since: UnixMillis,
    drains: u32,
    why: String,
}

impl Standing {
    /// A drain found nobody. Returns how many there were before it, for the retry list, and what changed.
    pub(super) fn unreached(&mut self, why: &str, now: UnixMillis) -> (u32, Option<Change>) {
        let earlier = self.tries;
        self.tries = earlier.saturating_add(1);
        let outage = self.outage.get_or_insert_with(|| Outage { since: now, drains: 0, why: String::new() });
        outage.drains = outage.drains.saturating_add(1);
        why[..why.floor_char_boundary(REASON)].clone_into(&mut outage.why);
        (earlier, self.look(now))
    }

    /// The primary took something. Only the next failure begins an outage.
    pub(super) fn reached(&mut self) -> Option<Change> {
        (self.tries, self.outage) = (0, None);
        std::mem::take(&mut self.told).then_some(Change::Up)
    }

    /// Whether it has been down long enough to be told, and was not down just a moment ago.
    pub(super) fn look(&mut self, now: UnixMillis) -> Option<Change> {
        let outage = self.outage.as_ref()?;
        let lasts = outage.drains >= DOWN_AFTER_DRAINS || now.since(outage.since) >= DOWN_AFTER;
        let flaps = self.told_at.is_some_and(|told| now.since(told) < FLAPPING);
        if self.told || flaps || !lasts {
            return None;
        }
        (self.told, self.told_at) = (true, Some(now));
        Some(Change::Down(outage.why.clone()))
    }

    /// The retry list is walked from its beginning.
    pub(super) const fn forget_tries(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: UnixMillis = UnixMillis(1_800_000_000_000);

    fn at(seconds: u64) -> UnixMillis {
        START.plus(Duration::from_secs(seconds))
    }

    fn down(why: &str) -> Option<Change> {
        Some(Change::Down(why.to_owned()))
    }

    #[test]
    fn three_drains_in_a_row_are_told_once_and_the_first_success_once() {
        let mut standing = Standing::default();
        assert_eq!(standing.unreached("a", at(0)), (0, None));
        assert_eq!(standing.unreached("b", at(1)), (1, None));
        assert_eq!(standing.unreached("c", at(2)), (2, down("c")));
        assert_eq!(standing.unreached("d", at(3)), (3, None));
        assert_eq!(standing.look(at(100_000)), None);
        assert_eq!(standing.reached(), Some(Change::Up));
        assert_eq!(standing.reached(), None);
        assert_eq!(standing.unreached("e", at(4)), (0, None), "a success ends the row");
    }

    #[test]
    fn ten_minutes_are_told_without_further_drains() {
        let mut standing = Standing::default();
        assert_eq!(standing.unreached("refused", at(0)).1, None);
        assert_eq!(standing.look(at(599)), None);
        assert_eq!(standing.look(at(600)), down("refused"));
        assert_eq!(standing.look(at(601)), None);
    }

    #[test]
    fn a_failure_that_was_not_told_is_no_news_when_it_is_over() {
        let mut standing = Standing::default();
        let _ = standing.unreached("once", at(0));
        assert_eq!(standing.reached(), None);
        assert_eq!(standing.look(at(10_000)), None);
    }

    #[test]
    fn a_primary_that_flaps_is_told_once_a_minute_at_most() {
        let mut standing = Standing::default();
        let mut told = Vec::new();
        for second in 0..600 {
            let change = standing.unreached("gone", at(second)).1;
            let again = (0..3).filter_map(|_| standing.unreached("gone", at(second)).1);
            told.extend(change.into_iter().chain(again).map(|_| second));
            told.extend(standing.reached().map(|_| second));
        }
        assert!(told.len() <= 20, "{told:?}");
        assert!(told.len() >= 18, "{told:?}");
    }

    #[test]
    fn a_flush_starts_the_list_anew_but_ends_no_outage() {
        let mut standing = Standing::default();
        let _ = standing.unreached("a", at(0));
        let _ = standing.unreached("a", at(1));
        standing.forget_tries();
        assert_eq!(standing.unreached("a", at(2)), (0, down("a")));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut standing = Standing::default();
        let long = "ä".repeat(REASON);
        for _ in 0..2 {
            let _ = standing.unreached(&long, at(0));
        }
        let Some(Change::Down(why)) = standing.unreached(&long, at(0)).1 else { panic!("not told") };
        assert!(why.len() <= REASON);
    }
}
