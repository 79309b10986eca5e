//! What holds a drain back while it runs: the ramp after an outage, and the rate.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use restante_queue::Outcome;
use restante_smtp::client::limits::WINDOW_START;
use tokio::time::Instant;

use super::memory::Memory;
use super::pace::{Fared, Ramp, Slope};
use crate::settings::DomainDelivery;
use crate::sync::lock;

/// Whether the next message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// It may.
    Go,
    /// Not before one that is under way is over.
    Full,
    /// Not before this.
    Later(Instant),
}

/// A drain that has neither ramp nor rate has no gate.
pub(crate) struct Gate {
    ramp: Option<Ramp>,
    /// Messages that all connections together have under way when nothing was taken yet. From there on each connection's
    /// own window grows as the ramp would: by one for each message that is taken.
    full: usize,
    rate: Option<NonZeroU32>,
    memory: Arc<Mutex<Memory>>,
}

impl Gate {
    pub(super) fn new(memory: Arc<Mutex<Memory>>, delivery: &DomainDelivery, canary: bool) -> Option<Self> {
        let full = delivery.connections.max(1).saturating_mul(WINDOW_START);
        let (ramp, rate) = (canary.then(Ramp::new), delivery.rate);
        (ramp.is_some() || rate.is_some()).then_some(Self { ramp, full, rate, memory })
    }

    /// Whether one more may go now.
    pub(crate) fn ask(&self, now: Instant) -> Pass {
        if self.ramp.as_ref().is_some_and(|ramp| !ramp.has_room()) {
            return Pass::Full;
        }
        match self.rate {
            Some(_) => lock(&self.memory).bucket.waits_until(now).map_or(Pass::Go, Pass::Later),
            None => Pass::Go,
        }
    }

    /// One goes.
    pub(crate) fn take(&mut self, now: Instant) {
        if let Some(ramp) = &mut self.ramp {
            ramp.take();
        }
        if let Some(rate) = self.rate {
            lock(&self.memory).bucket.take(rate, now);
        }
    }

    /// One is back without a word about it.
    pub(crate) fn back(&mut self) {
        let _slope = self.ramp.as_mut().map(|ramp| ramp.over(Fared::Other, self.full));
    }

    /// One has outcomes. True if the primary puts off one after the other: it is too early for it.
    pub(crate) fn over(&mut self, outcomes: &[(u16, Outcome)]) -> bool {
        let Some(ramp) = &mut self.ramp else { return false };
        let is = |wanted: fn(&Outcome) -> bool| outcomes.iter().any(|(_, outcome)| wanted(outcome));
        let fared = if is(|outcome| matches!(outcome, Outcome::Delivered)) {
            Fared::Taken
        } else if is(|outcome| matches!(outcome, Outcome::Failed { .. })) {
            Fared::Other
        } else {
            Fared::PutOff
        };
        match ramp.over(fared, self.full) {
            Slope::Climbs => false,
            Slope::Done => {
                self.ramp = None;
                false
            }
            Slope::TooEarly => true,
        }
    }

    /// Whether the drain could use so many connections.
    pub(crate) fn fills(&self, connections: usize, now: Instant) -> bool {
        let wide = |ramp: &Ramp| ramp.allowed() >= connections.saturating_mul(WINDOW_START);
        self.ramp.as_ref().is_none_or(wide) && !matches!(self.ask(now), Pass::Later(_))
    }

    /// Whether there is nothing left that it could hold back.
    pub(crate) const fn is_idle(&self) -> bool {
        self.ramp.is_none() && self.rate.is_none()
    }

    /// Whether messages are counted by the minute.
    pub(crate) const fn has_rate(&self) -> bool {
        self.rate.is_some()
    }
}
