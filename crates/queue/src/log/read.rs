//! Reading single records, and going through all of them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::parts::{ContentCondition, Parts, content_condition, open_large, read_head, read_parts};
use super::record::{HEADER, Header, Kind, NoHeader};
use super::segment::Segment;
use super::shared::Shared;
use super::walk::{Step, Walk};
use super::wire::WireContent;
use super::{DamagedRecord, LogPosition, Place, Scanned, StateByte, StoredMessage, large};
use crate::content::ContentReader;
use crate::disk::{DiskFile, read_stored, store_error};
use crate::error::StoreError;
use crate::limits::HOT_SEGMENTS;

/// A record's segment, file and header.
type Located = (Arc<Segment>, Arc<dyn DiskFile>, Header);

fn unknown_version(version: u8) -> StoreError {
    StoreError::Unavailable(format!("record version {version} is not known to this program"))
}

impl Shared {
    /// The message at a place.
    pub(crate) fn read(&self, place: Place) -> Result<StoredMessage, StoreError> {
        self.parts(place).map(|(_, parts)| parts.message)
    }

    /// The parts of the record at a place, with the states as they are by now.
    fn parts(&self, place: Place) -> Result<(Located, Parts), StoreError> {
        let located = self.header(place)?;
        let (segment, file, header) = &located;
        match read_parts(&**file, header) {
            Ok(mut parts) => {
                self.sidecars.overlay(place, &mut parts.message.states);
                Ok((located, parts))
            }
            Err(error) => Err(self.unless_given_back(segment, place, error)),
        }
    }

    /// The message at a place, whose content was read to its end and is what was stored.
    pub(crate) fn read_whole(&self, place: Place) -> Result<StoredMessage, StoreError> {
        let ((segment, file, header), parts) = self.parts(place)?;
        let condition = content_condition(&*self.disk, &self.dirs.large, &segment, &*file, &header, &parts);
        if condition == ContentCondition::Whole {
            return Ok(parts.message);
        }
        let damaged = StoreError::Damaged("content differs from what was stored, or is gone".into());
        Err(self.unless_given_back(&segment, place, damaged))
    }

    /// The content at a place.
    pub(crate) fn content(&self, place: Place) -> Result<ContentReader, StoreError> {
        let (segment, file, header) = self.header(place)?;
        if header.kind == Kind::Message {
            let at = u64::from(place.offset) + header.content_at();
            let inline = self.is_hot(place.segment);
            return Ok(ContentReader::small(file, at, header.content, header.content_crc, inline));
        }
        let open = read_parts(&*file, &header).and_then(|parts| match parts.content {
            WireContent::File { size, nonce } => {
                let path = large::path(&self.dirs.large, place.segment, header.id, nonce);
                let head = read_head(&*file, &header)?;
                open_large(&*self.disk, &path, head, size, header.content_crc)
            }
            WireContent::Inline => Err(StoreError::Damaged("the record names no file".into())),
        });
        open.map_err(|error| self.unless_given_back(&segment, place, error))
    }

    /// Whether a segment's records are most likely in the page cache: this process wrote them not long ago.
    fn is_hot(&self, segment: u64) -> bool {
        segment >= self.first_own && segment + HOT_SEGMENTS > self.first_open.load(Ordering::Relaxed)
    }

