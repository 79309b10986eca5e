//! The content log: append-only segments that are the truth about every message held.
//!
//! The index may be lost and is rebuilt from here; a `250` rests on this module alone.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use restante_types::{ClientFacts, Envelope, QueueId, UnixMillis, Vouched};
use tokio::sync::oneshot;

use crate::content::{ContentBuffer, ContentReader};
use crate::disk::{Disk, RealDisk, store_error};
use crate::entry::{Destination, NewMessage};
use crate::error::StoreError;
use crate::receipt::Receipt;
use crate::stats::{InodeRoom, IntakeHealth};

mod copy;
mod events;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod gate;
mod handles;
mod inbox;
mod incoming;
mod large;
mod marker;
mod options;
mod parts;
mod place;
mod read;
mod record;
mod recover;
mod room;
mod segment;
mod shared;
mod sidecar;
mod space;
mod state;
#[cfg(test)]
mod tests;
mod threads;
mod walk;
mod wire;
mod writer;

use marker::MarkCall;
use shared::{Dirs, Shared};
use threads::Inboxes;
use writer::{Append, Writer};

pub(crate) use incoming::{Share, Spool, TempFile};
pub(crate) use options::LogOptions;
pub use options::LowWater;
pub(crate) use place::{LogPosition, Place};
pub(crate) use state::StateByte;

/// What work on a log needs that nobody writes to.
pub(crate) mod offline {
    pub(crate) use super::large::path as large_path;
    pub(crate) use super::parts::{ContentCondition, Parts, content_condition, read_parts, read_states};
    pub(crate) use super::read::no_record;
    pub(crate) use super::record::{Header, Kind};
    pub(crate) use super::recover::{Survey, survey};
    pub(crate) use super::segment::{Segment, find_all};
    pub(crate) use super::shared::Dirs;
    pub(crate) use super::sidecar::{MarksFile, Sidecars};
    pub(crate) use super::walk::{Step, Walk};
    pub(crate) use super::wire::WireContent;
    pub(crate) use super::{DamagedRecord, LogPosition, Place, StateByte, StoredMessage};
}

/// A message as the log holds it, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// Which.
    pub(crate) id: QueueId,
    /// Who from, who to.
    pub(crate) envelope: Envelope,
    /// Who handed it in.
    pub(crate) client: ClientFacts,
    /// When.
    pub(crate) arrived: UnixMillis,
    /// Octets of content.
    pub(crate) size: u64,
    /// One per recipient of the envelope, in its order.
    pub(crate) states: Vec<StateByte>,
    /// The queues its recipients belong to, as they were when it came; whether they were dead is told by the states.
    pub(crate) destinations: Vec<Destination>,
    /// Whether somebody vouches for its sender.
    pub(crate) vouched: Vouched,
}

/// A message that is on the disk for good and becomes visible now.
#[derive(Debug)]
pub(crate) struct Durable {
    /// Where its record lies.
    pub(crate) place: Place,
    /// The message.
    pub(crate) message: StoredMessage,
}

/// Makes a group of messages visible; runs on the writer's thread, after their sync and before their receipts.
pub(crate) type OnDurable = Box<dyn FnMut(Vec<Durable>) + Send>;

/// One recipient's new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The message's record.
    pub(crate) place: Place,
    /// Index into the envelope's recipients.
    pub(crate) recipient: u16,
    /// What it is now.
    pub(crate) state: StateByte,
}

/// What a scan comes upon, oldest first.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are live")]
pub(crate) enum Scanned {
    /// A message with at least one recipient that is not done for good. Its content was not checked.
    Live {
        /// Where.
        place: Place,
        /// The message with the states of its recipients.
        message: StoredMessage,
    },
    /// A message whose recipients are all done for good.
    Done(QueueId),
    /// Something that cannot be read any more.
    Damaged(DamagedRecord),
}

/// A damaged record, or a damaged stretch of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DamagedRecord {
    /// Where it begins.
    pub(crate) place: Place,
    /// Octets of the segment that are concerned.
    pub(crate) octets: u64,
    /// Which message, where that can still be told.
    pub(crate) id: Option<QueueId>,
    /// What is wrong, for the log and the operator.
    pub(crate) what: String,
}

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OpenReport {
    /// Segments there are.
    pub(crate) segments: u64,
    /// Octets they take up, holes not counted out.
    pub(crate) octets: u64,
    /// Segments that were not ended in order: the daemon was killed, or the power failed.
    pub(crate) unclean: u64,
    /// Octets of torn tails that were cut: groups that were never acknowledged.
    pub(crate) torn_octets: u64,
    /// Temporary and large files without a record that were removed.
    pub(crate) left_over_files: u64,
    /// Damage found in segments that were not ended in order; `scan` finds the rest.
    pub(crate) damaged: Vec<DamagedRecord>,
    /// The largest id in the log: no smaller one may be minted.
    pub(crate) newest: Option<QueueId>,
}

/// Room on the file system, as last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RoomSeen {
    /// Octets free to us.
    pub(crate) free: u64,
    /// Octets below which mail is refused.
    pub(crate) low_water: u64,
    /// Inodes, where they are counted and watched.
    pub(crate) inodes: Option<InodeRoom>,
}

