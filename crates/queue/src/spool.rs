//! Work on the content log of a server that is stopped: check every record, copy out what is held.
//!
//! Nothing here needs the index, and nothing here writes to the log. Both functions take the lock of the data
//! directory, so they never run beside a server.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use restante_types::QueueId;

use crate::disk::{Access, DirLock, Disk, DiskFile, RealDisk, is_lost};
use crate::embedded::durable;
use crate::error::StoreError;
use crate::limits::MAX_DAMAGE_LISTED;
use crate::log::offline::{
    DamagedRecord, Dirs, Header, LogPosition, MarksFile, Segment, Sidecars, Step, Survey, Walk, find_all,
    survey,
};

mod export;
#[cfg(test)]
mod tests;
mod verify;

pub use export::{ExportReport, export};
pub use verify::{VerifyReport, verify};

/// Why the log could not be looked through at all.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A server, or another of these commands, has the directory.
    #[error("{0} is in use; stop the server first")]
    InUse(PathBuf),
    /// There is no `log` directory in it.
    #[error("{0} is no data directory")]
    NotADataDirectory(PathBuf),
    /// A segment or record of a version this program does not know, or one that cannot be opened.
    #[error("{0}")]
    Log(String),
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// On what.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
}

/// A damaged record, or a damaged stretch of a segment, and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SpoolDamage {
    /// The segment's number.
    pub segment: u64,
    /// Where in the segment it begins, in octets.
    pub offset: u32,
    /// Octets of the segment that are concerned.
    pub octets: u64,
    /// Which message, where that can still be told.
    pub id: Option<QueueId>,
    /// What is wrong.
    pub what: String,
}

impl From<DamagedRecord> for SpoolDamage {
    fn from(damaged: DamagedRecord) -> Self {
        Self {
            segment: damaged.place.segment,
            offset: damaged.place.offset,
            octets: damaged.octets,
            id: damaged.id,
            what: damaged.what,
        }
    }
}

/// Octets looked through and octets in all, for progress.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_path_buf();
    move |source| SpoolError::Io { path, source }
}

/// A log that is only read.
struct Offline {
    disk: Arc<dyn Disk>,
    dirs: Dirs,
    segments: Vec<Arc<Segment>>,
    sidecars: Sidecars,
    durable: LogPosition,
    /// Held for as long as this lives.
    _lock: DirLock,
}

/// One segment, surveyed as a start would.
struct Found {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    end: u32,
    ended: bool,
    /// Where torn groups begin: what stands there was never acknowledged.
    torn: HashSet<u32>,
    torn_octets: u64,
}

impl Offline {
    fn open(data: &Path) -> Result<Self, SpoolError> {
        let dirs = Dirs::of(data);
        if !dirs.log.is_dir() {
            return Err(SpoolError::NotADataDirectory(data.into()));
        }
        let lock = DirLock::take(data).map_err(io_error(data))?;
        let lock = lock.ok_or_else(|| SpoolError::InUse(data.into()))?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let segments = find_all(&*disk, &dirs.log)
            .map_err(|(name, error)| SpoolError::Log(format!("segment {name}: {error}")))?;
        let sidecars = Sidecars::new(Arc::clone(&disk), dirs.log.clone());
        for marks in MarksFile::find_all(&*disk, &dirs.log).map_err(io_error(&dirs.log))? {
            let read = disk.open(&marks.path, Access::Read).and_then(|file| marks.read(&*file));
            sidecars.remember(marks.segment, &read.map_err(io_error(&marks.path))?, marks.number + 1);
        }
        // Without it more counts as torn, that is all.
        let durable = durable(data).unwrap_or(LogPosition::START);
        Ok(Self { disk, dirs, segments, sidecars, durable, _lock: lock })
    }

    fn find(&self, segment: &Arc<Segment>) -> Result<Found, SpoolError> {
        let file = self.disk.open(&segment.path, Access::Read).map_err(io_error(&segment.path))?;
        let failed = |error: StoreError| SpoolError::Log(format!("{}: {error}", segment.path.display()));
        let (end, ended, survey) = match segment.end_record(&*file) {
            Ok(Some(end)) => (end.offset, true, Survey::default()),
            Ok(None) => {
                let found =
                    survey(&*self.disk, &self.dirs, segment, &file, self.durable.within(segment.number));
                let found = found.map_err(failed)?;
                (found.end, false, found)
            }
            // It may have been ended in order: nothing in it counts as torn.
            Err(error) if is_lost(&error) => {
                let len = file.len().map_err(io_error(&segment.path))?;
                (u32::try_from(len).unwrap_or(u32::MAX), false, Survey::default())
            }
            Err(error) => return Err(io_error(&segment.path)(error)),
        };
        let torn_octets = survey.torn.iter().map(|(_, octets)| u64::from(*octets)).sum();
        let torn = survey.torn.into_iter().map(|(offset, _)| offset).collect();
        Ok(Found { segment: Arc::clone(segment), file, end, ended, torn, torn_octets })
    }

    /// Goes through every record and every damaged stretch, torn groups left out.
    fn walk(
        &self,
        progress: Progress<'_>,
        begin: &mut dyn FnMut(&Found),
        visit: &mut dyn FnMut(&Found, Visit) -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        let found: Result<Vec<_>, _> = self.segments.iter().map(|segment| self.find(segment)).collect();
        let found = found?;
        let total = found.iter().map(|one| u64::from(one.end)).sum();
        let mut done = 0;
        for one in &found {
            begin(one);
            for step in Walk::new(&one.segment, Arc::clone(&one.file), one.end) {
                match step {
                    Step::UnknownVersion { version, .. } => {
                        let text = format!("record version {version} is not known to this program");
                        return Err(SpoolError::Log(format!("{}: {text}", one.segment.path.display())));
                    }
                    Step::Record(header) if header.kind.is_message() => {
                        if !one.torn.contains(&header.offset) {
                            progress(done + u64::from(header.offset), total);
                            visit(one, Visit::Message(header))?;
                        }
                    }
                    Step::Bad { offset, octets } if !one.torn.contains(&offset) => {
                        visit(one, Visit::Unreadable { offset, octets })?;
                    }
                    Step::Record(_) | Step::Bad { .. } => {}
                }
            }
            done += u64::from(one.end);
        }
        progress(done, total);
        Ok(())
    }
}

/// What a walk comes to.
enum Visit {
    Message(Header),
    Unreadable { offset: u32, octets: u32 },
}

/// Adds to a list that is bounded.
fn note(list: &mut Vec<SpoolDamage>, damage: SpoolDamage) {
    if list.len() < MAX_DAMAGE_LISTED {
        list.push(damage);
    }
}
