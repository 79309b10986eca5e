//! Segments of any octets, opened twice.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::parts::{ContentCondition, content_condition, read_parts};
use super::record::{HEADER, Header, Kind};
use super::recover;
use super::segment::Segment;
use super::shared::Dirs;
use super::walk::{Step, Walk};
use super::{LogOptions, Scanned, StateByte};
use crate::disk::sim::SimDisk;
use crate::disk::{Access, Disk, DiskFile};

const MAGIC: [u8; 16] = [7; 16];

/// What the log makes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Messages by their offset, as they are read; `Err`: damaged, with what is said of it.
    pub messages: BTreeMap<u32, Result<String, String>>,
    /// Octets that were torn.
    pub torn: u64,
}

/// Opens a log with one segment of these octets and this file of marks set aside beside it, looks at everything in it,
/// and then again as the next start would: what was found the first time, and the second.
///
/// # Errors
/// What the log says where it does not open.
///
/// # Panics
/// Where a whole record is not found, or a step of the walk leaves octets out.
pub fn open(octets: &[u8], marks: &[u8]) -> Result<(Found, Found), String> {
    let disk = SimDisk::default();
    let dirs = Dirs::of(Path::new("/data"));
    let segment = Segment::new(1, MAGIC, &dirs.log, HEADER as u32);
    disk.plant(&segment.path, octets);
    if !marks.is_empty() {
        disk.plant(&dirs.log.join("0000000000000001-0.marks"), marks);
    }
    let whole = whole(&disk, &dirs, &segment);
    let first = look(&disk)?;
    for (offset, id) in &whole {
        let found = first.messages.get(offset).unwrap_or_else(|| panic!("{id} at {offset} is gone"));
        assert!(found.as_ref().is_ok_and(|message| message.contains(id)), "{id}: {found:?}");
    }
    let second = look(&disk)?;
    Ok((first, second))
}

/// The records that anybody can read who knows the layout, by their offsets, with their ids.
fn whole(disk: &SimDisk, dirs: &Dirs, segment: &Segment) -> BTreeMap<u32, String> {
    let file: Arc<dyn DiskFile> = disk.open(&segment.path, Access::Read).expect("it was put there");
    let end = u32::try_from(file.len().expect("it is there")).expect("it is short");
    let (mut at, mut found) = (HEADER as u32, BTreeMap::new());
    for step in Walk::new(segment, Arc::clone(&file), end) {
        let (offset, octets) = match step {
            Step::Record(header) => (header.offset, header.record_len()),
            Step::Bad { offset, octets } => (offset, u64::from(octets)),
            Step::UnknownVersion { .. } => return found,
        };
        assert_eq!(offset, at, "the walk jumps");
        at = offset + u32::try_from(octets).expect("within the segment");
        if let Step::Record(header) = step
            && header.kind.is_message()
            && let Ok(parts) = read_parts(&*file, &header)
            && content_condition(disk, &dirs.large, segment, &*file, &header, &parts)
                == ContentCondition::Whole
        {
            found.insert(header.offset, header.id.to_string());
        }
    }
    assert!(at >= end, "the walk ends at {at} of {end}");
    found
}

fn look(disk: &SimDisk) -> Result<Found, String> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let dirs = Dirs::of(Path::new("/data"));
    let (shared, report) =
        recover::open(&disk, dirs, LogOptions::default()).map_err(|error| error.to_string())?;
    let mut messages = BTreeMap::new();
    let mut done = Vec::new();
    let mut visit = |scanned| {
        match scanned {
            Scanned::Live { place, message } => {
                messages.insert(place.offset, Ok(format!("{} {message:?}", message.id)));
            }
            Scanned::Done(id) => done.push(id),
            Scanned::Damaged(damage) => {
                messages.insert(damage.place.offset, Err(damage.what));
            }
        }
        ControlFlow::Continue(())
    };
    shared.scan(None, &mut visit, &mut |_, _| {}).map_err(|error| error.to_string())?;
    // What is done is not told with its place.
    for segment in shared.segments() {
        let file = disk.open(&segment.path, Access::Read).expect("it is there");
        for step in Walk::new(&segment, file, segment.end()) {
            if let Step::Record(header) = step
                && header.kind.is_message()
                && done.contains(&header.id)
            {
                messages.entry(header.offset).or_insert_with(|| Ok(format!("{} done", header.id)));
            }
        }
    }
    for (offset, message) in &messages {
        let read = shared.read(super::Place { segment: 1, offset: *offset });
        assert!(message.is_err() || read.is_ok(), "found, and {read:?}");
    }
    Ok(Found { messages, torn: report.torn_octets })
}

/// Makes records of octets: lengths are kept small, magic, place and checks are made right, unless the octet in the
/// header's last place says that one of them stays wrong.
pub fn seal(octets: &mut [u8]) {
    let mut at = HEADER;
    while at + HEADER <= octets.len() {
        let Some(len) = seal_one(octets, at) else { return };
        at += len;
    }
}

fn seal_one(octets: &mut [u8], at: usize) -> Option<usize> {
    let raw: [u8; HEADER] = octets[at..at + HEADER].try_into().ok()?;
    let short = |place: usize| u32::from(u16::from_le_bytes([raw[place], raw[place + 1]]));
    let offset = u32::try_from(at).ok()?;
    let kind = match raw[17] % 8 {
        2 => Kind::LargeMessage,
        3 => Kind::Skip,
        4 => Kind::End,
        _ => Kind::Message,
    };
    let mut header = Header {
        version: if raw[16] % 16 == 0 { raw[16] } else { 2 - raw[16] % 2 },
        kind,
        states: u16::from(raw[18] % 4),
        offset,
        group: if raw[63] & 1 == 0 { short(24) * 64 } else { offset },
        envelope: short(28) % 512,
        envelope_crc: 0,
        content: short(36) % 512,
        content_crc: 0,
        id: restante_types::QueueId::from_bytes(raw[44..60].try_into().ok()?),
    };
    if at as u64 + header.record_len() > octets.len() as u64 {
        (header.envelope, header.content) = (0, 0);
    }
    let len = usize::try_from(header.record_len()).ok()?;
    if at + len > octets.len() {
        return None;
    }
    let (from, to) = (header.envelope_at() as usize, header.content_at() as usize);
    let check = |from: usize, to: usize, bit: u8| {
        crc32c::crc32c(&octets[at + from..at + to]) ^ u32::from(raw[63] >> bit & 3 == 3)
    };
    header.envelope_crc = check(from, to, 1);
    header.content_crc = check(to, to + header.content as usize, 3);
    for state in &mut octets[at + HEADER..at + from] {
        if raw[63] & 0x20 != 0 {
            *state = StateByte::from_octet(*state).to_octet();
        }
    }
    let mut sealed = header.encode(&MAGIC);
    sealed[63] ^= u8::from(raw[63] >> 6 == 3);
    octets[at..at + HEADER].copy_from_slice(&sealed);
    Some(len)
}
