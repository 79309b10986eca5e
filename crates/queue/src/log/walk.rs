//! Goes through the records of a segment, and finds its way again behind damage.

use std::sync::Arc;

use super::record::{HEADER, Header, Magic, NoHeader};
use super::segment::Segment;
use crate::disk::{DiskFile, read_up_to};
use crate::limits::{BLOCK, RECORD_ALIGNMENT, SEARCH_CHUNK};

/// What a walk comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A record with a good header that lies within the segment.
    Record(Header),
    /// Octets without a readable record, up to the next record or the end of the walk.
    Bad {
        /// Where they begin.
        offset: u32,
        /// How many.
        octets: u32,
    },
    /// A record of a version that this program does not know.
    UnknownVersion {
        /// Where it stands.
        offset: u32,
        /// Its version.
        version: u8,
    },
}

/// A walk from the first record of a segment to an end.
///
/// Records are found by their lengths: nothing inside a record is ever looked at as a record. Only behind a damaged
/// header every 64th octet is tried, and a header counts only with the segment's magic, its check and its own place.
pub(crate) struct Walk {
    file: Arc<dyn DiskFile>,
    magic: Magic,
    at: u32,
    end: u32,
}

impl Walk {
    /// Through the first `end` octets.
    pub(crate) fn new(segment: &Segment, file: Arc<dyn DiskFile>, end: u32) -> Self {
        Self { file, magic: segment.magic, at: HEADER as u32, end }
    }

    fn header_at(&self, octets: &[u8; HEADER], offset: u32) -> Result<Header, NoHeader> {
        let header = Header::decode(octets, &self.magic, offset)?;
        if u64::from(offset) + header.record_len() > u64::from(self.end) {
            return Err(NoHeader::Unreadable);
        }
        Ok(header)
    }

    /// The offset of the next readable header behind `from`, or the end of the walk.
    fn search(&self, from: u32) -> u32 {
        let mut chunk = vec![0; SEARCH_CHUNK];
        let mut base = u64::from(from);
        while base < u64::from(self.end) {
            let want = usize::try_from(u64::from(self.end) - base).unwrap_or(usize::MAX).min(SEARCH_CHUNK);
            read_lenient(&*self.file, &mut chunk[..want], base);
            for (index, octets) in chunk[..want].as_chunks::<HEADER>().0.iter().enumerate() {
                let offset = base + index as u64 * RECORD_ALIGNMENT;
                let Ok(offset) = u32::try_from(offset) else { return self.end };
                if octets[..16] == self.magic[..]
                    && !matches!(self.header_at(octets, offset), Err(NoHeader::Unreadable))
                {
                    return offset;
                }
            }
            base += want as u64;
        }
        self.end
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.at >= self.end {
            return None;
        }
        let mut octets = [0; HEADER];
        read_lenient(&*self.file, &mut octets, u64::from(self.at));
        let offset = self.at;
        match self.header_at(&octets, offset) {
            Ok(header) => {
                // header_at has seen that the record ends within the walk, so the sum fits.
                self.at = u32::try_from(u64::from(offset) + header.record_len()).unwrap_or(self.end);
                Some(Step::Record(header))
            }
            Err(NoHeader::UnknownVersion(version)) => {
                self.at = self.end;
                Some(Step::UnknownVersion { offset, version })
            }
            Err(NoHeader::Unreadable) => {
                self.at = self.search(offset.saturating_add(RECORD_ALIGNMENT as u32)).min(self.end);
                Some(Step::Bad { offset, octets: self.at - offset })
            }
        }
    }
}

/// Fills a buffer; what cannot be read, or lies behind the end of the file, is zeros: no record.
pub(crate) fn read_lenient(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) {
    buffer.fill(0);
    if read_up_to(file, buffer, offset).is_ok() {
        return;
    }
    buffer.fill(0);
    let mut done = 0;
    while done < buffer.len() {
        let at = offset + done as u64;
        let step = usize::try_from(BLOCK - at % BLOCK).unwrap_or(HEADER).min(buffer.len() - done);
        if read_up_to(file, &mut buffer[done..done + step], at).is_err() {
            buffer[done..done + step].fill(0);
        }
        done += step;
    }
}
