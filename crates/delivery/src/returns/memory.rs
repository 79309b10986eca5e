//! What is remembered of one domain's primary.

use restante_queue::Outcome;
use restante_types::UnixMillis;

use super::circuit::Sample;
use super::pace::Bucket;
use super::standing::Standing;
use crate::limits::{OUTAGE_AGE, OUTAGE_SILENCE};
use crate::settings::{Circuit, Share};

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) standing: Standing,
    pub(super) sample: Sample,
    pub(super) bucket: Bucket,
    pub(super) breaker: Breaker,
    /// Nobody was there the last time: what comes now is a return.
    away: bool,
    /// A return, and nothing was taken yet: the next message goes alone.
    unproven: bool,
    /// When the primary last answered for good about a message.
    contact: Option<UnixMillis>,
}

/// The circuit's switch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Breaker {
    #[default]
    Shut,
    /// Too much was refused; the stop, with this reason, is not written yet.
    Opening(String),
    /// The domain is stopped; its next drain means that it was released.
    Open,
}

impl Memory {
    /// Of a domain that was stopped by its circuit before the start.
    pub(super) fn open() -> Self {
        Self { breaker: Breaker::Open, ..Self::default() }
    }

    /// A drain begins; `oldest` is the arrival of the oldest message that waits. True if its first message goes alone.
    ///
    /// A return is the first drain after one that found nobody, or after an open circuit. A primary that asks for its
    /// mail is never found missing: for it, and after our own restart, a return is the first drain in which mail has
    /// been waiting for an hour, if no mail was answered since the start, or none for a day.
    pub(super) fn begin(&mut self, oldest: Option<UnixMillis>, now: UnixMillis) -> bool {
        let released = std::mem::take(&mut self.breaker) != Breaker::Shut;
        let old = oldest.is_some_and(|oldest| now.since(oldest) >= OUTAGE_AGE);
        let silent = self.contact.is_none_or(|contact| now.since(contact) >= OUTAGE_SILENCE);
        if released || self.away || (old && silent) {
            (self.away, self.unproven) = (false, true);
            self.sample.restart(true);
        }
        self.unproven
    }

    /// Somebody came too late: nothing was answered in this drain, and nobody was there.
    pub(super) const fn missed(&mut self) {
        self.away = true;
    }

    /// Mail was answered for good; `taken`: some of it was taken.
    pub(super) const fn answered(&mut self, taken: bool, now: UnixMillis) {
        self.contact = Some(now);
        self.away = false;
        self.unproven &= !taken;
    }

    /// Nothing is held against the primary any more, but what it refused.
    pub(super) const fn forget_pace(&mut self) {
        self.standing.forget_tries();
        (self.away, self.unproven) = (false, false);
        self.bucket = Bucket::new();
    }

    /// Counts one message's outcomes; returns the share that opens the circuit.
    pub(super) fn count(
        &mut self,
        circuit: Circuit,
        outcomes: &[(u16, Outcome)],
        now: impl Fn() -> UnixMillis,
    ) -> Option<Share> {
        let mut full = None;
        for (_, outcome) in outcomes {
            match outcome {
                Outcome::Delivered => self.sample.taken(circuit),
                Outcome::Failed { .. } => full = self.sample.refused(circuit, now()).or(full),
                Outcome::Deferred { .. } => {}
            }
        }
        full.filter(|_| self.breaker == Breaker::Shut)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: UnixMillis = UnixMillis(1_800_000_000_000);

    fn hours(hours: u64) -> UnixMillis {
        START.plus(Duration::from_secs(3600 * hours))
    }

    #[test]
    fn a_return_is_what_follows_an_outage_and_ends_with_the_first_message_taken() {
        let mut memory = Memory::default();
        assert!(!memory.begin(Some(START), START), "fresh mail");
        memory.answered(true, START);
        memory.missed();
        assert!(memory.begin(Some(START), START));
        memory.answered(false, START);
        assert!(memory.begin(Some(START), START), "refused is not taken");
        memory.answered(true, START);
        assert!(!memory.begin(Some(START), START));
    }

    #[test]
    fn who_asks_for_its_mail_returns_when_it_waited_long() {
        let mut memory = Memory::default();
        assert!(memory.begin(Some(hours(0)), hours(1)), "the first since the start");
        memory.answered(true, hours(1));
        assert!(!memory.begin(Some(hours(1)), hours(24)), "it was here less than a day ago");
        assert!(memory.begin(Some(hours(1)), hours(25)));
        memory.answered(true, hours(25));
        assert!(!memory.begin(Some(hours(60)), hours(60)), "nothing has been waiting");
    }

    #[test]
    fn a_release_is_a_return() {
        let mut memory = Memory::default();
        assert!(!memory.begin(None, START));
        memory.answered(true, START);
        memory.breaker = Breaker::Open;
        assert!(memory.begin(None, START));
        assert_eq!(memory.breaker, Breaker::Shut);
    }
}
