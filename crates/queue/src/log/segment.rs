//! A segment: its name, its first 64 octets, and what is known about it while the log is open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::record::{HEADER, Header, Magic};
use crate::disk::{Access, Disk, DiskFile, read_up_to};

const SIGNATURE: &[u8; 8] = b"RESTANTE";
/// The version of segments that this program writes and reads; it grows with the version of records.
const VERSION: u32 = 1;

/// One file of the log.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Counted from 1, never used twice.
    pub(crate) number: u64,
    /// The random value that begins every record of it, and nothing else in the world.
    pub(crate) magic: Magic,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Octets up to which it holds records that are durable. Grows while the segment is written.
    end: AtomicU32,
}

/// Why a file is no segment for this program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was written by a newer program.
    #[error("segment version {0} is not known to this program; it was written by a newer one")]
    UnknownVersion(u32),
}

impl Segment {
    /// A segment with records up to `end`.
    pub(crate) fn new(number: u64, magic: Magic, dir: &Path, end: u32) -> Self {
        Self { number, magic, path: dir.join(file_name(number, &magic)), end: AtomicU32::new(end) }
    }

    /// Octets up to which there are durable records.
    pub(crate) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    /// Says that records up to here are durable.
    pub(crate) fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    /// The 64 octets that a segment begins with.
    pub(crate) fn head(&self) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        octets[..8].copy_from_slice(SIGNATURE);
        octets[8..12].copy_from_slice(&VERSION.to_le_bytes());
        octets[12..20].copy_from_slice(&self.number.to_le_bytes());
        octets[20..36].copy_from_slice(&self.magic);
        let crc = crc32c::crc32c(&octets[..60]);
        octets[60..].copy_from_slice(&crc.to_le_bytes());
        octets
    }

    /// Opens a segment found in the directory. The name tells number and magic, so that a damaged first sector costs
    /// nothing; a readable one only adds the version.
    pub(crate) fn find(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<Self>, SegmentError> {
        let Some((number, magic)) = parse_name(name) else { return Ok(None) };
        let segment = Self::new(number, magic, dir, HEADER as u32);
        let file = disk.open(&segment.path, Access::Read)?;
        let mut octets = [0; HEADER];
        read_up_to(&*file, &mut octets, 0).unwrap_or(0);
        let crc = u32::from_le_bytes([octets[60], octets[61], octets[62], octets[63]]);
        let version = u32::from_le_bytes([octets[8], octets[9], octets[10], octets[11]]);
        if &octets[..8] == SIGNATURE && crc == crc32c::crc32c(&octets[..60]) && version != VERSION {
            return Err(SegmentError::UnknownVersion(version));
        }
        Ok(Some(segment))
    }

    /// The record that says the segment was ended in order, if its last 64 octets are that.
    pub(crate) fn end_record(&self, file: &dyn DiskFile) -> io::Result<Option<Header>> {
        let len = file.len()?;
        let Some(at) = len.checked_sub(HEADER as u64).and_then(|at| u32::try_from(at).ok()) else {
            return Ok(None);
        };
        let mut octets = [0; HEADER];
        crate::disk::read_exact_at(file, &mut octets, u64::from(at))?;
        Ok(Header::decode(&octets, &self.magic, at)
            .ok()
            .filter(|header| header.kind == super::record::Kind::End))
    }
}

/// `0000000000000001-<the magic in hexadecimal>.seg`
pub(crate) fn file_name(number: u64, magic: &Magic) -> String {
    format!("{number:016x}-{:032x}.seg", u128::from_be_bytes(*magic))
}

/// Reads what [`file_name`] wrote.
pub(crate) fn parse_name(name: &str) -> Option<(u64, Magic)> {
    let (number, magic) = name.strip_suffix(".seg")?.split_once('-')?;
    if number.len() != 16 || magic.len() != 32 {
        return None;
    }
    let number = u64::from_str_radix(number, 16).ok().filter(|number| *number > 0)?;
    Some((number, u128::from_str_radix(magic, 16).ok()?.to_be_bytes()))
}

/// The segments of a directory, oldest first.
pub(crate) fn find_all(disk: &dyn Disk, dir: &Path) -> Result<Vec<Arc<Segment>>, (String, SegmentError)> {
    let names = disk.list(dir).map_err(|error| (dir.display().to_string(), error.into()))?;
    let mut segments = Vec::new();
    for name in names {
        if let Some(segment) = Segment::find(disk, dir, &name).map_err(|error| (name, error))? {
            segments.push(Arc::new(segment));
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_number_and_magic() {
        let name = file_name(0x1f, &[0xab; 16]);
        assert_eq!(name, "000000000000001f-abababababababababababababababab.seg");
        assert_eq!(parse_name(&name), Some((0x1f, [0xab; 16])));
        for other in ["x.seg", "0000000000000000-abababababababababababababababab.seg", "1-2.seg", "lock"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
