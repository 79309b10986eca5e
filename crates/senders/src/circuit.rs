//! Not asking a DNS that does not answer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::events;
use crate::limits::{CIRCUIT_FAILURES, CIRCUIT_REST};
use crate::lookup::{Lookup, LookupError};

/// A lookup that rests after several questions in a row that nobody answered. Any answer, be it that there is nothing,
/// counts as a sign of life. When the rest is over one question goes out; the others go on resting until it is answered.
pub(crate) struct Circuit {
    lookup: Arc<dyn Lookup>,
    /// In a row.
    silent: AtomicU32,
    resting: Mutex<Option<Instant>>,
}

impl Circuit {
    pub(crate) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, silent: AtomicU32::new(0), resting: Mutex::new(None) }
    }

    /// Whether a question may go out now.
    pub(crate) fn lets_ask(&self, now: Instant) -> bool {
        if self.silent.load(Ordering::Relaxed) < CIRCUIT_FAILURES {
            return true;
        }
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        match *resting {
            Some(until) if now < until => false,
            _ => {
                *resting = Some(now + CIRCUIT_REST);
                true
            }
        }
    }

    /// Takes note of an answer, or of none.
    pub(crate) fn note<T>(&self, answer: &Result<T, LookupError>, now: Instant) {
        if matches!(answer, Err(LookupError::Silent)) {
            if self.silent.fetch_add(1, Ordering::Relaxed) + 1 == CIRCUIT_FAILURES {
                let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
                *resting = Some(now + CIRCUIT_REST);
                events::dns_away(CIRCUIT_REST);
            }
        } else if self.silent.swap(0, Ordering::Relaxed) >= CIRCUIT_FAILURES {
            events::dns_back();
        }
    }

    /// One question, if it may go out now.
    pub(crate) async fn ask<'a, T, F>(
        &'a self,
        question: impl FnOnce(&'a dyn Lookup) -> F,
    ) -> Result<T, LookupError>
    where
        F: Future<Output = Result<T, LookupError>>,
    {
        if !self.lets_ask(Instant::now()) {
            return Err(LookupError::Silent);
        }
        let answer = question(&*self.lookup).await;
        self.note(&answer, Instant::now());
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lookup::{Dns, Resolver};

    #[tokio::test]
    async fn a_dead_dns_is_asked_rarely_and_an_answer_ends_the_rest() {
        let circuit =
            Circuit::new(Arc::new(Resolver::new(&Dns { servers: vec!["127.0.0.1:1".parse().unwrap()] })));
        let start = Instant::now();
        let silent: Result<(), _> = Err(LookupError::Silent);
        for _ in 0..CIRCUIT_FAILURES {
            assert!(circuit.lets_ask(start));
            circuit.note(&silent, start);
        }
        assert!(!circuit.lets_ask(start + CIRCUIT_REST - Duration::from_millis(1)));
        let over = start + CIRCUIT_REST;
        assert!(circuit.lets_ask(over), "one question tries it");
        assert!(!circuit.lets_ask(over), "the others wait for its answer");
        circuit.note(&silent, over);
        assert!(!circuit.lets_ask(over + Duration::from_secs(1)));
        circuit.note(&Err::<(), _>(LookupError::Nothing), over);
        assert!((0..100).all(|_| circuit.lets_ask(over)));
    }

    #[tokio::test]
    async fn one_failure_among_answers_changes_nothing() {
        let circuit =
            Circuit::new(Arc::new(Resolver::new(&Dns { servers: vec!["127.0.0.1:1".parse().unwrap()] })));
        let now = Instant::now();
        for _ in 0..10 * CIRCUIT_FAILURES {
            circuit.note(&Err::<(), _>(LookupError::Silent), now);
            circuit.note(&Ok(()), now);
        }
        assert!(circuit.lets_ask(now));
    }
}
