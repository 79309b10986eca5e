//! One turn of the owner thread: a group of commands that share one sync of the log.
//!
//! Commands only edit entries here. What follows from an edit (which octets change in the log, which keys in the
//! index, which counts) is worked out from what the entry was and what it is, in one place.
//!
//! The order makes outcomes survive: the log's octets first, synced; then the index; then the counts; then the answer.

use std::collections::{BTreeMap, BTreeSet};

use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};
use tokio::sync::oneshot;

use super::books::Books;
use super::counts::Stale;
use super::edges;
use super::ended;
use super::leases::Tally;
use crate::entry::EntryKey;
use crate::error::StoreError;
use crate::index::{
    Change, EntryValue, Index, IndexError, Standing, TimeKind, domain_range, entry_key, read_entry_key,
    read_time_key, time_key, times,
};
use crate::limits::ENTRIES_PER_BATCH;
use crate::log::{ContentLog, Mark, Place, StateByte};

/// What the commands of one turn changed.
pub(super) struct Turn<'a> {
    pub(super) index: &'a Index,
    pub(super) log: &'a ContentLog,
    pub(super) books: &'a Books,
    pub(super) now: UnixMillis,
    edits: BTreeMap<EntryKey, Edit>,
    tallies: Vec<(Domain, u64, Tally)>,
    /// Records that nobody needs although no entry of theirs was changed: second copies.
    copies: Vec<(Place, u16)>,
    /// The notes file has to be durable before the answers go out.
    pub(super) save_notes: bool,
    /// A checkpoint is wanted at once.
    pub(super) checkpoint: bool,
    /// The index was compared with the log, or was closed in order.
    verified: bool,
    /// Of the next message noted as ended.
    ended: u64,
    /// Messages that are known to have ended although no entry of theirs was changed.
    ended_before: Vec<QueueId>,
}

struct Edit {
    before: Option<EntryValue>,
    after: Option<EntryValue>,
}

impl Edit {
    /// Whether nothing is left of the entry.
    fn is_end(&self) -> bool {
        self.after.as_ref().is_none_or(|after| after.standing() == Standing::Done)
    }
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(index: &'a Index, log: &'a ContentLog, books: &'a Books, ended: u64) -> Self {
        let now = books.clock.wall();
        let verified = books.lock().verified;
        let (edits, tallies, copies) = Default::default();
        Self {
            index,
            log,
            books,
            now,
            edits,
            tallies,
            copies,
            save_notes: false,
            checkpoint: false,
            verified,
            ended,
            ended_before: Vec::new(),
        }
    }

    /// An entry, to be read or changed; [`EntryValue::settle_down`] must follow a change of states.
    pub(super) fn entry(&mut self, key: &EntryKey) -> Result<Option<&mut EntryValue>, StoreError> {
        if !self.edits.contains_key(key) {
            let before = read(self.index, key)?;
            let after = if self.verified { before.clone() } else { self.confirmed(key, before.clone())? };
            self.edits.insert(key.clone(), Edit { before, after });
        }
        let edit = self.edits.get_mut(key).expect("it was put there if it was missing");
        Ok(edit.after.as_mut().filter(|entry| entry.standing() != Standing::Done))
    }

    /// An entry to be looked at only, for walks over many.
    pub(super) fn peek(&self, key: &EntryKey) -> Result<Option<EntryValue>, StoreError> {
        match self.edits.get(key) {
            Some(edit) => Ok(edit.after.clone()),
            None => Ok(read(self.index, key)?),
        }
    }

    /// Whether a command of this turn changed the entry: the log does not have that yet, and must not be believed.
    pub(super) fn edited(&self, key: &EntryKey) -> bool {
        self.edits.get(key).is_some_and(|edit| edit.before != edit.after)
    }

    /// An entry as the log would have it: after a crash the index may be behind, and what was delivered must not come
    /// back because somebody changes an old state of it.
    fn confirmed(&self, key: &EntryKey, entry: Option<EntryValue>) -> Result<Option<EntryValue>, StoreError> {
        let Some(mut entry) = entry else { return Ok(None) };
        match self.log.read(entry.place) {
            Ok(message) if message.id == key.id => {
                entry.adopt(&message.states, self.now);
                Ok(Some(entry))
            }
            Ok(_) | Err(StoreError::NotFound) => Ok(None),
            Err(StoreError::Damaged(_)) => Ok(Some(entry)),
            Err(error) => Err(error),
        }
    }

