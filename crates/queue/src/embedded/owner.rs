//! The thread that owns the index: it alone writes it, in batches, and makes it durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use restante_types::UnixMillis;

use super::books::{Condition, Entries};
use super::checkpoint::{Checkpoint, Clean};
use super::counts::Counts;
use super::desk::{Command, Leaving};
use super::shared::Shared;
use super::turn::{Turn, TurnError, changes};
use crate::error::StoreError;
use crate::events;
use crate::index::{EntryValue, Index, IndexError, Value, domain_range, read_entry_key};
use crate::limits::{APPLY_AT_ENTRIES, CHECKPOINT_CHANGES, CHECKPOINT_EVERY, ENTRIES_PER_BATCH};
use crate::log::LogPosition;

/// How often the owner thread looks around when nobody calls; new entries wait as long at most.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Owner {
    shared: Arc<Shared>,
    index: Arc<Index>,
    data_dir: PathBuf,
    /// Of the last checkpoint.
    sequence: u64,
    /// Everything before it is in the index.
    applied: LogPosition,
    /// Changes since the last checkpoint.
    changes: u64,
    /// When it was, on the monotonic clock.
    saved_at: Duration,
    /// Of the next message noted as ended.
    ended: u64,
}

impl Owner {
    pub(super) fn new(
        shared: Arc<Shared>,
        index: Arc<Index>,
        data_dir: PathBuf,
        sequence: u64,
        ended: u64,
    ) -> Self {
        let saved_at = shared.books.clock.monotonic();
        Self { shared, index, data_dir, sequence, applied: LogPosition::START, changes: 0, saved_at, ended }
    }

    pub(super) fn run(mut self) {
        loop {
            let called = self.shared.desk.next(self.patience());
            let leaving = called.leaving;
            if leaving == Some(Leaving::Abandon) {
                break;
            }
            let guarded = catch_unwind(AssertUnwindSafe(|| self.turn(called.commands)));
            let outcome = guarded.unwrap_or_else(|_| Err(IndexError("the index panicked".to_owned())));
            if let Err(error) = outcome {
                events::index_failed(&error);
                self.shared.books.lock().condition = Condition::Failing(error.to_string());
                self.shared.desk.leave(Leaving::Abandon);
                break;
            }
            if leaving == Some(Leaving::Close) {
                self.close();
                break;
            }
        }
        self.shared.desk.clear();
        self.shared.room.notify_waiters();
    }

    /// How long to wait for commands: new entries get time for company.
    fn patience(&self) -> Duration {
        let many = self.shared.books.lock().fresh.len() >= APPLY_AT_ENTRIES;
        if many { Duration::ZERO } else { TICK }
    }

    fn turn(&mut self, commands: Vec<Command>) -> Result<(), IndexError> {
        // New entries first: a command may speak of any that its caller has seen.
        self.apply_fresh()?;
        if !commands.is_empty() {
            self.carry_out(commands)?;
        }
        self.shared.watch_clock();
        let due = self.shared.books.clock.monotonic().saturating_sub(self.saved_at) >= CHECKPOINT_EVERY;
        if self.changes >= CHECKPOINT_CHANGES || (due && self.changes > 0) {
            let complete = self.shared.books.lock().condition == Condition::Ready;
            self.checkpoint(complete, None)?;
        } else if due && self.shared.books.lock().notes_dirty {
            self.saved_at = self.shared.books.clock.monotonic();
            // What fails is said there, and tried again.
            let _ = self.save_notes();
        }
        Ok(())
    }

    fn apply_fresh(&mut self) -> Result<(), IndexError> {
        // Asked before the entries are taken: whatever lies before it is among them.
        let position = self.shared.log.position();
        let (taken, copies) = {
            let mut state = self.shared.books.lock();
            state.applying = Arc::new(std::mem::take(&mut state.fresh));
            (Arc::clone(&state.applying), std::mem::take(&mut state.copies))
        };
        self.apply(&taken)?;
        self.shared.books.lock().applying = Arc::default();
        self.applied = position;
        if !taken.is_empty() {
            self.changes += taken.len() as u64;
            self.shared.room.notify_waiters();
        }
        if !copies.is_empty() {
            self.carry_out(vec![drop_copies(copies)])?;
        }
        Ok(())
    }

