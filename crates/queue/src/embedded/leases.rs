//! The right to drain a domain: an in-process guard with a generation number.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use restante_types::{Domain, UnixMillis};

use super::books::{Books, State};
use crate::error::StoreError;
use crate::index::kept_reason;
use crate::lease::{DomainLease, DrainCause, DrainReport, LeaseAnswer, Started};
use crate::stats::{DrainProgress, HoldKind, HoldNote, HoldOrder, LastDrain};

/// A drain that runs.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) generation: u64,
    cause: DrainCause,
    since: UnixMillis,
    pub(super) tally: Tally,
    /// Somebody asked since it was given or since it last looked.
    pub(super) again: Option<DrainCause>,
    /// The domain was stopped since it was given. What it still has to settle counts all the same: it happened.
    pub(super) stopped: bool,
}

/// Recipients by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) deferred: u64,
    pub(super) failed: u64,
}

impl Lease {
    /// Whoever asked for everything is not put off with what is due.
    pub(super) fn ask_again(&mut self, cause: DrainCause) {
        self.again = self.again.filter(|_| cause == DrainCause::Schedule).or(Some(cause));
    }

    pub(super) fn progress(&self) -> DrainProgress {
        let Tally { delivered, deferred, failed } = self.tally;
        DrainProgress { cause: self.cause, since: self.since, delivered, deferred, failed }
    }
}

/// Gives the domain back when the last clone of a `DomainLease`'s guard goes.
struct Guard {
    books: Arc<Books>,
    domain: Domain,
    generation: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let now = self.books.clock.monotonic();
        self.books.lock().give_back(&self.domain, self.generation, now);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard({} #{})", self.domain, self.generation)
    }
}

impl State {
    pub(super) fn start_drain(
        &mut self,
        domain: &Domain,
        cause: DrainCause,
        now: Duration,
    ) -> Result<Started, StoreError> {
        self.condition.check()?;
        let held = self.held(domain).is_some();
        // Whoever asks for a domain that never had mail leaves nothing behind.
        let Some(book) = self.domains.get_mut(domain) else {
            return Ok(Started { messages: 0, running: false });
        };
        let messages = book.counts.messages;
        let running = book.lease.is_some();
        if let Some(lease) = &mut book.lease {
            lease.ask_again(cause);
        } else if messages > 0 && !held {
            self.request(domain, cause, now);
        }
        Ok(Started { messages, running })
    }

    /// Whether this lease is the domain's present one.
    pub(super) fn current(&mut self, domain: &Domain, generation: u64) -> Option<&mut Lease> {
        let lease = self.domains.get_mut(domain)?.lease.as_mut()?;
        (lease.generation == generation).then_some(lease)
    }

    /// Notes the pause that ran, if the stop there is was one.
    fn end_pause(&mut self, domain: &Domain, now: UnixMillis) {
        if let Some(since) = self.held(domain).filter(|note| note.pause_retention).map(|note| note.since) {
            self.book(domain).notes.pauses.add(since, now);
        }
    }

    fn give_back(&mut self, domain: &Domain, generation: u64, now: Duration) {
        if self.current(domain, generation).is_none() {
            return;
        }
        let lease = self.book(domain).lease.take();
        self.refresh_due(domain);
        let again = lease.and_then(|lease| lease.again);
        let waits = self.book(domain).counts.messages > 0 && self.held(domain).is_none();
        if let Some(cause) = again.filter(|_| waits) {
            self.request(domain, cause, now);
        }
    }
}

impl Books {
    /// The owner's new ATRN or TURN takes the domain from its earlier one: a redial after a lost line must
    /// not wait for the dead socket. Everybody else waits for a running drain.
    pub(super) fn lease(
        self: &Arc<Self>,
        domain: &Domain,
        cause: DrainCause,
    ) -> Result<LeaseAnswer, StoreError> {
        let since = self.clock.wall();
        let mut state = self.lock();
        state.condition.check()?;
        if state.held(domain).is_some() {
            state.book(domain).requested = None;
            return Ok(LeaseAnswer::Held);
        }
        let generation = state.generation + 1;
        let book = state.book(domain);
        book.requested = None;
        let turned = |cause| matches!(cause, DrainCause::Atrn | DrainCause::Turn);
        if let Some(lease) = book.lease.as_mut().filter(|lease| !(turned(cause) && turned(lease.cause))) {
            lease.ask_again(cause);
            return Ok(LeaseAnswer::Busy);
        }
        book.lease =
            Some(Lease { generation, cause, since, tally: Tally::default(), again: None, stopped: false });
        state.generation = generation;
        state.refresh_due(domain);
        let guard = Guard { books: Arc::clone(self), domain: domain.clone(), generation };
        Ok(LeaseAnswer::Leased(DomainLease::new(domain.clone(), generation, Arc::new(guard))))
    }

