//! How fast a drain may go: one message first after an outage, then more and more; and never more than `rate`.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{CANARIES, RATE_SLACK};

/// [`rate`](crate::DomainDelivery::rate): when the next message may go. Between two messages lies a minute's share, so
/// that no minute sees more; nothing is saved up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    next: Option<Instant>,
}

impl Bucket {
    pub(super) const fn new() -> Self {
        Self { next: None }
    }

    /// When the next one may go; `None`: now.
    pub(super) fn waits_until(self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now + RATE_SLACK)
    }

    /// One goes.
    pub(super) fn take(&mut self, rate: NonZeroU32, now: Instant) {
        let gap = Duration::from_secs(60) / rate.get();
        self.next = Some(self.next.map_or(now, |next| next.max(now)) + gap);
    }
}

/// After an outage: how many messages may be under way at once. It begins with one alone; each that is taken makes room
/// for one more, so that the number doubles with every round.
#[derive(Debug)]
pub(super) struct Ramp {
    allowed: usize,
    out: usize,
    /// One was taken: the primary takes mail.
    proven: bool,
    put_off: u32,
}

/// What became of a message, as the ramp sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fared {
    /// At least one recipient was taken.
    Taken,
    /// Nothing was taken, something put off.
    PutOff,
    /// Refused for good, or nothing was said about it.
    Other,
}

/// Where a ramp stands after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slope {
    /// It goes on.
    Climbs,
    /// Enough are under way that nobody needs to look any more.
    Done,
    /// The primary puts off one after the other: it is not back yet.
    TooEarly,
}

impl Ramp {
    pub(super) const fn new() -> Self {
        Self { allowed: 1, out: 0, proven: false, put_off: 0 }
    }

    pub(super) const fn has_room(&self) -> bool {
        self.out < self.allowed
    }

    pub(super) const fn allowed(&self) -> usize {
        self.allowed
    }

    pub(super) const fn take(&mut self) {
        self.out += 1;
    }

    /// One that was under way is not any more; `full` is what the connections have room for.
    pub(super) fn over(&mut self, fared: Fared, full: usize) -> Slope {
        self.out = self.out.saturating_sub(1);
        match fared {
            Fared::Taken => {
                (self.proven, self.put_off) = (true, 0);
                self.allowed += 1;
            }
            Fared::PutOff if !self.proven => self.put_off += 1,
            Fared::PutOff | Fared::Other => {}
        }
        if self.put_off >= CANARIES {
            Slope::TooEarly
        } else if self.allowed >= full {
            Slope::Done
        } else {
            Slope::Climbs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_alone_then_the_number_doubles_with_each_round() {
        let mut ramp = Ramp::new();
        let mut rounds = Vec::new();
        loop {
            let mut out = 0;
            while ramp.has_room() {
                ramp.take();
                out += 1;
            }
            rounds.push(out);
            let slopes: Vec<Slope> = (0..out).map(|_| ramp.over(Fared::Taken, 64)).collect();
            if slopes.last() == Some(&Slope::Done) {
                break;
            }
        }
        assert_eq!(rounds, [1, 2, 4, 8, 16, 32]);
    }

    #[test]
    fn nothing_grows_before_one_was_taken_and_a_few_put_off_in_a_row_end_it() {
        let mut ramp = Ramp::new();
        for number in 1..CANARIES {
            assert!(ramp.has_room());
            ramp.take();
            assert!(!ramp.has_room(), "alone");
            assert_eq!(ramp.over(Fared::PutOff, 64), Slope::Climbs, "{number}");
            ramp.take();
            assert_eq!(ramp.over(Fared::Other, 64), Slope::Climbs, "a refusal is an answer");
        }
        ramp.take();
        assert_eq!(ramp.over(Fared::PutOff, 64), Slope::TooEarly);
    }

    #[test]
    fn once_one_was_taken_what_is_put_off_slows_nothing() {
        let mut ramp = Ramp::new();
        ramp.take();
        assert_eq!(ramp.over(Fared::Taken, 64), Slope::Climbs);
        for _ in 0..10 * CANARIES {
            ramp.take();
            assert_eq!(ramp.over(Fared::PutOff, 64), Slope::Climbs);
        }
        assert_eq!(ramp.allowed(), 2);
    }

    #[test]
    fn no_minute_sees_more_than_the_rate() {
        for (rate, expected) in [(1_u32, 60_000), (60, 1000), (600, 100)] {
            let rate = NonZeroU32::new(rate).unwrap();
            let mut bucket = Bucket::default();
            let start = Instant::now();
            let mut now = start;
            let mut gaps = Vec::new();
            for _ in 0..5 {
                let waited = bucket.waits_until(now).map_or(Duration::ZERO, |next| next - now);
                gaps.push(waited.as_millis());
                now += waited;
                bucket.take(rate, now);
            }
            assert_eq!(gaps, [0, expected, expected, expected, expected]);
        }
    }

    #[test]
    fn a_pause_is_not_saved_up_and_what_a_timer_rounds_is_made_good() {
        let rate = NonZeroU32::new(60_000).unwrap();
        let mut bucket = Bucket::default();
        let mut now = Instant::now();
        bucket.take(rate, now);
        now += Duration::from_secs(3600);
        let mut burst = 0;
        while bucket.waits_until(now).is_none() {
            bucket.take(rate, now);
            burst += 1;
        }
        let slack = RATE_SLACK.as_millis();
        assert!((slack..=slack + 2).contains(&burst), "{burst}");
    }
}
