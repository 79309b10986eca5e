//! Marks for segments that may not be written any more.
//!
//! A segment whose write or sync failed keeps its records readable, but its state octets cannot be trusted to the disk.
//! Marks on it go to a small file beside it, `SEGMENT-N.marks`, and into memory, where reads see them. The next start
//! writes them into the segment, syncs it and removes the file.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Mark, Place, StateByte};
use crate::disk::{Disk, DiskFile, read_exact_at};

const ENTRY: usize = 16;

/// The marks set aside, by segment.
#[derive(Debug)]
pub(crate) struct Sidecars {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Spares every read the lock while all is well.
    any: AtomicBool,
    by_segment: Mutex<HashMap<u64, Aside>>,
}

#[derive(Debug, Default)]
struct Aside {
    states: HashMap<(u32, u16), StateByte>,
    file: Option<(Arc<dyn DiskFile>, u64)>,
    next_file: u32,
}

fn file_name(segment: u64, number: u32) -> String {
    format!("{segment:016x}-{number}.marks")
}

/// The segment and number of a file of marks.
fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (segment, number) = name.strip_suffix(".marks")?.split_once('-')?;
    Some((u64::from_str_radix(segment, 16).ok()?, number.parse().ok()?))
}

fn encode(mark: &Mark) -> [u8; ENTRY] {
    let mut octets = [0; ENTRY];
    octets[..4].copy_from_slice(&mark.place.offset.to_le_bytes());
    octets[4..6].copy_from_slice(&mark.recipient.to_le_bytes());
    octets[6] = mark.state.to_octet();
    octets[8..12].copy_from_slice(&(mark.place.segment as u32).to_le_bytes());
    let crc = crc32c::crc32c(&octets[..12]);
    octets[12..].copy_from_slice(&crc.to_le_bytes());
    octets
}

fn decode(octets: &[u8; ENTRY], segment: u64) -> Option<Mark> {
    let number = |at: usize| u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    if number(12) != crc32c::crc32c(&octets[..12]) || number(8) != segment as u32 {
        return None;
    }
    Some(Mark {
        place: Place { segment, offset: number(0) },
        recipient: u16::from_le_bytes([octets[4], octets[5]]),
        state: StateByte::from_octet(octets[6]),
    })
}

impl Sidecars {
    /// None yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, any: AtomicBool::new(false), by_segment: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Aside>> {
        self.by_segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes marks on one segment durable beside it.
    pub(crate) fn add(&self, segment: u64, marks: &[Mark]) -> io::Result<()> {
        let mut all = self.lock();
        let aside = all.entry(segment).or_default();
        self.write(segment, aside, marks).inspect_err(|_| aside.file = None)?;
        aside.states.extend(marks.iter().map(|mark| ((mark.place.offset, mark.recipient), mark.state)));
        self.any.store(true, Ordering::Release);
        Ok(())
    }

    fn write(&self, segment: u64, aside: &mut Aside, marks: &[Mark]) -> io::Result<()> {
        let (file, end) = match &mut aside.file {
            Some(open) => open,
            none => {
                let path = self.dir.join(file_name(segment, aside.next_file));
                aside.next_file += 1;
                let file = self.disk.create(&path)?;
                self.disk.sync_dir(&self.dir)?;
                none.insert((file, 0))
            }
        };
        let octets: Vec<u8> = marks.iter().flat_map(encode).collect();
        file.write_at(&octets, *end)?;
        file.sync()?;
        *end += octets.len() as u64;
        Ok(())
    }

    /// Puts marks into memory that a file beside the segment already holds.
    pub(crate) fn remember(&self, segment: u64, marks: &[Mark], next_file: u32) {
        let mut all = self.lock();
        let aside = all.entry(segment).or_default();
        aside.states.extend(marks.iter().map(|mark| ((mark.place.offset, mark.recipient), mark.state)));
        aside.next_file = next_file;
        self.any.store(true, Ordering::Release);
    }

    /// Lays what was set aside over the states of a record.
    pub(crate) fn overlay(&self, place: Place, states: &mut [StateByte]) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let all = self.lock();
        let Some(aside) = all.get(&place.segment) else { return };
        for (index, state) in (0..=u16::MAX).zip(states) {
            if let Some(newer) = aside.states.get(&(place.offset, index)) {
                *state = *newer;
            }
        }
    }

    /// Forgets what was set aside for a segment that was removed just now, and removes its files, but not before the
    /// segment is gone for good: should it come back after a loss of power, its marks must be there too.
    pub(crate) fn drop_segment(&self, segment: u64) {
        let Some(aside) = self.lock().remove(&segment) else { return };
        if self.disk.sync_dir(&self.dir).is_err() {
            // Then they stay; the next start removes them if their segment is not there.
            return;
        }
        for number in 0..aside.next_file {
            // One that was never made, or that stays: the next start removes it, its segment being gone.
            self.disk.remove(&self.dir.join(file_name(segment, number))).ok();
        }
    }
}

/// A file of marks as it is found.
#[derive(Debug)]
pub(crate) struct MarksFile {
    /// The segment it belongs to.
    pub(crate) segment: u64,
    /// Counts the files of one segment.
    pub(crate) number: u32,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

impl MarksFile {
    /// The files of marks in a directory, in the order they were written.
    pub(crate) fn find_all(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Self>> {
        let mut files: Vec<_> = disk
            .list(dir)?
            .into_iter()
            .filter_map(|name| {
                let (segment, number) = parse_name(&name)?;
                Some(Self { segment, number, path: dir.join(name) })
            })
            .collect();
        files.sort_by_key(|file| (file.segment, file.number));
        Ok(files)
    }

    /// The marks in it, up to a torn end.
    pub(crate) fn read(&self, file: &dyn DiskFile) -> io::Result<Vec<Mark>> {
        let entries = file.len()? / ENTRY as u64;
        let mut marks = Vec::new();
        for index in 0..entries {
            let mut octets = [0; ENTRY];
            read_exact_at(file, &mut octets, index * ENTRY as u64)?;
            match decode(&octets, self.segment) {
                Some(mark) => marks.push(mark),
                None => break,
            }
        }
        Ok(marks)
    }
}
