//! Opening: which of what is on the disk can be believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use restante_types::QueueId;

use super::atomic;
use super::books::{Books, Condition};
use super::checkpoint::{Checkpoint, Clean};
use super::desk::Desk;
use super::ended::Ended;
use super::intake::Intake;
use super::notes::NotesFile;
use super::options::{EmbeddedOptions, OpenError};
use super::owner::Owner;
use super::recovery::{self, Plan};
use super::shared::Shared;
use super::{EmbeddedStore, Running};
use crate::disk::DirLock;
use crate::events;
use crate::index::{EntryValue, Index, IndexError, Probed, entries_behind, read_entry_key, run_probe};
use crate::limits::REPLAY_PATIENCE;
use crate::log::{ContentLog, LogOptions, LogPosition, OpenReport};

/// The index as it was found, and what it lacks.
struct Found {
    index: Index,
    /// `None`: nothing, the counts of the last close hold.
    plan: Option<Plan>,
    sequence: u64,
    ended: Ended,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |cause| OpenError::Io { path, cause }
}

pub(super) fn open(options: EmbeddedOptions) -> Result<EmbeddedStore, OpenError> {
    let data_dir = options.data_dir.clone();
    atomic::make_dir(&data_dir).map_err(io(&data_dir))?;
    let lock = DirLock::take(&data_dir).map_err(io(&data_dir.join("lock")))?;
    let lock = lock.ok_or_else(|| OpenError::InUse(data_dir.clone()))?;
    let notes = NotesFile::load(&data_dir)?;
    if let Some(note) = &notes.all_held {
        events::restored_copy(note);
    }
    let checkpoint = Checkpoint::load(&data_dir).map_err(io(&data_dir.join("checkpoint")))?;
    let books = Arc::new(Books::new(notes, Arc::clone(&options.clock)));
    let desk = Arc::new(Desk::default());
    let newest = checkpoint.as_ref().map_or(QueueId::MIN, |checkpoint| checkpoint.newest);
    let intake = Arc::new(Intake::new(Arc::clone(&books), Arc::clone(&desk), newest));
    let durable = checkpoint.as_ref().map_or(LogPosition::START, |checkpoint| checkpoint.position);
    let (log, report) = open_log(&options, durable, &intake)?;
    intake.opened(report.newest.unwrap_or(QueueId::MIN));
    let found = find_index(&options, checkpoint.as_ref(), &log, &books)?;
    let Found { index, plan, sequence, ended } = found;
    intake.ended(&ended.ids);
    mark_unclean(&data_dir, plan, checkpoint, sequence, &log, &intake)?;
    let index = Arc::new(index);
    let shared = Arc::new(Shared::new(books, desk, intake, log, Arc::clone(&index)));
    for record in &report.damaged {
        shared.found_damage(record.place, record.id, &record.what);
    }
    let owner = Owner::new(Arc::clone(&shared), index, data_dir.clone(), sequence, ended.next);
    let threads = start(&shared, owner, plan).map_err(io(&data_dir))?;
    Ok(EmbeddedStore { shared, data_dir, running: Mutex::new(Some(Running { threads, lock })) })
}

fn open_log(
    options: &EmbeddedOptions,
    durable: LogPosition,
    intake: &Arc<Intake>,
) -> Result<(ContentLog, OpenReport), OpenError> {
    let log_options = LogOptions { low_water: options.low_water, durable, ..LogOptions::default() };
    let intake = Arc::clone(intake);
    let make_visible = Box::new(move |group| intake.make_visible(group));
    ContentLog::open(&options.data_dir, log_options, make_visible).map_err(OpenError::Log)
}

fn start(
    shared: &Arc<Shared>,
    owner: Owner,
    plan: Option<Plan>,
) -> std::io::Result<Vec<thread::JoinHandle<()>>> {
    let owner = thread::Builder::new().name("queue-index".to_owned()).spawn(move || owner.run())?;
    let Some(plan) = plan else { return Ok(vec![owner]) };
    let (ready, is_ready) = channel();
    let recovering = Arc::clone(shared);
    let recovery = thread::Builder::new()
        .name("queue-recovery".to_owned())
        .spawn(move || recovery::run(&recovering, plan, ready))?;
    // Long enough for most starts to be complete when they return; otherwise it goes on behind our back.
    let _ = is_ready.recv_timeout(REPLAY_PATIENCE);
    Ok(vec![owner, recovery])
}

