//! What the store knows in memory: per domain its counts, notes and lease, and the entries on their way into the
//! index. Nothing here grows with the messages held.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_types::{Domain, QueueId, UnixMillis};
use tokio::sync::mpsc;

use super::counts::{Counts, Stale};
use super::due::Due;
use super::leases::Lease;
use super::notes::{Notes, NotesFile};
use super::tree::InTree;
use crate::clock::Clock;
use crate::entry::EntryKey;
use crate::error::StoreError;
use crate::index::EntryValue;
use crate::lease::{DrainCause, DrainRequest};
use crate::limits::REQUEST_STALE;
use crate::log::Place;
use crate::pauses::Pauses;
use crate::stats::{DomainStats, HoldNote, IndexHealth};

/// Entries by key.
pub(super) type Entries = BTreeMap<EntryKey, EntryValue>;

/// Everything in memory, behind one lock that is only ever held for moments.
#[derive(Debug)]
pub(super) struct Books {
    state: Mutex<State>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) domains: BTreeMap<Domain, Book>,
    /// The same domains, in the order of the tree of names.
    tree: BTreeSet<InTree>,
    /// Visible, and not yet taken by the owner thread.
    pub(super) fresh: Entries,
    /// Visible, and being applied to the index right now.
    pub(super) applying: Arc<Entries>,
    /// Domains with a scheduled attempt that nothing stands against, by its time.
    pub(super) due: Due,
    pub(super) generation: u64,
    pub(super) watch: Option<mpsc::UnboundedSender<DrainRequest>>,
    /// In a restored copy: the stop of every domain that was not released since.
    pub(super) all_held: Option<HoldNote>,
    /// The notes have changed since they were written.
    pub(super) notes_dirty: bool,
    pub(super) condition: Condition,
    /// The index was compared with the log, or was closed in order.
    pub(super) verified: bool,
    /// Second copies of a message that came under one id: record and recipients.
    pub(super) copies: Vec<(Place, u16)>,
    pub(super) newest_arrival: UnixMillis,
}

/// One domain.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) counts: Counts,
    pub(super) notes: Notes,
    pub(super) lease: Option<Lease>,
    /// It stands in the watch channel since then (monotonic).
    pub(super) requested: Option<(std::time::Duration, DrainCause)>,
    /// As it stands in `due`.
    pub(super) in_due: Option<UnixMillis>,
    /// Entries that came, changed or went since the store was opened.
    pub(super) changes: u64,
}

impl Book {
    /// Counts an entry that came or is what another has become.
    pub(super) fn add(&mut self, id: QueueId, entry: &EntryValue) {
        self.changes += 1;
        self.counts.add(id, entry);
    }

    /// Counts an entry no more.
    pub(super) fn remove(&mut self, id: QueueId, entry: &EntryValue) -> Stale {
        self.changes += 1;
        self.counts.remove(id, entry)
    }
}

/// What can be asked of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Everything.
    Ready,
    /// Mail comes in; the index is not complete.
    Rebuilding { done: u64, total: u64 },
    /// The index is broken; nothing more can be done with it before a restart.
    Failing(String),
    /// Nothing any more.
    Closed,
}

impl Condition {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        Err(StoreError::Unavailable(match self {
            Self::Ready => return Ok(()),
            Self::Rebuilding { .. } => "the index is being rebuilt".to_owned(),
            Self::Failing(cause) => cause.clone(),
            Self::Closed => "the store is closed".to_owned(),
        }))
    }

    pub(super) fn health(&self) -> IndexHealth {
        match self {
            Self::Ready => IndexHealth::Ready,
            Self::Rebuilding { done, total } => IndexHealth::Rebuilding { done: *done, total: *total },
            Self::Failing(cause) => IndexHealth::Failing(cause.clone()),
            Self::Closed => IndexHealth::Failing("the store is closed".to_owned()),
        }
    }
}

impl Books {
    pub(super) fn new(notes: NotesFile, clock: Arc<dyn Clock>) -> Self {
        let book = |notes| Book { notes, ..Book::default() };
        let domains: BTreeMap<_, _> =
            notes.domains.into_iter().map(|(domain, notes)| (domain, book(notes))).collect();
        let state = State {
            tree: domains.keys().cloned().map(InTree).collect(),
            domains,
            fresh: Entries::new(),
            applying: Arc::default(),
            due: Due::default(),
            generation: 0,
            watch: None,
            all_held: notes.all_held,
            notes_dirty: false,
            condition: Condition::Rebuilding { done: 0, total: 0 },
            verified: false,
            copies: Vec::new(),
            newest_arrival: UnixMillis::EPOCH,
        };
        Self { state: Mutex::new(state), clock }
    }

    /// A panic in another thread leaves counts that are off at worst; the log is the truth, so the work goes on.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_delay_mark(&self, domain: &Domain, mark: QueueId) {
        let mut state = self.lock();
        state.book(domain).notes.delay_mark = Some(mark);
        state.notes_dirty = true;
    }

    /// Makes new entries visible; returns how many wait for the owner thread.
    pub(super) fn insert(&self, entries: impl Iterator<Item = (EntryKey, EntryValue)>) -> usize {
        let (wall, monotonic) = (self.clock.wall(), self.clock.monotonic());
        let mut state = self.lock();
        for (key, entry) in entries {
            state.newest_arrival = state.newest_arrival.max(entry.arrived);
            let due = entry.due().is_some_and(|due| due <= wall);
            state.book(&key.domain).add(key.id, &entry);
            state.refresh_due(&key.domain);
            if due {
                state.wake(&key.domain, wall, monotonic);
            }
            state.fresh.insert(key, entry);
        }
        state.fresh.len()
    }
}

