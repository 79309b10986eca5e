//! Not asking a DNS that does not answer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::events;
use crate::limits::{CIRCUIT_FAILURES, CIRCUIT_REST};
use crate::lookup::{Lookup, LookupError};

/// A lookup that rests after questions about several domains in a row that nobody answered. Any answer, be it that there
/// is nothing, counts as a sign of life. When the rest is over one question goes out; the others go on resting until it
/// is answered.
///
/// Domains, not questions: whoever sends mail chooses whose servers are asked, and one domain whose servers keep silent on
/// purpose must not keep everybody else from being vouched for.
pub(crate) struct Circuit {
    lookup: Arc<dyn Lookup>,
    /// How many domains in a row.
    silent: AtomicU32,
    resting: Mutex<Resting>,
}

#[derive(Default)]
struct Resting {
    until: Option<Instant>,
    /// The domains that were silent, as many as make us rest.
    silent: Vec<String>,
}

impl Circuit {
    pub(crate) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, silent: AtomicU32::new(0), resting: Mutex::default() }
    }

    /// Whether a question may go out now.
    pub(crate) fn lets_ask(&self, now: Instant) -> bool {
        if self.silent.load(Ordering::Relaxed) < CIRCUIT_FAILURES {
            return true;
        }
        let mut resting = self.resting();
        match resting.until {
            Some(until) if now < until => false,
            _ => {
                resting.until = Some(now + CIRCUIT_REST);
                true
            }
        }
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an answer about a name, or of none.
    pub(crate) fn note<T>(&self, name: &str, answer: &Result<T, LookupError>, now: Instant) {
        if matches!(answer, Err(LookupError::Silent)) {
            self.note_silence(domain_of(name), now);
        } else if self.silent.load(Ordering::Relaxed) > 0 {
            let mut resting = self.resting();
            resting.silent.clear();
            if self.silent.swap(0, Ordering::Relaxed) >= CIRCUIT_FAILURES {
                events::dns_back();
            }
        }
    }

    fn note_silence(&self, domain: &str, now: Instant) {
        let mut resting = self.resting();
        let known = resting.silent.iter().any(|silent| silent.eq_ignore_ascii_case(domain));
        if known || resting.silent.len() >= CIRCUIT_FAILURES as usize {
            return;
        }
        resting.silent.push(domain.to_owned());
        if self.silent.fetch_add(1, Ordering::Relaxed) + 1 == CIRCUIT_FAILURES {
            resting.until = Some(now + CIRCUIT_REST);
            events::dns_away(CIRCUIT_REST);
        }
    }

    /// One question, if it may go out now.
    pub(crate) async fn ask<'a, T, F>(
        &'a self,
        name: &str,
        question: impl FnOnce(&'a dyn Lookup) -> F,
    ) -> Result<T, LookupError>
    where
        F: Future<Output = Result<T, LookupError>>,
    {
        if !self.lets_ask(Instant::now()) {
            return Err(LookupError::Silent);
        }
        let answer = question(&*self.lookup).await;
        self.note(name, &answer, Instant::now());
        answer
    }
}

/// What a name is counted as: its last two labels, so that a domain counts once with all names below it. Where these are
/// a public suffix all domains below it count as one, and the rest begins a little later.
fn domain_of(name: &str) -> &str {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rmatch_indices('.').nth(1).map_or(name, |(dot, _)| &name[dot + 1..])
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
        for number in 0..CIRCUIT_FAILURES {
            assert!(circuit.lets_ask(start));
            circuit.note(&format!("d{number}.example"), &silent, start);
        }
        assert!(!circuit.lets_ask(start + CIRCUIT_REST - Duration::from_millis(1)));
        let over = start + CIRCUIT_REST;
        assert!(circuit.lets_ask(over), "one question tries it");
        assert!(!circuit.lets_ask(over), "the others wait for its answer");
        circuit.note("d.example", &silent, over);
        assert!(!circuit.lets_ask(over + Duration::from_secs(1)));
        circuit.note("d.example", &Err::<(), _>(LookupError::Nothing), over);
        assert!((0..100).all(|_| circuit.lets_ask(over)));
    }

    #[tokio::test]
    async fn one_failure_among_answers_changes_nothing() {
        let circuit =
            Circuit::new(Arc::new(Resolver::new(&Dns { servers: vec!["127.0.0.1:1".parse().unwrap()] })));
        let now = Instant::now();
        for number in 0..10 * CIRCUIT_FAILURES {
            circuit.note(&format!("d{number}.example"), &Err::<(), _>(LookupError::Silent), now);
            circuit.note("d.example", &Ok(()), now);
        }
        assert!(circuit.lets_ask(now));
    }

    #[tokio::test]
    async fn one_domain_that_keeps_silent_says_nothing_about_the_others() {
        let circuit =
            Circuit::new(Arc::new(Resolver::new(&Dns { servers: vec!["127.0.0.1:1".parse().unwrap()] })));
        let now = Instant::now();
        for number in 0..10 * CIRCUIT_FAILURES {
            let name = format!("_spf.n{number}.Tarpit.example.");
            circuit.note(&name, &Err::<(), _>(LookupError::Silent), now);
            circuit.note("tarpit.example", &Err::<(), _>(LookupError::Silent), now);
            circuit.note("example", &Err::<(), _>(LookupError::Silent), now);
        }
        assert!(circuit.lets_ask(now));
        assert_eq!(circuit.resting().silent, ["Tarpit.example", "example"]);
    }
}
