//! The circuit: how many of the recipients that were answered for good were refused, and when that is too much.

use std::collections::VecDeque;

use restante_types::UnixMillis;

use crate::limits::{WITHHELD, WITHHELD_SLACK};
use crate::settings::{Circuit, Share};

/// One domain's answers. Bounded: it keeps refusals only, and fewer than open the circuit.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// Recipients answered for good since the sample began.
    answered: u64,
    /// The first ones after an outage, while they are counted on their own.
    first: Option<First>,
    /// Refusals that some window of the steady share still covers.
    refused: VecDeque<Refusal>,
}

#[derive(Debug, Default)]
struct First {
    answered: u32,
    refused: u32,
}

#[derive(Debug)]
struct Refusal {
    /// The how-manieth answer it was.
    number: u64,
    at: UnixMillis,
}

impl Sample {
    /// Starts over; `after_outage` looks at the first recipients on their own.
    pub(super) fn restart(&mut self, after_outage: bool) {
        *self = Self { first: after_outage.then(First::default), ..Self::default() };
    }

    /// One recipient was taken.
    pub(super) fn taken(&mut self, circuit: Circuit) {
        self.answered = self.answered.saturating_add(1);
        let _share = self.count_first(circuit, false);
        self.prune(circuit);
    }

    /// One recipient was refused for good; returns the share that is full now, with the refusals counted.
    pub(super) fn refused(&mut self, circuit: Circuit, at: UnixMillis) -> Option<Share> {
        self.answered = self.answered.saturating_add(1);
        if circuit.first.is_some() || circuit.steady.is_some() {
            self.refused.push_back(Refusal { number: self.answered, at });
        }
        let full = self.count_first(circuit, true);
        self.prune(circuit);
        full.or_else(|| self.steady_full(circuit))
    }

    fn count_first(&mut self, circuit: Circuit, refused: bool) -> Option<Share> {
        let (Some(share), Some(first)) = (circuit.first, &mut self.first) else {
            self.first = None;
            return None;
        };
        first.answered += 1;
        first.refused += u32::from(refused);
        let full =
            (first.refused >= share.refused).then_some(Share { refused: first.refused, of: first.answered });
        if first.answered >= share.of {
            self.first = None;
        }
        full
    }

    fn steady_full(&self, circuit: Circuit) -> Option<Share> {
        let share = circuit.steady?;
        // More may be kept than its window covers, while the first ones are counted.
        let covered = |refusal: &&Refusal| refusal.number + u64::from(share.of) > self.answered;
        let refused = self.refused.iter().rev().take_while(covered).count();
        let refused = u32::try_from(refused).unwrap_or(u32::MAX);
        let answered = u32::try_from(self.answered).unwrap_or(u32::MAX).min(share.of);
        (refused >= share.refused).then_some(Share { refused, of: answered })
    }

    /// Forgets the refusals whose sample is complete.
    fn prune(&mut self, circuit: Circuit) {
        let reach = circuit.steady.map_or(0, |share| u64::from(share.of));
        // The first ones are kept until all of them are in.
        let counting = self.first.is_some();
        while let Some(oldest) = self.refused.front() {
            if counting || oldest.number + reach > self.answered {
                return;
            }
            self.refused.pop_front();
        }
    }

    /// Whether a refusal of that time may still turn out to be one of too many.
    pub(super) fn is_open_about(&self, circuit: Circuit, failed_at: UnixMillis, now: UnixMillis) -> bool {
        let patience = failed_at.plus(WITHHELD);
        if now >= patience || (circuit.first.is_none() && circuit.steady.is_none()) {
            return false;
        }
        // With its window full, the next answer says nothing about it any more.
        let reach = circuit.steady.map_or(0, |share| u64::from(share.of));
        let oldest = self.refused.iter().find(|refusal| refusal.number + reach > self.answered + 1);
        self.first.is_some() || oldest.is_some_and(|oldest| oldest.at <= failed_at.plus(WITHHELD_SLACK))
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

    fn share(refused: u32, of: u32) -> Option<Share> {
        Some(Share { refused, of })
    }

    /// Refused for each `x`, one a second; where it opens.
    fn play(circuit: Circuit, after_outage: bool, answers: &str) -> (Sample, Option<usize>) {
        let mut sample = Sample::default();
        sample.restart(after_outage);
        let mut opens = None;
        for (number, answer) in answers.chars().enumerate() {
            if answer != 'x' {
                sample.taken(circuit);
            } else if sample.refused(circuit, at(number as u64)).is_some() {
                opens.get_or_insert(number);
            }
        }
        (sample, opens)
    }

    #[test]
    fn the_first_ones_count_on_their_own_only_after_an_outage() {
        let circuit = Circuit { first: share(3, 5), steady: share(4, 8) };
        for (after_outage, answers, opens) in [
            (true, "xxx", Some(2)),
            (true, "x.x.x", Some(4)),
            (true, "xx...x", None),
            (true, "xx...x.x", Some(7)),
            (false, "xxx", None),
            (false, "xxxx", Some(3)),
            (false, "x.x.x..x", Some(7)),
            (false, "x.x.x...x", None),
            (false, "........................x.x.x.x", Some(30)),
        ] {
            assert_eq!(play(circuit, after_outage, answers).1, opens, "{after_outage} {answers}");
        }
    }

    /// However many are kept for the first share, the steady one counts those in its own window.
    #[test]
    fn a_long_first_sample_adds_nothing_to_the_steady_share() {
        let circuit = Circuit { first: share(50, 100), steady: share(4, 8) };
        for (answers, opens) in [
            ("x........x........x........x", None),
            ("x........x........x........xx.x.......x", None),
            ("x........x........x........xx.x..x", Some(33)),
        ] {
            assert_eq!(play(circuit, true, answers).1, opens, "{answers}");
        }
        let circuit = Circuit { first: share(50, 500), steady: share(20, 100) };
        let answers = "x................".repeat(20);
        assert_eq!(play(circuit, true, &answers).1, None, "20 of 340");
        let mut sample = play(circuit, true, &answers).0;
        let full = (0..20).find_map(|second| sample.refused(circuit, at(1000 + second)));
        assert_eq!(full, share(20, 100), "what is told is what was counted");
    }

    #[test]
    fn what_is_kept_is_bounded_by_what_opens_it() {
        let circuit = Circuit::default();
        let (sample, opens) = play(circuit, false, &"x.....".repeat(10_000));
        assert_eq!(opens, None);
        assert!(sample.refused.len() < 20);
        let first_only = Circuit { steady: None, ..circuit };
        let (sample, _) = play(first_only, true, &format!("xxxx......{}", "x".repeat(10_000)));
        assert!(sample.refused.is_empty());
    }

    #[test]
    fn a_refusal_is_open_until_as_many_were_answered_after_it() {
        let circuit = Circuit { first: None, steady: share(3, 10) };
        let (mut sample, _) = play(circuit, false, "x....");
        let open =
            |sample: &Sample, failed: u64, now: u64| sample.is_open_about(circuit, at(failed), at(now));
        assert!(open(&sample, 0, 10) && open(&sample, 0, 1799) && !open(&sample, 0, 1800));
        (0..5).for_each(|_| sample.taken(circuit));
        assert!(!open(&sample, 0, 10));
        assert!(sample.refused(circuit, at(100)).is_none());
        assert!(open(&sample, 100, 101));
        assert!(!open(&sample, 0, 101), "its own sample is complete");
    }
}
