//! Who may walk through a segment and who may join its records: never both at once.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Pins keep a segment as it is; the sweeper passes over what is pinned and comes back later, so that it never waits,
/// and a pin waits for nothing but the sweeper's few milliseconds with that one segment.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    swept: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pins: HashMap<u64, u32>,
    sweeping: Option<u64>,
}

/// Keeps one segment as it is.
#[derive(Debug)]
pub(crate) struct Pin<'a> {
    gate: &'a Gate,
    segment: u64,
}

/// The sweeper's turn with one segment.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    gate: &'a Gate,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a segment as it is until dropped.
    pub(crate) fn pin(&self, segment: u64) -> Pin<'_> {
        let state = self.lock();
        let mut state = self
            .swept
            .wait_while(state, |state| state.sweeping == Some(segment))
            .unwrap_or_else(PoisonError::into_inner);
        *state.pins.entry(segment).or_default() += 1;
        Pin { gate: self, segment }
    }

    /// The sweeper's turn, unless somebody keeps the segment as it is. There is one sweeper.
    pub(crate) fn turn(&self, segment: u64) -> Option<Turn<'_>> {
        let mut state = self.lock();
        if state.pins.contains_key(&segment) {
            return None;
        }
        state.sweeping = Some(segment);
        Some(Turn { gate: self })
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(count) = state.pins.get_mut(&self.segment) {
            *count -= 1;
            if *count == 0 {
                state.pins.remove(&self.segment);
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.gate.lock().sweeping = None;
        self.gate.swept.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_segment_is_passed_over_and_a_pin_waits_for_the_sweeper() {
        let gate = Gate::default();
        let (one, two) = (gate.pin(1), gate.pin(1));
        assert!(gate.turn(1).is_none());
        drop(one);
        assert!(gate.turn(1).is_none());
        drop(two);
        let turn = gate.turn(1).unwrap();
        std::thread::scope(|scope| {
            let pin = scope.spawn(|| drop(gate.pin(1)));
            drop(gate.pin(2));
            assert!(!pin.is_finished());
            drop(turn);
        });
        assert!(gate.turn(1).is_some());
    }
}
