//! A consistent copy of the log while it is in use.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::gate::Pin;
use super::record::{HEADER, Header};
use super::segment::Segment;
use super::shared::{Dirs, Shared};
use super::walk::{Step, Walk};
use super::{StateByte, large, parts};
use crate::disk::{Access, Disk, DiskFile, read_up_to, store_error};
use crate::error::StoreError;
use crate::limits::SEARCH_CHUNK;

impl Shared {
    /// Copies what is durable now; see [`ContentLog::copy_to`](super::ContentLog::copy_to).
    ///
    /// Pinned segments keep their records and large files. Marks go on meanwhile: a recipient that is done during the
    /// copy may be done in it or not, as after a crash at that moment.
    pub(crate) fn copy_to(&self, data: &Path) -> Result<u64, StoreError> {
        self.try_copy(data).map_err(|error| store_error(&format!("copying to {}", data.display()), &error))
    }

    fn try_copy(&self, data: &Path) -> io::Result<u64> {
        let dirs = Dirs::of(data);
        for dir in [data, &dirs.log, &dirs.large, &dirs.incoming] {
            self.disk.make_dir(dir)?;
        }
        if !self.disk.list(&dirs.log)?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a log already"));
        }
        let upto = self.position();
        let mut pinned: Vec<(Arc<Segment>, Pin<'_>, u32)> = Vec::new();
        for segment in self.segments() {
            let pin = self.gate.pin(segment.number);
            // One that was removed before it was pinned held nothing that lives.
            if segment.number <= upto.segment && self.segment(segment.number).is_some() {
                let end = if segment.number == upto.segment { upto.offset } else { segment.end() };
                pinned.push((segment, pin, end));
            }
        }
        let mut messages = 0;
        for (segment, _, end) in &pinned {
            messages += self.copy_segment(&dirs, segment, *end)?;
        }
        for name in self.disk.list(&self.dirs.large)? {
            if large::segment_of(&name)
                .is_some_and(|number| pinned.iter().any(|(one, ..)| one.number == number))
            {
                copy_file(&*self.disk, &self.dirs.large.join(&name), &dirs.large.join(&name))?;
            }
        }
        for dir in [&*dirs.large, &*dirs.log, data] {
            self.disk.sync_dir(dir)?;
        }
        Ok(messages)
    }

    /// Copies one segment with the states as they are, ends it in order, and counts its live messages.
    fn copy_segment(&self, dirs: &Dirs, segment: &Segment, end: u32) -> io::Result<u64> {
        let from = self.readers.get(segment)?;
        let copy = Segment::new(segment.number, segment.magic, &dirs.log, end);
        let to = self.disk.create(&copy.path)?;
        copy_octets(&*from, &*to, u64::from(end))?;
        let (mut live, mut newest, mut ended) = (0, restante_types::QueueId::MIN, false);
        for step in Walk::new(segment, Arc::clone(&to), end) {
            let Step::Record(header) = step else { continue };
            newest = newest.max(header.id);
            ended = header.kind == super::record::Kind::End;
            if header.kind.is_message() {
                live += u64::from(self.settle_states(segment, &*to, &header)?);
            }
        }
        if !ended {
            to.write_at(&Header::end(end, newest).encode(&segment.magic), u64::from(end))?;
            to.set_len(u64::from(end) + HEADER as u64)?;
        }
        to.sync()?;
        Ok(live)
    }

    /// Writes marks that were set aside into the copy; true if the message lives.
    fn settle_states(&self, segment: &Segment, copy: &dyn DiskFile, header: &Header) -> io::Result<bool> {
        let mut states = parts::read_states(copy, header)?;
        let before = states.clone();
        let place = super::Place { segment: segment.number, offset: header.offset };
        self.sidecars.overlay(place, &mut states);
        if states != before {
            let octets: Vec<u8> = states.iter().map(|state| state.to_octet()).collect();
            copy.write_at(&octets, u64::from(header.offset) + header.states_at())?;
        }
        Ok(!states.into_iter().all(StateByte::is_done))
    }
}

fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let from = disk.open(from, Access::Read)?;
    let to = disk.create(to)?;
    copy_octets(&*from, &*to, from.len()?)?;
    to.sync()
}

/// Copies so many octets; holes stay holes.
fn copy_octets(from: &dyn DiskFile, to: &dyn DiskFile, len: u64) -> io::Result<()> {
    let mut chunk = vec![0; SEARCH_CHUNK];
    let mut at = 0;
    while at < len {
        let want = usize::try_from(len - at).unwrap_or(SEARCH_CHUNK).min(SEARCH_CHUNK);
        let got = read_up_to(from, &mut chunk[..want], at)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if chunk[..got].iter().any(|octet| *octet != 0) {
            to.write_at(&chunk[..got], at)?;
        }
        at += got as u64;
    }
    to.set_len(len)
}