/// The log. All methods may be called from any thread; what is said to block reads the disk.
#[derive(Debug)]
pub(crate) struct ContentLog {
    shared: Arc<Shared>,
    inboxes: Arc<Inboxes>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ContentLog {
    /// Opens the log in a data directory (`log/`, `large/`, `incoming/` in it), cuts torn tails, removes left-over
    /// files, and starts the threads. The caller holds the directory's lock. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the directory cannot be read or mended, or holds a record of a version this
    /// program does not know.
    pub(crate) fn open(
        dir: &Path,
        options: LogOptions,
        on_durable: OnDurable,
    ) -> Result<(Self, OpenReport), StoreError> {
        Self::open_on(Arc::new(RealDisk), dir, options, on_durable)
    }

    /// As [`open`](Self::open), on a disk of the caller's.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
        on_durable: OnDurable,
    ) -> Result<(Self, OpenReport), StoreError> {
        let (shared, report) = recover::open(&disk, Dirs::of(dir), options)?;
        events::log_opened(&report);
        report.damaged.iter().for_each(events::record_damaged);
        let shared = Arc::new(shared);
        let inboxes = Arc::new(Inboxes::default());
        let writer = Writer::new(Arc::clone(&shared), on_durable);
        let threads = threads::start(&shared, &inboxes, writer)
            .inspect_err(|_| inboxes.close())
            .map_err(|error| store_error("starting the log's threads", &error))?;
        Ok((Self { shared, inboxes, threads: Mutex::new(threads) }, report))
    }

    /// A buffer for content as it arrives.
    pub(crate) fn begin_content(&self) -> ContentBuffer {
        ContentBuffer::with_spool(self.shared.spool.clone())
    }

    /// Whether mail would be taken now; touches no disk.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Unavailable`], as `append` would answer.
    pub(crate) fn ready(&self, size: u64) -> Result<(), StoreError> {
        if let Some(error) = self.shared.refusal() {
            return Err(error);
        }
        let room = self.shared.room.seen();
        if size > 0 && room.free < room.low_water.saturating_add(size) {
            Err(StoreError::Full)
        } else {
            Ok(())
        }
    }

    /// Hands a message to the writer and returns at once. `done` is told after it is durable and `on_durable` was
    /// called with it; a `done` that is gone changes nothing. What waits is bounded by the sessions, one message each.
    pub(crate) fn append(&self, message: NewMessage, done: oneshot::Sender<Result<Receipt, StoreError>>) {
        if let Some(append) = Append::prepare(message, done)
            && let Err(append) = self.inboxes.appends.push(append)
        {
            append.refuse(closed());
        }
    }

    /// Overwrites state bytes and returns at once; `done` is told once they are durable. Marks on a record that was
    /// given back, or whose header is damaged, are passed over. Marks on a segment that may not be written any more
    /// go beside it, durably too, and into it at the next start.
    pub(crate) fn mark(&self, marks: Vec<Mark>, done: oneshot::Sender<Result<(), StoreError>>) {
        if let Err(call) = self.inboxes.marks.push(MarkCall { marks, done }) {
            call.done.send(Err(closed())).ok();
        }
    }

    /// A message without its content: two short reads, most often from the page cache. Blocks.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the record was given back, [`StoreError::Damaged`],
    /// [`StoreError::Unavailable`] on a read error.
    pub(crate) fn read(&self, place: Place) -> Result<StoredMessage, StoreError> {
        self.shared.read(place)
    }

    /// As [`read`](Self::read), and reads the content to its end: damage unless all of it is what was stored. Blocks.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_whole(&self, place: Place) -> Result<StoredMessage, StoreError> {
        self.shared.read_whole(place)
    }

    /// A message's content; reads the header. Blocks.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn content(&self, place: Place) -> Result<ContentReader, StoreError> {
        self.shared.content(place)
    }

    /// Visits every record that was durable when it was called, oldest first, from `from` on. `progress` gets
    /// octets read and octets in all. Returns the position it came to. Intake, marks and reads go on. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] on an unknown record version or when a segment cannot be opened.
    pub(crate) fn scan(
        &self,
        from: Option<LogPosition>,
        visitor: &mut dyn FnMut(Scanned) -> ControlFlow<()>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<LogPosition, StoreError> {
        self.shared.scan(from, visitor, progress)
    }

    /// Says that every recipient of a record is done for good, durably marked, and that nobody will ask for it again:
    /// its room is given back in time. For a place that was reported damaged without an id: that nobody wants what is
    /// left there. Returns at once.
    pub(crate) fn forget(&self, place: Place) {
        self.inboxes.dead.push(place).ok();
    }

    /// Everything before it has been handed to `on_durable`, which has returned. Ask before flushing the index.
    pub(crate) fn position(&self) -> LogPosition {
        self.shared.position()
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> u64 {
        self.shared.segments().len() as u64
    }

    /// Whether mail can come in.
    pub(crate) fn intake(&self) -> IntakeHealth {
        self.shared.intake()
    }

    /// Room on the file system, as last seen.
    pub(crate) fn room(&self) -> RoomSeen {
        self.shared.room.seen()
    }

    /// Copies the log as it is at one moment into another data directory, which must not hold a log; returns the live
    /// messages copied. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Unavailable`] with the cause.
    pub(crate) fn copy_to(&self, dir: &Path) -> Result<u64, StoreError> {
        self.shared.copy_to(dir)
    }

    /// Finishes what was handed in, ends the segment in order and stops the threads; everything that writes answers
    /// `Unavailable` afterwards. Dropping the log does the same. Blocks for about a sync.
    pub(crate) fn close(&self) {
        self.inboxes.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let current = std::thread::current().id();
        // The last handle may go on one of the log's own threads, with what `on_durable` held.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != current) {
            // A thread that panicked has closed its inbox; there is nothing left to wait for.
            thread.join().ok();
        }
    }
}

impl Drop for ContentLog {
    fn drop(&mut self) {
        // Whoever opens the directory next must not meet a thread that still writes.
        self.close();
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the log is closed".into())
}