    fn header(&self, place: Place) -> Result<Located, StoreError> {
        let segment = self.segment(place.segment).ok_or(StoreError::NotFound)?;
        let at = u64::from(place.offset);
        if place.offset < HEADER as u32 || at + HEADER as u64 > u64::from(segment.end()) {
            return Err(StoreError::NotFound);
        }
        let file = self.readers.get(&segment).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StoreError::NotFound,
            _ => store_error("opening a segment", &error),
        })?;
        let mut octets = [0; HEADER];
        read_stored(&*file, &mut octets, at, "reading a record")?;
        match Header::decode(&octets, &segment.magic, place.offset) {
            Ok(header) if header.kind.is_message() => Ok((segment, file, header)),
            Ok(_) => Err(StoreError::NotFound),
            Err(NoHeader::UnknownVersion(version)) => Err(unknown_version(version)),
            Err(NoHeader::Unreadable) => {
                let damaged = StoreError::Damaged("no readable record".into());
                Err(self.unless_given_back(&segment, place, damaged))
            }
        }
    }

    /// Damage, unless the room was given back meanwhile: a hole reads as zeros, and only the segment tells which of
    /// the two it is.
    fn unless_given_back(&self, segment: &Segment, place: Place, error: StoreError) -> StoreError {
        if !matches!(error, StoreError::Damaged(_)) {
            return error;
        }
        let _pin = self.gate.pin(place.segment);
        if self.segment(place.segment).is_none() {
            return StoreError::NotFound;
        }
        let Ok(file) = self.readers.get(segment) else { return error };
        for step in Walk::new(segment, file, segment.end()) {
            match step {
                Step::Record(header)
                    if header.kind == Kind::Skip
                        && header.offset <= place.offset
                        && u64::from(place.offset) < u64::from(header.offset) + header.record_len() =>
                {
                    return StoreError::NotFound;
                }
                Step::Record(header) if header.offset > place.offset => break,
                _ => {}
            }
        }
        error
    }

    /// Visits records; see [`ContentLog::scan`](super::ContentLog::scan).
    pub(crate) fn scan(
        &self,
        from: Option<LogPosition>,
        visitor: &mut dyn FnMut(Scanned) -> ControlFlow<()>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<LogPosition, StoreError> {
        let from = from.unwrap_or(LogPosition::START);
        let upto = self.position();
        let ends = |segment: &Segment| {
            if segment.number == upto.segment { upto.offset } else { segment.end() }
        };
        let range = from.segment..=upto.segment;
        let segments: Vec<_> =
            self.segments().into_iter().filter(|segment| range.contains(&segment.number)).collect();
        let total = segments.iter().map(|segment| u64::from(ends(segment))).sum();
        let mut done = 0;
        for segment in segments {
            progress(done, total);
            let begin = if segment.number == from.segment { from.offset } else { 0 };
            if self.scan_segment(&segment, begin, ends(&segment), visitor)?.is_break() {
                return Ok(upto);
            }
            done += u64::from(ends(&segment));
        }
        progress(done, total);
        Ok(upto)
    }

    fn scan_segment(
        &self,
        segment: &Segment,
        begin: u32,
        end: u32,
        visitor: &mut dyn FnMut(Scanned) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let _pin = self.gate.pin(segment.number);
        if self.segment(segment.number).is_none() {
            return Ok(ControlFlow::Continue(()));
        }
        let file = self.readers.get(segment).map_err(|error| store_error("opening a segment", &error))?;
        for step in Walk::new(segment, Arc::clone(&file), end) {
            let visited = match step {
                Step::UnknownVersion { version, .. } => return Err(unknown_version(version)),
                Step::Bad { offset, octets } if offset >= begin => {
                    Some(Scanned::Damaged(no_record(segment.number, offset, octets)))
                }
                Step::Record(header) if header.kind.is_message() && header.offset >= begin => {
                    Some(self.visit(segment.number, &*file, &header))
                }
                Step::Record(_) | Step::Bad { .. } => None,
            };
            if let Some(scanned) = visited
                && visitor(scanned).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn visit(&self, segment: u64, file: &dyn DiskFile, header: &Header) -> Scanned {
        let place = Place { segment, offset: header.offset };
        match read_parts(file, header) {
            Ok(mut parts) => {
                self.sidecars.overlay(place, &mut parts.message.states);
                let live = !parts.message.states.iter().copied().all(StateByte::is_done);
                if live { Scanned::Live { place, message: parts.message } } else { Scanned::Done(header.id) }
            }
            Err(error) => Scanned::Damaged(DamagedRecord {
                place,
                octets: header.record_len(),
                id: Some(header.id),
                what: error.to_string(),
            }),
        }
    }
}

/// A stretch without a record.
pub(crate) fn no_record(segment: u64, offset: u32, octets: u32) -> DamagedRecord {
    DamagedRecord {
        place: Place { segment, offset },
        octets: u64::from(octets),
        id: None,
        what: "no readable record".into(),
    }
}