impl State {
    pub(super) fn book(&mut self, domain: &Domain) -> &mut Book {
        if !self.domains.contains_key(domain) {
            self.tree.insert(InTree(domain.clone()));
            self.domains.insert(domain.clone(), Book::default());
        }
        self.domains.get_mut(domain).expect("it was put there if it was missing")
    }

    pub(super) fn pending(&self) -> usize {
        self.fresh.len() + self.applying.len()
    }

    /// The domain's stop, its own or that of a restored copy.
    pub(super) fn held(&self, domain: &Domain) -> Option<&HoldNote> {
        let notes = self.domains.get(domain).map(|book| &book.notes);
        let all = || self.all_held.as_ref().filter(|_| !notes.is_some_and(|notes| notes.released));
        notes.and_then(|notes| notes.held.as_ref()).or_else(all)
    }

    /// When its clock stood still.
    fn pauses(&self, domain: &Domain) -> Pauses {
        let over = self.domains.get(domain).map(|book| book.notes.pauses.clone()).unwrap_or_default();
        match self.held(domain).filter(|note| note.pause_retention) {
            Some(note) => Pauses::new(over).with_running(note.since, note.until),
            None => Pauses::new(over),
        }
    }

    /// Puts the domain's place in `due` right, after its counts, notes or lease changed.
    pub(super) fn refresh_due(&mut self, domain: &Domain) {
        let held = self.held(domain).is_some();
        let book = self.book(domain);
        let next = book.counts.next_due.filter(|_| !held && book.lease.is_none());
        let next = next.map(|due| due.max(book.notes.not_before.unwrap_or_default()));
        let before = std::mem::replace(&mut book.in_due, next);
        if before == next {
            return;
        }
        self.due.moved(domain, before, next);
    }

    /// New mail that is due at once: tells whoever drains the domain, or whoever watches.
    fn wake(&mut self, domain: &Domain, wall: UnixMillis, monotonic: std::time::Duration) {
        let held = self.held(domain).is_some();
        let book = self.book(domain);
        if held || book.notes.not_before.is_some_and(|time| time > wall) {
            return;
        }
        if let Some(lease) = &mut book.lease {
            lease.ask_again(DrainCause::Schedule);
            return;
        }
        self.request(domain, DrainCause::Schedule, monotonic);
    }

    /// Puts the domain into the watch channel, unless it stands there; a request for everything goes in behind one
    /// for what is due.
    pub(super) fn request(&mut self, domain: &Domain, cause: DrainCause, now: std::time::Duration) {
        let book = self.book(domain);
        let covered = |known| known != DrainCause::Schedule || cause == DrainCause::Schedule;
        let stands = |(since, known)| covered(known) && now.saturating_sub(since) < REQUEST_STALE;
        if book.requested.is_some_and(stands) {
            return;
        }
        book.requested = Some((now, cause));
        let request = DrainRequest { domain: domain.clone(), cause };
        let sent = self.watch.as_ref().map(|watch| watch.send(request));
        if matches!(sent, Some(Err(_))) {
            // The reader is gone; the request waits for the next one.
            self.watch = None;
        }
    }

    pub(super) fn watch(&mut self) -> mpsc::UnboundedReceiver<DrainRequest> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for (domain, book) in &self.domains {
            if let Some((_, cause)) = book.requested {
                // The receiver is in our hands.
                let _ = sender.send(DrainRequest { domain: domain.clone(), cause });
            }
        }
        self.watch = Some(sender);
        receiver
    }

    pub(super) fn stats(&self, domain: &Domain) -> DomainStats {
        let empty = Book::default();
        let book = self.domains.get(domain).unwrap_or(&empty);
        let counts = &book.counts;
        DomainStats {
            domain: domain.clone(),
            messages: counts.messages,
            bytes: counts.bytes,
            oldest: counts.oldest_arrival(),
            newest: counts.newest.map(|(_, arrived)| arrived),
            parked: counts.parked(),
            held: self.held(domain).cloned(),
            next_attempt: counts.next_due.map(|due| due.max(book.notes.not_before.unwrap_or_default())),
            last_drain: book.notes.last_drain.clone(),
            draining: book.lease.as_ref().map(Lease::progress),
            pauses: self.pauses(domain),
        }
    }

    pub(super) fn stats_page(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.domains.range::<Domain, _>((from, Bound::Unbounded));
        behind.take(limit).map(|(domain, _)| self.stats(domain)).collect()
    }

    pub(super) fn queues_below(
        &self,
        top: &Domain,
        after: Option<&Domain>,
        limit: usize,
    ) -> Vec<DomainStats> {
        let from = InTree(after.unwrap_or(top).clone());
        let behind = self.tree.range((Bound::Excluded(from), Bound::Unbounded));
        let below = behind.take_while(|InTree(domain)| domain.is_below(top));
        below.take(limit).map(|InTree(domain)| self.stats(domain)).collect()
    }

    pub(super) fn held_domains(&self) -> Vec<(Domain, HoldNote)> {
        let held = |domain: &Domain| Some((domain.clone(), self.held(domain)?.clone()));
        self.domains.keys().filter_map(held).collect()
    }

    /// The notes as they go into their file.
    pub(super) fn notes(&self) -> NotesFile {
        let noted = self.domains.iter().filter(|(_, book)| !book.notes.is_empty());
        NotesFile::new(
            self.all_held.clone(),
            noted.map(|(domain, book)| (domain.clone(), book.notes.clone())).collect(),
        )
    }
}