    /// Adds an entry that the log has and the index has not.
    pub(super) fn insert(&mut self, key: EntryKey, entry: EntryValue) {
        let edit = self.edits.entry(key).or_insert(Edit { before: None, after: None });
        edit.after = Some(entry);
    }

    /// Removes an entry whose record is no more.
    pub(super) fn remove(&mut self, key: &EntryKey) -> Result<(), StoreError> {
        if self.entry(key)?.is_some() {
            self.edits.get_mut(key).expect("it was looked at just now").after = None;
        }
        Ok(())
    }

    /// Drops a record that is a second copy of a message: `recipients` of them are marked as done.
    pub(super) fn drop_copy(&mut self, place: Place, recipients: u16) {
        self.copies.push((place, recipients));
    }

    /// Notes messages whose entries the index never had, or has no longer.
    pub(super) fn note_ended(&mut self, ids: Vec<QueueId>) {
        self.ended_before.extend(ids);
    }

    /// Counts outcomes for the drain under this lease.
    pub(super) fn count(&mut self, domain: &Domain, generation: u64, tally: Tally) {
        self.tallies.push((domain.clone(), generation, tally));
    }

    /// Up to `limit` keys of a domain's entries behind `after`, in the index.
    pub(super) fn keys(
        &self,
        domain: &Domain,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        let mut keys = Vec::new();
        for item in self.index.range(domain_range(domain, after)).take(limit) {
            keys.extend(read_entry_key(&item?.0));
        }
        Ok(keys)
    }

    /// Up to `limit` ids of a domain with a time before `before`, earliest first.
    pub(super) fn ids_before(
        &self,
        domain: &Domain,
        kind: TimeKind,
        before: UnixMillis,
        limit: usize,
    ) -> Result<Vec<QueueId>, StoreError> {
        let Some(until) = before.0.checked_sub(1) else { return Ok(Vec::new()) };
        let mut ids = Vec::new();
        for item in self.index.range(times(domain, kind, UnixMillis(until))).take(limit) {
            ids.extend(read_time_key(&item?.0).map(|(_, id)| id));
        }
        Ok(ids)
    }

    /// How many entries this turn changes.
    pub(super) fn len(&self) -> usize {
        self.edits.len()
    }

    /// Does everything that was planned, in the order that survives; returns the messages noted as ended.
    pub(super) fn carry_out(mut self) -> Result<Vec<QueueId>, TurnError> {
        self.edits.retain(|_, edit| edit.before != edit.after);
        let marks = self.marks();
        if !marks.is_empty() {
            let (told, done) = oneshot::channel();
            self.log.mark(marks, told);
            let gone = |_| StoreError::Unavailable("the log is closed".to_owned());
            done.blocking_recv().map_err(gone).and_then(|done| done).map_err(TurnError::Log)?;
        }
        let edits: Vec<_> = self.edits.iter().collect();
        let mut ended = self.ended_before.clone();
        if !ended.is_empty() {
            let notes = (self.ended..).zip(&ended).flat_map(|(number, id)| ended::note(number, *id));
            self.index.apply(notes.collect())?;
        }
        for batch in edits.chunks(ENTRIES_PER_BATCH) {
            let changes =
                batch.iter().flat_map(|(key, edit)| changes(key, edit.before.as_ref(), edit.after.as_ref()));
            let mut changes: Vec<_> = changes.collect();
            // With the entry's own change: either it is there, or it is known to have ended.
            for (key, _) in batch.iter().filter(|(key, edit)| key.id.is_derived() && edit.is_end()) {
                changes.extend(ended::note(self.ended + ended.len() as u64, key.id));
                ended.push(key.id);
            }
            self.index.apply(changes)?;
        }
        self.update_books()?;
        for place in self.records_done() {
            self.log.forget(place);
        }
        Ok(ended)
    }

    fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        for Edit { before, after } in self.edits.values() {
            let (Some(before), Some(after)) = (before, after) else { continue };
            for (old, new) in before.recipients.iter().zip(&after.recipients) {
                let (was, is) = (old.log_state(before.held.is_some()), new.log_state(after.held.is_some()));
                let changed = Some(is).filter(|is| *is != was);
                let state = changed.and_then(|is| self.to_be_marked(after.place, new.index, is));
                marks.extend(state.map(|state| Mark { place: after.place, recipient: new.index, state }));
            }
        }
        for (place, recipients) in &self.copies {
            let mark = |recipient| Mark { place: *place, recipient, state: StateByte::PURGED };
            marks.extend((0..*recipients).map(mark));
        }
        marks
    }

    /// What the log is told of a recipient. Not that it is damaged: that shows whenever it is read, it may pass with
    /// the trouble of a disk, and then what became of the recipient before counts again.
    fn to_be_marked(&self, place: Place, recipient: u16, is: StateByte) -> Option<StateByte> {
        if is.state() != DeliveryState::Damaged {
            return Some(is);
        }
        let known = self.log.read(place).ok()?.states.get(usize::from(recipient)).copied()?;
        let marked = known.with_deleted(is.is_deleted()).with_held(is.is_held());
        (!known.is_done() && marked != known).then_some(marked)
    }

    /// Records of which nothing is alive any more, in any domain.
    fn records_done(&self) -> BTreeSet<Place> {
        let ended = self.edits.values().filter_map(|edit| edit.after.as_ref());
        let ended = ended.filter(|entry| entry.standing() == Standing::Done);
        let done_elsewhere = |place| {
            self.log.read(place).is_ok_and(|message| message.states.iter().all(|state| state.is_done()))
        };
        let done = ended.filter(|entry| entry.sole || done_elsewhere(entry.place)).map(|entry| entry.place);
        done.chain(self.copies.iter().map(|(place, _)| *place)).collect()
    }

    fn update_books(&self) -> Result<(), IndexError> {
        let mut edges: BTreeMap<&Domain, (Stale, QueueId, QueueId)> = BTreeMap::new();
        let mut state = self.books.lock();
        for (key, Edit { before, after }) in &self.edits {
            let book = state.book(&key.domain);
            let stale = before.as_ref().map(|before| book.remove(key.id, before)).unwrap_or_default();
            if let Some(after) = after {
                book.add(key.id, after);
            }
            let (all, first, last) = edges.entry(&key.domain).or_insert((Stale::default(), key.id, key.id));
            *all = all.or(stale);
            (*first, *last) = ((*first).min(key.id), (*last).max(key.id));
        }
        for (domain, generation, tally) in &self.tallies {
            if let Some(lease) = state.current(domain, *generation) {
                lease.tally.delivered += tally.delivered;
                lease.tally.deferred += tally.deferred;
                lease.tally.failed += tally.failed;
            }
        }
        drop(state);
        for (domain, (stale, first, last)) in edges {
            edges::put_right(self.index, self.books, domain, stale, (first, last))?;
        }
        Ok(())
    }
}

/// Why a turn was not done.
pub(super) enum TurnError {
    /// The log did not take the marks; nothing was changed.
    Log(StoreError),
    /// The index did not do it; it may be changed in part, and is of no further use.
    Index(IndexError),
}

impl From<IndexError> for TurnError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// An entry as the index has it.
pub(super) fn read(index: &Index, key: &EntryKey) -> Result<Option<EntryValue>, IndexError> {
    let value = index.get(&entry_key(&key.domain, key.id))?;
    value.map(|value| EntryValue::decode(key.id, value.as_ref())).transpose()
}

/// The keys of the index that change with an entry.
pub(super) fn changes(
    key: &EntryKey,
    before: Option<&EntryValue>,
    after: Option<&EntryValue>,
) -> Vec<Change> {
    let after = after.filter(|entry| entry.standing() != Standing::Done);
    let times = |entry: Option<&EntryValue>| {
        let attempt = entry.and_then(EntryValue::due).map(|time| (TimeKind::Attempt, time));
        let unreported = entry.filter(|entry| entry.is_unreported());
        let unreported = unreported.map(|_| (TimeKind::Unreported, UnixMillis::EPOCH));
        [attempt, entry.and_then(ends), unreported]
    };
    let mut changes = vec![(entry_key(&key.domain, key.id), after.map(|entry| entry.encode(key.id)))];
    for (old, new) in times(before).into_iter().zip(times(after)).filter(|(old, new)| old != new) {
        let key_of = |(kind, time)| time_key(&key.domain, kind, time, key.id);
        changes.extend(old.map(|old| (key_of(old), None)));
        changes.extend(new.map(|new| (key_of(new), Some(Vec::new()))));
    }
    changes
}

/// The time from which an entry's last grace counts, if it has one.
fn ends(entry: &EntryValue) -> Option<(TimeKind, UnixMillis)> {
    let kind = match entry.state() {
        DeliveryState::Deleted => TimeKind::Deleted,
        DeliveryState::Failed | DeliveryState::Expired | DeliveryState::Dead if entry.held.is_none() => {
            TimeKind::Parked
        }
        _ => return None,
    };
    entry.parked.map(|time| (kind, time))
}
