//! `spool verify`: every record, every large file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{Found, Offline, Progress, SpoolDamage, SpoolError, Visit, io_error, note};
use crate::disk::Disk;
use crate::log::offline::{
    ContentCondition, DamagedRecord, Header, Place, StateByte, WireContent, content_condition, large_path,
    no_record, read_parts, read_states,
};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Segments of the log.
    pub segments: u64,
    /// Segments that were not ended in order: the server was killed, or the power failed. The next start mends them.
    pub unclean: u64,
    /// Messages that are held, in whatever state, whole or damaged.
    pub messages: u64,
    /// Octets of their content.
    pub octets: u64,
    /// Of these, messages whose content lies in a file of its own.
    pub large: u64,
    /// Messages that are done for good and whose room has not been given back yet.
    pub dead: u64,
    /// Octets of groups that were cut off by a crash and never acknowledged; the next start removes them.
    pub torn_octets: u64,
    /// Files that no record needs; the next start removes most of them, the rest goes with its segment.
    pub left_over_files: u64,
    /// How many records or stretches are damaged.
    pub damage: u64,
    /// The damaged ones, at most 10,000 of them.
    pub damaged: Vec<SpoolDamage>,
}

impl VerifyReport {
    /// Whether nothing is damaged. Torn groups are no damage: nobody was told that they were stored.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.damage == 0
    }

    fn damage(&mut self, damage: SpoolDamage) {
        self.damage += 1;
        note(&mut self.damaged, damage);
    }
}

/// Checks every record of the log in a data directory and every large file.
///
/// # Errors
/// When the directory is in use, is none, was written by a newer program, or cannot be read. Damage is no error: it
/// stands in the report.
pub fn verify(data: &Path, progress: Progress<'_>) -> Result<VerifyReport, SpoolError> {
    let log = Offline::open(data)?;
    let mut report = VerifyReport::default();
    let mut needed = HashSet::new();
    let mut unclear = false;
    let (mut segments, mut unclean, mut torn_octets) = (0, 0, 0);
    let mut begin = |found: &Found| {
        segments += 1;
        unclean += u64::from(!found.ended);
        torn_octets += found.torn_octets;
    };
    let mut visit = |found: &Found, visit: Visit| {
        match visit {
            Visit::Message(header) => unclear |= !check(&log, found, &header, &mut report, &mut needed),
            Visit::Unreadable { offset, octets } => {
                unclear = true;
                report.damage(no_record(found.segment.number, offset, octets).into());
            }
        }
        Ok(())
    };
    log.walk(progress, &mut begin, &mut visit)?;
    let incoming = list(&*log.disk, &log.dirs.incoming)?.len() as u64;
    // Where a record is unreadable, any file may be the one it named.
    let orphans = list(&*log.disk, &log.dirs.large)?.iter().filter(|path| !needed.contains(*path)).count();
    let orphans = if unclear { 0 } else { orphans as u64 };
    Ok(VerifyReport { segments, unclean, torn_octets, left_over_files: incoming + orphans, ..report })
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let names = disk.list(dir).map_err(io_error(dir))?;
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// Checks one record; false if what file it names cannot be told.
fn check(
    log: &Offline,
    found: &Found,
    header: &Header,
    report: &mut VerifyReport,
    needed: &mut HashSet<PathBuf>,
) -> bool {
    let place = Place { segment: found.segment.number, offset: header.offset };
    let mut states = read_states(&*found.file, header).unwrap_or_default();
    log.sidecars.overlay(place, &mut states);
    if !states.is_empty() && states.iter().copied().all(StateByte::is_done) {
        report.dead += 1;
        return true;
    }
    report.messages += 1;
    let damaged =
        |what: String| DamagedRecord { place, octets: header.record_len(), id: Some(header.id), what }.into();
    let parts = match read_parts(&*found.file, header) {
        Ok(parts) => parts,
        Err(error) => {
            report.damage(damaged(error.to_string()));
            return false;
        }
    };
    report.octets += parts.message.size;
    if let WireContent::File { nonce, .. } = parts.content {
        report.large += 1;
        needed.insert(large_path(&log.dirs.large, place.segment, header.id, nonce));
    }
    let condition =
        content_condition(&*log.disk, &log.dirs.large, &found.segment, &*found.file, header, &parts);
    if condition != ContentCondition::Whole {
        report.damage(damaged("content differs from what was stored, or is gone".into()));
    }
    true
}
