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
        let refused = u32::try_from(self.refused.len()).unwrap_or(u32::MAX);
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
        let oldest = self.refused.front();
        self.first.is_some() || oldest.is_some_and(|oldest| oldest.at <= failed_at.plus(WITHHELD_SLACK))
    }
}
