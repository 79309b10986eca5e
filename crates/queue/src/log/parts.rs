//! Reads the parts of one record, with their checks.

use std::io;

use bytes::Bytes;

use super::record::{Header, Kind};
use super::segment::Segment;
use super::wire::{self, WireContent};
use super::{StateByte, StoredMessage};
use crate::content::ContentReader;
use crate::disk::{Access, Disk, DiskFile, is_refusal, read_exact_at, read_stored, store_error};
use crate::error::StoreError;
use crate::limits::{MAX_HEAD, READ_AHEAD, SEARCH_CHUNK};

/// The least that is written whole or not at all.
const SECTOR: u64 = 512;

/// A record's message, and where its content lies.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Without content; its states as they are on the disk.
    pub(crate) message: StoredMessage,
    /// Where that is.
    pub(crate) content: WireContent,
}

fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Damaged(what.into())
}

/// Reads states and envelope behind a header: one read for all but very long envelopes.
pub(crate) fn read_parts(file: &dyn DiskFile, header: &Header) -> Result<Parts, StoreError> {
    let len = header.states as usize + header.envelope as usize;
    let mut inline = [0; READ_AHEAD];
    let mut long = Vec::new();
    let octets = if len <= READ_AHEAD {
        &mut inline[..len]
    } else {
        long.resize(len, 0);
        &mut long[..]
    };
    read_stored(file, octets, u64::from(header.offset) + header.states_at(), "reading a record")?;
    let (states, envelope) = octets.split_at(header.states as usize);
    if crc32c::crc32c(envelope) != header.envelope_crc {
        return Err(damaged("envelope differs from what was stored"));
    }
    let states = states.iter().copied().map(StateByte::from_octet).collect();
    let (message, content) = wire::decode(header, envelope, states).map_err(damaged)?;
    if (header.kind == Kind::LargeMessage) != matches!(content, WireContent::File { .. }) {
        return Err(damaged("envelope and header differ on where the content lies"));
    }
    Ok(Parts { message, content })
}

/// Reads the states alone.
pub(crate) fn read_states(file: &dyn DiskFile, header: &Header) -> std::io::Result<Vec<StateByte>> {
    let mut octets = vec![0; header.states as usize];
    read_exact_at(file, &mut octets, u64::from(header.offset) + header.states_at())?;
    Ok(octets.into_iter().map(StateByte::from_octet).collect())
}

/// Reads what stands in the record of content that lies in a file of its own. It is checked with the file.
pub(crate) fn read_head(file: &dyn DiskFile, header: &Header) -> Result<Bytes, StoreError> {
    if header.content as usize > MAX_HEAD {
        return Err(damaged("more octets before the file than there can be"));
    }
    let mut head = vec![0; header.content as usize];
    read_stored(file, &mut head, u64::from(header.offset) + header.content_at(), "reading a record")?;
    Ok(head.into())
}

/// A reader for content that lies in a file of its own; a file that is gone or too short is damage.
pub(crate) fn open_large(
    disk: &dyn Disk,
    path: &std::path::Path,
    head: Bytes,
    size: u64,
    crc: u32,
) -> Result<ContentReader, StoreError> {
    let file = disk.open(path, Access::Read).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => damaged("the file with the content is gone"),
        _ => store_error("opening large content", &error),
    })?;
    match file.len() {
        Ok(len) if len == size => Ok(ContentReader::large(head, file, size, crc)),
        Ok(_) => Err(damaged("the file with the content has another length")),
        Err(error) => Err(store_error("opening large content", &error)),
    }
}

/// What became of content that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentCondition {
    /// It is what was stored.
    Whole,
    /// It is not, or the medium does not give it back; its write was complete all the same.
    Damaged,
    /// It is not, and its write may have been cut short.
    Torn,
}

/// Reads content to its end and compares its check.
pub(crate) fn content_condition(
    disk: &dyn Disk,
    large_dir: &std::path::Path,
    segment: &Segment,
    file: &dyn DiskFile,
    header: &Header,
    parts: &Parts,
) -> ContentCondition {
    // A block that cannot be read is no sign of a write that was cut short.
    let unread = |error: &io::Error| match is_refusal(error) {
        true => ContentCondition::Damaged,
        false => ContentCondition::Torn,
    };
    let at = u64::from(header.offset) + header.content_at();
    let crc = match crc_of(file, at, u64::from(header.content), 0) {
        Ok(crc) => crc,
        Err(error) => return unread(&error),
    };
    let WireContent::File { size, nonce } = parts.content else {
        return if crc == header.content_crc { ContentCondition::Whole } else { ContentCondition::Torn };
    };
    let path = super::large::path(large_dir, segment.number, header.id, nonce);
    let Ok(large) = disk.open(&path, Access::Read) else { return ContentCondition::Torn };
    if large.len().is_ok_and(|len| len != size) {
        return ContentCondition::Torn;
    }
    match crc_of(&*large, 0, size, crc) {
        Ok(crc) if crc == header.content_crc => ContentCondition::Whole,
        // The file was synced before its record was written: where the record is whole, the file is damaged, not torn.
        Ok(_) if read_head(file, header).is_ok_and(|head| !has_gap(&head, at)) => ContentCondition::Damaged,
        Ok(_) => ContentCondition::Torn,
        Err(error) => unread(&error),
    }
}

/// Whether a sector's part of these octets, which begin there, reads as if it was never written.
fn has_gap(octets: &[u8], at: u64) -> bool {
    let first = (SECTOR - at % SECTOR).min(octets.len() as u64) as usize;
    let (first, rest) = octets.split_at(first);
    let unwritten = |part: &[u8]| !part.is_empty() && part.iter().all(|octet| *octet == 0);
    unwritten(first) || rest.chunks(SECTOR as usize).any(unwritten)
}

/// Goes on with a check over what is read.
fn crc_of(file: &dyn DiskFile, mut at: u64, mut left: u64, mut crc: u32) -> io::Result<u32> {
    let mut chunk = vec![0; usize::try_from(left).unwrap_or(SEARCH_CHUNK).min(SEARCH_CHUNK)];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(SEARCH_CHUNK).min(chunk.len());
        read_exact_at(file, &mut chunk[..want], at)?;
        crc = crc32c::crc32c_append(crc, &chunk[..want]);
        at += want as u64;
        left -= want as u64;
    }
    Ok(crc)
}
