//! What can be set about the log.

use std::time::Duration;

use super::LogPosition;

/// When mail is refused for want of room: below the larger of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowWater {
    /// Of the file system's octets, and of its inodes; 0 switches the watch over inodes off.
    pub percent: u8,
    /// Octets.
    pub octets: u64,
}

impl Default for LowWater {
    fn default() -> Self {
        Self { percent: 5, octets: 512 << 20 }
    }
}

/// What can be set about the log; the defaults are what the daemon runs with.
#[derive(Debug, Clone)]
pub(crate) struct LogOptions {
    /// A segment is ended when it would grow beyond this, in octets.
    pub(crate) segment_size: u32,
    /// Content up to this many octets lies in the segment, larger content in a file of its own.
    pub(crate) inline_max: usize,
    /// Octets of content that may be in memory on its way in before all of it goes to temporary files.
    pub(crate) memory_budget: u64,
    /// When mail is refused for want of room.
    pub(crate) low_water: LowWater,
    /// How often room is looked at, at most, while little is written.
    pub(crate) room_interval: Duration,
    /// The first pause before a new segment is tried after a failure; it doubles up to `retry_max`.
    pub(crate) retry_min: Duration,
    /// The longest pause.
    pub(crate) retry_max: Duration,
    /// Octets of dead records in a segment that make it worth joining and giving back. Each time the whole segment is
    /// looked through (about 10 ms for 8000 records), so a few times in its life is right.
    pub(crate) sweep_octets: u64,
    /// How long dead records may wait to be given back when fewer than that died.
    pub(crate) sweep_interval: Duration,
    /// Everything before it was durable once: what is not whole there was not cut short.
    pub(crate) durable: LogPosition,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_size: 64 << 20,
            // Three syncs for a large file, a share of one in a segment; and what stands for it in memory, which grows by
            // doubling, stays at 512 KiB.
            inline_max: 384 << 10,
            memory_budget: 64 << 20,
            low_water: LowWater::default(),
            room_interval: Duration::from_secs(1),
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(30),
            sweep_octets: 16 << 20,
            sweep_interval: Duration::from_secs(60),
            durable: LogPosition::START,
        }
    }
}
