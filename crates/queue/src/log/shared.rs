//! What the log's threads and its callers share.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::gate::Gate;
use super::handles::Handles;
use super::incoming::Spool;
use super::room::Room;
use super::segment::Segment;
use super::sidecar::Sidecars;
use super::{LogOptions, LogPosition, events};
use crate::disk::{Access, Disk};
use crate::error::StoreError;
use crate::limits::{OPEN_FOR_MARKS, OPEN_SEGMENTS};
use crate::stats::IntakeHealth;

/// The directories of the log within a data directory.
#[derive(Debug, Clone)]
pub(crate) struct Dirs {
    /// Segments and marks set aside.
    pub(crate) log: PathBuf,
    /// Large content, one file each.
    pub(crate) large: PathBuf,
    /// Content on its way in.
    pub(crate) incoming: PathBuf,
}

impl Dirs {
    /// Those of this data directory.
    pub(crate) fn of(data: &Path) -> Self {
        Self { log: data.join("log"), large: data.join("large"), incoming: data.join("incoming") }
    }
}

/// The state of an open log.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dirs: Dirs,
    pub(crate) options: LogOptions,
    pub(crate) room: Arc<Room>,
    pub(crate) spool: Spool,
    pub(crate) sidecars: Sidecars,
    /// Open for reading.
    pub(crate) readers: Handles,
    /// Open for overwriting state octets: files of their own, for a failed sync is reported once per open file, and
    /// the writer of messages must not miss one because a mark saw it first.
    pub(crate) markers: Handles,
    /// Whoever walks through a segment must not have its records joined under its feet.
    pub(crate) gate: Gate,
    /// Every segment there is.
    segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// The lowest number that is or may still be written to.
    pub(crate) first_open: AtomicU64,
    /// The lowest number that this process made.
    pub(crate) first_own: u64,
    position: Mutex<LogPosition>,
    failed: Mutex<HashSet<u64>>,
    /// Why mail is refused, apart from low room.
    closed: Mutex<Option<StoreError>>,
    is_closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// An open log with these segments; the next one gets `next_number`.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dirs: Dirs,
        options: LogOptions,
        segments: Vec<Arc<Segment>>,
        next_number: u64,
    ) -> Self {
        let now = std::time::Instant::now();
        let room =
            Room::new(Arc::clone(&disk), dirs.log.clone(), options.low_water, options.room_interval, now);
        let room = Arc::new(room);
        let spool = Spool::new(
            Arc::clone(&disk),
            dirs.incoming.clone(),
            options.inline_max,
            options.memory_budget,
            Arc::clone(&room),
        );
        let position = segments
            .last()
            .map_or(LogPosition::START, |last| LogPosition { segment: last.number, offset: last.end() });
        Self {
            room,
            spool,
            sidecars: Sidecars::new(Arc::clone(&disk), dirs.log.clone()),
            readers: Handles::new(Arc::clone(&disk), Access::Read, OPEN_SEGMENTS),
            markers: Handles::new(Arc::clone(&disk), Access::Write, OPEN_FOR_MARKS),
            gate: Gate::default(),
            segments: RwLock::new(segments.into_iter().map(|one| (one.number, one)).collect()),
            first_open: AtomicU64::new(next_number),
            first_own: next_number,
            position: Mutex::new(position),
            failed: Mutex::default(),
            closed: Mutex::default(),
            is_closed: AtomicBool::new(false),
            disk,
            dirs,
            options,
        }
    }

    /// A segment by its number.
    pub(crate) fn segment(&self, number: u64) -> Option<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// All segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds a segment that was just made.
    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).insert(segment.number, segment);
    }

    /// Removes a segment in which nothing lives: its file and its marks.
    pub(crate) fn remove_segment(&self, segment: &Segment) {
        if let Err(error) = self.disk.remove(&segment.path) {
            events::removal_failed(&segment.path, &error);
            return;
        }
        self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&segment.number);
        self.readers.forget(segment.number);
        self.markers.forget(segment.number);
        self.sidecars.drop_segment(segment.number);
    }

    /// Everything before it was handed to `on_durable`.
    pub(crate) fn position(&self) -> LogPosition {
        *lock(&self.position)
    }

    /// Moves the position on.
    pub(crate) fn set_position(&self, position: LogPosition) {
        *lock(&self.position) = position;
    }

    /// Says that a segment is never written or synced again by this process.
    pub(crate) fn fail_segment(&self, number: u64, reason: &dyn Display) {
        if lock(&self.failed).insert(number) {
            events::segment_failed(number, reason);
        }
    }

    /// Whether a write to a segment, or its sync, failed.
    pub(crate) fn is_failed(&self, number: u64) -> bool {
        lock(&self.failed).contains(&number)
    }

    /// Closes intake, or opens it again; told once each way.
    pub(crate) fn set_intake(&self, closed: Option<StoreError>) {
        let mut current = lock(&self.closed);
        match (&*current, &closed) {
            (None, Some(error)) => events::intake_closed(error),
            (Some(_), None) => events::intake_opened(),
            _ => {}
        }
        self.is_closed.store(closed.is_some(), Ordering::Release);
        *current = closed;
    }

    /// Closes intake for good, in order: nothing that anybody must be told.
    pub(crate) fn end_intake(&self) {
        let mut current = lock(&self.closed);
        self.is_closed.store(true, Ordering::Release);
        *current = Some(StoreError::Unavailable("the log is closed".into()));
    }

    /// Why mail is refused now, if it is.
    pub(crate) fn refusal(&self) -> Option<StoreError> {
        if self.is_closed.load(Ordering::Acquire) {
            return lock(&self.closed).clone();
        }
        self.room.is_low().then_some(StoreError::Full)
    }

    /// Whether mail can come in, for `health`.
    pub(crate) fn intake(&self) -> IntakeHealth {
        match self.refusal() {
            None => IntakeHealth::Open,
            Some(StoreError::Full) => IntakeHealth::LowDisk,
            Some(error) => IntakeHealth::Failing(error.to_string()),
        }
    }
}