/// What is on the disk, and how much of it is to be believed.
fn find_index(
    options: &EmbeddedOptions,
    checkpoint: Option<&Checkpoint>,
    log: &ContentLog,
    books: &Books,
) -> Result<Found, OpenError> {
    let dir = options.data_dir.join("index");
    let last = checkpoint.filter(|checkpoint| checkpoint.complete);
    let existing = match last {
        None if dir.exists() => Err("it is not complete".to_owned()),
        None => Err("there is none".to_owned()),
        Some(_) if !dir.exists() => Err("it is missing".to_owned()),
        Some(last) => take_existing(options, &dir, last, log, books),
    };
    let reason = match existing {
        Ok(found) => return Ok(found),
        Err(reason) => reason,
    };
    let aside = set_aside(&dir).map_err(io(&dir))?;
    let (done, total) = (0, 0);
    {
        let mut state = books.lock();
        state.condition = Condition::Rebuilding { done, total };
        state.domains.values_mut().for_each(|book| book.counts = Default::default());
    }
    if aside.is_some() || last.is_some() {
        events::index_rebuilding(&reason, aside.as_deref());
    }
    let index =
        Index::open(&dir, options.cache_bytes).map_err(|error| io(&dir)(std::io::Error::other(error)))?;
    let sequence = checkpoint.map_or(0, |last| last.sequence);
    Ok(Found { index, plan: Some(Plan::Rebuild), sequence, ended: Ended::default() })
}

/// An index that opens, is ours and is not an old copy; or why not.
fn take_existing(
    options: &EmbeddedOptions,
    dir: &Path,
    last: &Checkpoint,
    log: &ContentLog,
    books: &Books,
) -> Result<Found, String> {
    if last.clean.is_none() {
        probe(options, dir)?;
    }
    let index = Index::open(dir, options.cache_bytes).map_err(|error| error.to_string())?;
    let sequence =
        index.last_checkpoint().map_err(|error| error.to_string())?.ok_or("it is of another format")?;
    if sequence < last.sequence {
        return Err("it is older than the last checkpoint".to_owned());
    }
    let ended = guarded(|| Ended::load(&index))?;
    let untouched = sequence == last.sequence && log.position() == last.position;
    if let Some(Clean { counts, segments, .. }) = last.clean.as_ref().filter(|_| untouched)
        && as_many(*segments, log.segments())
    {
        let mut state = books.lock();
        for (domain, counts) in counts {
            state.book(domain).counts = counts.clone();
            state.newest_arrival =
                state.newest_arrival.max(counts.newest.map_or(Default::default(), |(_, at)| at));
            state.refresh_due(domain);
        }
        (state.condition, state.verified) = (Condition::Ready, true);
        events::store_opened(counts.len(), counts.values().map(super::counts::Counts::entries).sum());
        return Ok(Found { index, plan: None, sequence, ended });
    }
    events::index_replaying(guarded(|| count(&index, books))?);
    Ok(Found { index, plan: Some(Plan::Replay(last.position)), sequence, ended })
}

fn guarded<T>(read: impl FnOnce() -> Result<T, IndexError>) -> Result<T, String> {
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    let read = read.unwrap_or_else(|_| Err(IndexError("sled panicked while reading".to_owned())));
    read.map_err(|error| error.to_string())
}

/// Whether the log has as many segments as when it was closed.
fn as_many(expected: u64, found: u64) -> bool {
    if found != expected {
        events::segments_differ(expected, found);
    }
    found == expected
}

fn probe(options: &EmbeddedOptions, dir: &Path) -> Result<(), String> {
    let Some(command) = &options.probe else { return Ok(()) };
    match run_probe(command, dir) {
        Probed::Opens => Ok(()),
        Probed::Broken(cause) => Err(cause),
        Probed::NotRun(cause) => {
            events::probe_not_run(&cause);
            Ok(())
        }
    }
}

/// Counts what is in the index: after an unclean stop it may be further than the last checkpoint.
fn count(index: &Index, books: &Books) -> Result<u64, IndexError> {
    let mut messages = 0;
    let mut state = books.lock();
    for item in index.range(entries_behind(None)) {
        let (key, value) = item?;
        let key = read_entry_key(&key).ok_or_else(|| IndexError("a key that is none".to_owned()))?;
        let entry = EntryValue::decode(key.id, value.as_ref())?;
        state.newest_arrival = state.newest_arrival.max(entry.arrived);
        state.book(&key.domain).add(key.id, &entry);
        messages += 1;
    }
    let domains: Vec<_> = state.domains.keys().cloned().collect();
    domains.iter().for_each(|domain| state.refresh_due(domain));
    Ok(messages)
}

/// Renames what cannot be used, and keeps one such for whoever wants to look into it.
fn set_aside(dir: &Path) -> std::io::Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    let aside = dir.with_extension("broken");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(dir, &aside)?;
    Ok(Some(aside))
}

/// From here on a stop is unclean until it was made in order.
fn mark_unclean(
    data_dir: &Path,
    plan: Option<Plan>,
    last: Option<Checkpoint>,
    sequence: u64,
    log: &ContentLog,
    intake: &Intake,
) -> Result<(), OpenError> {
    let position = last.map_or_else(|| log.position(), |last| last.position);
    let complete = plan != Some(Plan::Rebuild);
    // An index that is ahead of its file keeps its number: only an older one is an old copy.
    let open = Checkpoint { sequence, position, newest: intake.newest(), complete, clean: None };
    open.save(data_dir).map_err(io(&data_dir.join("checkpoint")))
}
