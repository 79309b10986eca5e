//! The low-water mark: mail is refused before the disk is full, so that drains always have room to work.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::options::LowWater;
use super::{RoomSeen, events};
use crate::disk::{Disk, FileSystemRoom};
use crate::limits::ROOM_STEP;
use crate::stats::InodeRoom;

/// Watches the room that is left, at intervals and by octets written, never per message.
#[derive(Debug)]
pub(crate) struct Room {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    low_water: LowWater,
    interval: Duration,
    low: AtomicBool,
    written: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    room: RoomSeen,
    at: Option<Instant>,
}

/// What that is beside its marks, whether octets lack, whether inodes do.
fn judge(room: FileSystemRoom, mark: LowWater) -> (RoomSeen, bool, bool) {
    let percent = u64::from(mark.percent);
    let low_water = (room.total / 100 * percent).max(mark.octets);
    let watched = room.total_inodes > 0 && percent > 0;
    let mark = room.total_inodes / 100 * percent;
    let inodes = watched.then_some(InodeRoom { free: room.free_inodes, low_water: mark });
    let few = inodes.is_some_and(|inodes| inodes.free < inodes.low_water);
    (RoomSeen { free: room.free, low_water, inodes }, room.free < low_water, few)
}

impl Room {
    /// Watches the file system that `dir` lies on; looks at once.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        low_water: LowWater,
        interval: Duration,
        now: Instant,
    ) -> Self {
        let room = Self {
            disk,
            dir,
            low_water,
            interval,
            low: AtomicBool::new(false),
            written: AtomicU64::new(0),
            seen: Mutex::default(),
        };
        room.check(now);
        room
    }

    /// Whether there was too little when last looked.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// What was seen last.
    pub(crate) fn seen(&self) -> RoomSeen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).room
    }

    /// Counts octets written.
    pub(crate) fn wrote(&self, octets: u64) {
        self.written.fetch_add(octets, Ordering::Relaxed);
    }

    /// Looks again if it is time to; returns whether there is too little. Crossings are told once, each way.
    pub(crate) fn check(&self, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = seen.at.is_some_and(|at| now.saturating_duration_since(at) < self.interval);
        if fresh && self.written.load(Ordering::Relaxed) < ROOM_STEP {
            return self.is_low();
        }
        seen.at = Some(now);
        self.written.store(0, Ordering::Relaxed);
        // A file system that cannot be asked is not taken to be full: a write will tell.
        let Ok(room) = self.disk.room(&self.dir) else { return self.is_low() };
        let (now_seen, octets, inodes) = judge(room, self.low_water);
        seen.room = now_seen;
        let low = octets || inodes;
        match (self.low.swap(low, Ordering::Relaxed), low) {
            (false, true) => events::room_low(room.free, now_seen.low_water, inodes),
            (true, false) => events::room_back(room.free),
            _ => {}
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_share_and_octets_counts_and_inodes_too() {
        let room = FileSystemRoom { total: 100_000, free: 6_000, total_inodes: 1000, free_inodes: 60 };
        let seen = |low_water, inodes: Option<u64>| {
            let inodes = inodes.map(|low_water| InodeRoom { free: 60, low_water });
            RoomSeen { free: 6_000, low_water, inodes }
        };
        let judged = |percent, octets| judge(room, LowWater { percent, octets });
        assert_eq!(judged(5, 100), (seen(5_000, Some(50)), false, false));
        assert_eq!(judged(5, 7_000), (seen(7_000, Some(50)), true, false));
        assert_eq!(judged(7, 0), (seen(7_000, Some(70)), true, true));
        assert_eq!(judged(0, 100), (seen(100, None), false, false), "nobody watches the inodes");
        let uncounted = FileSystemRoom { total_inodes: 0, free_inodes: 0, ..room };
        assert_eq!(judge(uncounted, LowWater { percent: 5, octets: 0 }), (seen(5_000, None), false, false));
    }
}