    fn apply(&self, entries: &Entries) -> Result<(), IndexError> {
        let mut batch = Vec::with_capacity(ENTRIES_PER_BATCH + 2);
        for (key, entry) in entries {
            batch.extend(changes(key, None, Some(entry)));
            if batch.len() >= ENTRIES_PER_BATCH {
                self.index.apply(std::mem::take(&mut batch))?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.index.apply(batch) }
    }

    fn carry_out(&mut self, commands: Vec<Command>) -> Result<(), IndexError> {
        let shared = Arc::clone(&self.shared);
        let mut turn = Turn::new(&self.index, &shared.log, &shared.books, self.ended);
        let answers: Vec<_> = commands.into_iter().map(|command| command(&mut turn)).collect();
        self.changes += turn.len() as u64;
        if turn.checkpoint {
            self.changes = self.changes.max(CHECKPOINT_CHANGES);
        }
        let save_notes = turn.save_notes;
        let mut outcome = match turn.carry_out() {
            Ok(ended) => {
                shared.intake.ended(&ended);
                self.ended += ended.len() as u64;
                Ok(())
            }
            Err(TurnError::Log(error)) => Err(error),
            Err(TurnError::Index(error)) => return Err(error),
        };
        if save_notes && outcome.is_ok() {
            outcome = self.save_notes().map_err(|error| StoreError::Unavailable(error.to_string()));
        }
        for answer in answers {
            answer(outcome.clone());
        }
        Ok(())
    }

    fn save_notes(&self) -> std::io::Result<()> {
        self.forget_pauses();
        let notes = {
            let mut state = self.shared.books.lock();
            state.notes_dirty = false;
            state.notes()
        };
        let saved = notes.save(&self.data_dir);
        if let Err(error) = &saved {
            self.shared.books.lock().notes_dirty = true;
            events::file_failed("domains.json", error);
        }
        saved
    }

    /// Pauses that were over when the oldest message of their domain came change nothing any more.
    fn forget_pauses(&self) {
        let paused: Vec<_> = {
            let state = self.shared.books.lock();
            let paused = state.domains.iter().filter(|(_, book)| !book.notes.pauses.is_empty());
            paused.map(|(domain, _)| domain.clone()).collect()
        };
        for domain in paused {
            // What cannot be read keeps its pauses.
            let first = self.index.range(domain_range(&domain, None)).next().transpose();
            let Ok(first) = first.and_then(|item| item.map(arrival).transpose()) else { continue };
            let mut state = self.shared.books.lock();
            let book = state.book(&domain);
            match first {
                Some(oldest) => book.notes.pauses.forget_before(oldest),
                None if book.counts.entries() == 0 => book.notes.pauses.forget_before(UnixMillis::MAX),
                None => {}
            }
        }
    }

    /// Makes the index durable and says so; nothing is said while it is not complete.
    fn checkpoint(&mut self, complete: bool, clean: Option<Clean>) -> Result<(), IndexError> {
        self.saved_at = self.shared.books.clock.monotonic();
        self.changes = 0;
        if self.shared.books.lock().notes_dirty {
            // What fails is said there, and tried again with the next checkpoint.
            let _ = self.save_notes();
        }
        if !complete {
            return Ok(());
        }
        self.sequence += 1;
        self.index.checkpoint(self.sequence)?;
        let newest = self.shared.intake.newest();
        let checkpoint =
            Checkpoint { sequence: self.sequence, position: self.applied, newest, complete, clean };
        if let Err(error) = checkpoint.save(&self.data_dir) {
            events::file_failed("checkpoint", &error);
        }
        Ok(())
    }

    /// Ends in order: intake first, then what it left, then the mark that says so.
    fn close(&mut self) {
        let before = std::mem::replace(&mut self.shared.books.lock().condition, Condition::Closed);
        self.shared.log.close();
        let complete = before == Condition::Ready;
        let closed = self.apply_fresh().and_then(|()| self.checkpoint(complete, self.clean(complete)));
        if let Err(error) = closed {
            events::index_failed(&error);
        }
    }

    /// What the next start may rest on: only an index that was complete and compared is taken at its word, and only
    /// where nothing was damaged: what could not be read this time may be readable by then.
    fn clean(&self, complete: bool) -> Option<Clean> {
        let segments = self.shared.log.segments();
        let state = self.shared.books.lock();
        let counts = state.domains.iter().map(|(domain, book)| (domain.clone(), book.counts.clone()));
        let counts = counts.filter(|(_, counts)| *counts != Counts::default());
        (complete && state.verified && !self.shared.has_damage())
            .then(|| Clean { counts: counts.collect(), segments })
    }
}

/// No entry behind this one came before that.
fn arrival((key, value): (Vec<u8>, Value)) -> Result<UnixMillis, IndexError> {
    let key = read_entry_key(&key).ok_or_else(|| IndexError("a key that is none".to_owned()))?;
    let entry = EntryValue::decode(key.id, value.as_ref())?;
    Ok(entry.arrived.min(key.id.minted()))
}

fn drop_copies(copies: Vec<(crate::log::Place, u16)>) -> Command {
    Box::new(move |turn| {
        for (place, recipients) in copies {
            turn.drop_copy(place, recipients);
        }
        // A mark that failed leaves a second copy in the log, which a rebuild recognises.
        Box::new(drop)
    })
}