    /// Records a drain's end; the caller drops the lease afterwards. True if the domain is stopped by it.
    pub(super) fn end(&self, lease: &DomainLease, report: DrainReport) -> Result<bool, StoreError> {
        let at = self.clock.wall();
        let mut state = self.lock();
        let domain = lease.domain();
        let ended = state.current(domain, lease.generation()).ok_or(StoreError::Fenced)?;
        let Tally { delivered, deferred, failed } = ended.tally;
        let reason = report.result.clone();
        let notes = &mut state.book(domain).notes;
        notes.last_drain = Some(LastDrain { at, delivered, deferred, failed, result: report.result });
        notes.not_before = report.not_before;
        let misrouted = report.misrouted && notes.held.is_none();
        if misrouted {
            notes.held = Some(HoldNote {
                kind: HoldKind::Misrouted,
                reason,
                since: at,
                until: None,
                pause_retention: false,
            });
        }
        state.notes_dirty = true;
        state.refresh_due(domain);
        Ok(misrouted)
    }

    /// Stops a domain and whoever drains it.
    pub(super) fn stop(&self, domain: &Domain, order: HoldOrder) {
        let since = self.clock.wall();
        let HoldOrder { kind, reason, until, pause_retention } = order;
        let mut state = self.lock();
        state.end_pause(domain, since);
        let book = state.book(domain);
        let reason = kept_reason(&reason);
        book.notes.held = Some(HoldNote { kind, reason, since, until, pause_retention });
        if let Some(lease) = &mut book.lease {
            lease.stopped = true;
        }
        state.notes_dirty = true;
        state.refresh_due(domain);
    }

    /// Lets a domain go; false if nothing stopped it.
    pub(super) fn go(&self, domain: &Domain) -> bool {
        let now = self.clock.wall();
        let mut state = self.lock();
        if state.held(domain).is_none() {
            return false;
        }
        state.end_pause(domain, now);
        let all = state.all_held.is_some();
        let notes = &mut state.book(domain).notes;
        notes.held = None;
        notes.released = all;
        state.notes_dirty = true;
        state.refresh_due(domain);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::books::Condition;
    use super::super::notes::NotesFile;
    use super::*;
    use crate::clock::SystemClock;
    use crate::entry::EntryKey;
    use crate::index::tests::entry;

    fn books() -> Arc<Books> {
        let books = Books::new(NotesFile::new(None, BTreeMap::new()), Arc::new(SystemClock::default()));
        let key = EntryKey { domain: "example.org".parse().unwrap(), id: restante_types::QueueId::MIN };
        books.insert([(key, entry(1))].into_iter());
        Arc::new(books)
    }

    #[test]
    fn while_the_index_is_rebuilt_or_broken_no_drain_starts() {
        let books = books();
        let name: Domain = "example.org".parse().unwrap();
        for condition in [
            Condition::Rebuilding { done: 1, total: 2 },
            Condition::Failing("a bad disk".to_owned()),
            Condition::Closed,
        ] {
            books.lock().condition = condition;
            let started = books.lock().start_drain(&name, DrainCause::Etrn, Duration::ZERO);
            assert!(matches!(started, Err(StoreError::Unavailable(_))));
            assert!(matches!(books.lease(&name, DrainCause::Etrn), Err(StoreError::Unavailable(_))));
            assert_eq!(books.lock().stats(&name).messages, 1, "what came in meanwhile is counted");
        }
        books.lock().condition = Condition::Ready;
        assert_eq!(books.lock().start_drain(&name, DrainCause::Etrn, Duration::ZERO).unwrap().messages, 1);
        assert!(matches!(books.lease(&name, DrainCause::Etrn), Ok(LeaseAnswer::Leased(_))));
    }

    #[test]
    fn an_unknown_domain_leaves_nothing_behind() {
        let books = books();
        books.lock().condition = Condition::Ready;
        for number in 0..100 {
            let name: Domain = format!("n{number}.example").parse().unwrap();
            assert_eq!(
                books.lock().start_drain(&name, DrainCause::Etrn, Duration::ZERO).unwrap().messages,
                0
            );
            assert_eq!(books.lock().stats(&name).messages, 0);
        }
        assert_eq!(books.lock().domains.len(), 1);
    }
}
