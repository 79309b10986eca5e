//! How work reaches a thread of the log: pushed one by one, taken all at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue with one reader that takes everything in one swap, so that what came while it worked is one group.
///
/// It has no bound of its own: an item is a session's message or a drain's settlement, of which each has one.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    sleeping: bool,
    closed: bool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let state = State { items: VecDeque::new(), sleeping: false, closed: false };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }
}

impl<T> Inbox<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; gives it back once the inbox is closed.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        let wake = std::mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Takes everything there is into `into` (empty), waiting for something at most this long (`None`: as long as it
    /// takes). False once the inbox is closed; what it still held has been handed over then.
    pub(crate) fn take(&self, into: &mut VecDeque<T>, patience: Option<Duration>) -> bool {
        let mut state = self.lock();
        if state.items.is_empty() && !state.closed {
            state.sleeping = true;
            state = match patience {
                Some(patience) => {
                    let waited = self.arrived.wait_timeout_while(state, patience, |state| state.sleeping);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .arrived
                    .wait_while(state, |state| state.sleeping)
                    .unwrap_or_else(PoisonError::into_inner),
            };
            state.sleeping = false;
        }
        std::mem::swap(&mut state.items, into);
        !state.closed
    }

    /// Takes what has come since, without waiting.
    pub(crate) fn take_also(&self, into: &mut VecDeque<T>) {
        into.append(&mut self.lock().items);
    }

    /// Lets nothing in any more and wakes the reader.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.sleeping = false;
        drop(state);
        self.arrived.notify_all();
    }

    /// Closes, and drops what nobody will take any more: whoever waits for an answer sees that none comes.
    pub(crate) fn abandon(&self) {
        self.close();
        let items = std::mem::take(&mut self.lock().items);
        drop(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_gets_everything_in_order_and_then_the_end() {
        let inbox = Inbox::default();
        let mut got = VecDeque::new();
        assert!(inbox.take(&mut got, Some(Duration::ZERO)));
        assert!(got.is_empty());
        inbox.push(1).unwrap();
        inbox.push(2).unwrap();
        assert!(inbox.take(&mut got, None));
        assert_eq!(got, [1, 2]);
        got.clear();
        inbox.push(3).unwrap();
        inbox.close();
        assert_eq!(inbox.push(4), Err(4));
        assert!(!inbox.take(&mut got, None));
        assert_eq!(got, [3]);
        inbox.take_also(&mut got);
        assert_eq!(got, [3]);
    }

    #[test]
    fn what_came_since_goes_behind_what_was_taken() {
        let inbox = Inbox::default();
        let mut got = VecDeque::new();
        inbox.push(1).unwrap();
        assert!(inbox.take(&mut got, None));
        inbox.push(2).unwrap();
        inbox.take_also(&mut got);
        assert_eq!(got, [1, 2]);
        inbox.push(3).unwrap();
        got.clear();
        assert!(inbox.take(&mut got, None));
        assert_eq!(got, [3]);
    }

    #[test]
    fn a_sleeping_reader_is_woken_by_a_push_and_by_closing() {
        let inbox = Inbox::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut all, mut got, mut open) = (Vec::new(), VecDeque::new(), true);
                while open {
                    open = inbox.take(&mut got, None);
                    all.extend(got.drain(..));
                }
                all
            });
            for number in 0..1000 {
                inbox.push(number).unwrap();
            }
            inbox.close();
            assert_eq!(reader.join().unwrap(), (0..1000).collect::<Vec<_>>());
        });
    }
}
