//! Every bound of this crate, with its reason.

use std::time::Duration;

// The index and the embedded store.

/// sled's cache, unless configured. It counts octets as stored; in memory they are two and a half times as many. With
/// 16 MiB the index of 1,000,000 messages takes about 90 MiB in all, with 64 MiB all of it is in memory, about 200 MiB;
/// intake and drains were no slower.
pub(crate) const DEFAULT_CACHE_BYTES: u64 = 16 << 20;

/// Entries in memory that the index does not have yet. Above it `accept` waits: an owner thread that is behind must
/// slow the senders down, not grow.
pub(crate) const MAX_PENDING_ENTRIES: usize = 20_000;

/// Pending entries that wake the owner thread; fewer wait for its next tick, a second at most. Nobody waits for this, since
/// pending entries are visible; but each turn wakes all of sled's threads, so that one per message costs more than the
/// message does.
pub(crate) const APPLY_AT_ENTRIES: usize = 2_048;

/// Entries per batch written to sled; readers wait while a batch goes in (about 15 µs per entry).
pub(crate) const ENTRIES_PER_BATCH: usize = 512;

/// Commands (settle, hold, delete …) that wait for the owner thread; callers beyond it wait their turn.
pub(crate) const MAX_COMMANDS: usize = 1024;

/// Commands that the owner thread takes into one group, which shares one sync of the log.
pub(crate) const COMMANDS_PER_TURN: usize = 256;

/// Keys that one command of the operator changes at once; longer lists go in several.
pub(crate) const KEYS_PER_COMMAND: usize = 1_000;

/// Checkpoint after this many changes …
pub(crate) const CHECKPOINT_CHANGES: u64 = 10_000;

/// … or after this time, whichever comes first (a start replays at most what came since).
pub(crate) const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// Replies kept per entry; with `MAX_REPLY_TEXT` this keeps an entry far below sled's 128 KiB, above which values go
/// into files that sled never syncs.
pub(crate) const MAX_REPLIES: usize = 16;

/// Octets of a reply's text that are kept (RFC 5321 4.5.3.1.5 allows 512 for a reply line).
pub(crate) const MAX_REPLY_TEXT: usize = 512;

/// Octets that may be put before a message's content when it is accepted: a few header lines. They lie in the record
/// also where the content has a file of its own.
pub const MAX_HEAD: usize = 16 << 10;

/// Pauses of a domain's clock that are kept apart; beyond that the two nearest become one.
pub(crate) const MAX_PAUSES: usize = 64;

/// Octets of an operator's reason that are kept.
pub(crate) const MAX_REASON: usize = 255;

/// Recipients of one entry: about five octets each, 40 KiB of an entry's 64 KiB.
pub(crate) const MAX_RECIPIENTS: usize = 8_000;

/// Entries looked at for one page of a list, whatever it finds.
pub(crate) const LIST_WORK: usize = 1_000;

/// Entries in one page, whatever was asked for.
pub(crate) const MAX_PAGE: usize = 1_000;

/// Due times looked at before a drain goes through its entries in order of arrival instead.
pub(crate) const DUE_TIMES_PER_PAGE: usize = 4_096;

/// Accepted ids that are remembered, to recognise a repeated `accept` without the index; and as many derived ids of
/// messages that ended, in the index too, for whoever was killed between storing a notice and concluding its original.
pub(crate) const RECENT_IDS: usize = 16_384;

/// How long a request for a drain keeps its place in the watch channel before it may be made again: a reader that
/// took it without asking for the lease must not block the domain for ever.
pub(crate) const REQUEST_STALE: Duration = Duration::from_secs(30);

/// How long the child that probes sled may take: sled opens and reads 1,000,000 entries in about two seconds.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an index of this process that was closed just now may keep its lock: else it would be set aside and made anew.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long `open` waits for the log's tail to be read before it goes on in the background.
pub(crate) const REPLAY_PATIENCE: Duration = Duration::from_secs(3);

/// Records of the log handed to the owner thread at once while the index is checked or rebuilt.
pub(crate) const RECORDS_PER_CHECK: usize = 256;

/// A wall clock that moved this much more or less than the monotonic one has jumped.
pub(crate) const CLOCK_JUMP: Duration = Duration::from_secs(3600);

/// The wall clock may stand this much before the newest record: clocks are stepped by seconds, and stay trusted.
pub(crate) const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// How long both clocks have to agree again until a doubted clock is trusted.
pub(crate) const CLOCK_RECOVERY: Duration = Duration::from_secs(3600);

// The content log.

/// Records begin at multiples of this: the search behind damage looks at these places only, and a header never spans
/// two sectors.
pub(crate) const RECORD_ALIGNMENT: u64 = 64;

/// Holes are punched in whole blocks of this size; what common file systems use.
pub(crate) const BLOCK: u64 = 4096;

/// Octets of one group: one sync. What is left waits for the next group, so that the first of many does not wait for all.
pub(crate) const MAX_GROUP: u64 = 4 << 20;

/// Octets of the writer's buffer kept between writes; half of it is written before more is put in.
pub(crate) const KEPT_BUFFER: usize = 512 << 10;

/// Octets of content from which it is written as it lies in memory. Less goes into the writer's buffer with its
/// neighbours, since a call costs more than the copy.
pub(crate) const COPIED: usize = 32 << 10;

/// Octets of one record, whatever is configured: places in a segment are 32 bits wide.
pub(crate) const MAX_RECORD: u64 = 1 << 30;

/// Recipients of one record: the state octets are counted in 16 bits, and so are recipients in marks.
pub(crate) const MAX_RECORD_RECIPIENTS: usize = u16::MAX as usize;

/// Octets read at once for a header with its envelope: enough for a dozen recipients.
pub(crate) const READ_AHEAD: usize = 2048;

/// Octets read at once where the log is searched for the next record or copied.
pub(crate) const SEARCH_CHUNK: usize = 256 << 10;

/// Segments kept open for reading; 512 of 64 MiB are 32 GiB of held mail, and the limit on open files is often 1024.
pub(crate) const OPEN_SEGMENTS: usize = 256;

/// Segments kept open for overwriting state octets.
pub(crate) const OPEN_FOR_MARKS: usize = 16;

/// Octets of one piece of content on its way out.
pub(crate) const PIECE: usize = 64 << 10;

/// Octets in memory of content that goes to a file anyway: each time they are written costs two changes of thread.
pub(crate) const RELIEF_PIECE: usize = 256 << 10;

/// Octets of a large file read at once; cut into pieces.
pub(crate) const LARGE_READ: usize = 256 << 10;

/// Segments written last by this process whose records are taken to be in the page cache: they are read in place,
/// older ones on a thread that may block.
pub(crate) const HOT_SEGMENTS: u64 = 4;

/// Octets in memory from which content goes to its file although it is small, once the budget is spent.
pub(crate) const RELIEF_WHEN_SHORT: usize = 16 << 10;

/// Octets written between two looks at the room that is left.
pub(crate) const ROOM_STEP: u64 = 16 << 20;

/// Damaged places listed one by one in a report; more are counted.
pub(crate) const MAX_DAMAGE_LISTED: usize = 10_000;

/// Pause between two segments while the log is looked through in the background for room to give back.
pub(crate) const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// How long the dead wait to be given back while mail is refused for want of room.
pub(crate) const URGENT_SWEEP: Duration = Duration::from_secs(1);

/// How often the room is looked at while there is enough of it and no mail comes: another program may fill the disk.
pub(crate) const IDLE_ROOM_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);
