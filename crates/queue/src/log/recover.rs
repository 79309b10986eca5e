//! What opening does: finds the segments, mends those that were not ended in order, removes what was left over.
//!
//! A group is acknowledged only after its sync, and the next group is written only after that. Every header says where
//! its group begins, so everything before the latest group's begin was synced: what is bad there is damage, and is
//! kept and reported. What is bad from there on is a torn group that nobody was told about, and is cut; whole records
//! of that group stay, for they may have been acknowledged just before the power went.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use restante_types::QueueId;

use super::parts::{ContentCondition, content_condition, read_parts};
use super::read::no_record;
use super::record::{HEADER, Header, Kind};
use super::segment::{Segment, SegmentError, find_all};
use super::shared::{Dirs, Shared};
use super::sidecar::MarksFile;
use super::walk::{Step, Walk};
use super::wire::WireContent;
use super::{DamagedRecord, LogOptions, OpenReport, large};
use crate::disk::{Access, Disk, DiskFile, is_lost, is_refusal, read_exact_at, store_error};
use crate::error::StoreError;
use crate::limits::MAX_DAMAGE_LISTED;

/// Opens the log's files.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    dirs: Dirs,
    options: LogOptions,
) -> Result<(Shared, OpenReport), StoreError> {
    for dir in [&dirs.log, &dirs.large, &dirs.incoming] {
        disk.make_dir(dir).map_err(|error| store_error(&format!("making {}", dir.display()), &error))?;
    }
    if let Some(parent) = dirs.log.parent() {
        disk.sync_dir(parent).map_err(|error| store_error("syncing the data directory", &error))?;
    }
    let segments = find_all(&**disk, &dirs.log).map_err(segment_error)?;
    let mut report = OpenReport { segments: segments.len() as u64, ..OpenReport::default() };
    let mut referenced = HashMap::new();
    for segment in &segments {
        let durable = options.durable.within(segment.number);
        let recovered = open_segment(&**disk, &dirs, segment, durable, &mut report)
            .map_err(|error| in_segment(segment, &error))?;
        report.octets += u64::from(segment.end());
        if let Some(files) = recovered {
            referenced.insert(segment.number, files);
        }
    }
    let next_number = segments.last().map_or(1, |last| last.number + 1);
    report.left_over_files = remove_left_over(&**disk, &dirs, &segments, &referenced)
        .map_err(|error| store_error("removing left-over files", &error))?;
    let shared = Shared::new(Arc::clone(disk), dirs, options, segments, next_number);
    apply_marks_files(&shared).map_err(|error| store_error("reading marks set aside", &error))?;
    Ok((shared, report))
}

fn segment_error((name, error): (String, SegmentError)) -> StoreError {
    StoreError::Unavailable(format!("segment {name}: {error}"))
}

fn in_segment(segment: &Segment, error: &StoreError) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", segment.path.display()))
}

/// Finds a segment's end, mending it if it was not ended in order; returns the large files that its records name,
/// where it had to be looked through and all of them could be told.
fn open_segment(
    disk: &dyn Disk,
    dirs: &Dirs,
    segment: &Segment,
    durable: u32,
    report: &mut OpenReport,
) -> Result<Option<HashSet<PathBuf>>, StoreError> {
    let reading = |error: io::Error| store_error("reading", &error);
    let file = disk.open(&segment.path, Access::Read).map_err(reading)?;
    let ended = match segment.end_record(&*file) {
        Err(error) if is_lost(&error) => return open_unreadable(disk, dirs, segment, &file, report),
        ended => ended.map_err(reading)?,
    };
    if let Some(end) = ended {
        segment.set_end(end.offset + HEADER as u32);
        report.newest = report.newest.max((end.id > QueueId::MIN).then_some(end.id));
        return Ok(None);
    }
    report.unclean += 1;
    let found = survey(disk, dirs, segment, &file, durable)?;
    report.newest = report.newest.max(found.newest);
    report.torn_octets += found.torn.iter().map(|(_, octets)| u64::from(*octets)).sum::<u64>();
    let room = MAX_DAMAGE_LISTED.saturating_sub(report.damaged.len());
    report.damaged.extend(found.damaged.iter().take(room).cloned());
    mend(disk, segment, &found).map_err(|error| store_error("mending", &error))?;
    // A record that cannot be read any more may be the one that a file belongs to: then all files stay.
    Ok((found.damaged.is_empty() && !found.unreadable).then_some(found.large))
}

/// A segment whose end cannot be read may have been ended in order: nothing of it is cut, and what cannot be read in it is
/// damage.
fn open_unreadable(
    disk: &dyn Disk,
    dirs: &Dirs,
    segment: &Segment,
    file: &Arc<dyn DiskFile>,
    report: &mut OpenReport,
) -> Result<Option<HashSet<PathBuf>>, StoreError> {
    let found = survey(disk, dirs, segment, file, 0)?;
    let len = file.len().map_err(|error| store_error("reading", &error))?;
    report.unclean += 1;
    report.newest = report.newest.max(found.newest);
    // The survey has seen that it fits.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let torn = found.torn.iter().copied().filter(|(offset, _)| *offset < found.end);
    let lost = torn.chain([(found.end, len.saturating_sub(found.end))]);
    let lost = lost.map(|(offset, octets)| no_record(segment.number, offset, octets));
    let room = MAX_DAMAGE_LISTED.saturating_sub(report.damaged.len());
    report.damaged.extend(found.damaged.into_iter().chain(lost).take(room));
    segment.set_end(len);
    Ok(None)
}

/// What a look through a segment without an end found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The end of the last record that stays.
    pub(crate) end: u32,
    /// Where the latest group begins.
    synced: u32,
    /// From here on, what is not whole may have been cut short.
    suspect: u32,
    newest: Option<QueueId>,
    /// Torn stretches, begin and octets, the tail behind `end` not among them unless something was in it.
    pub(crate) torn: Vec<(u32, u32)>,
    /// Damage in groups that were synced.
    pub(crate) damaged: Vec<DamagedRecord>,
    large: HashSet<PathBuf>,
    /// An envelope of a synced group cannot be read.
    unreadable: bool,
}

/// Looks through a segment that has no end record. What lies before `durable` was whole once.
pub(crate) fn survey(
    disk: &dyn Disk,
    dirs: &Dirs,
    segment: &Segment,
    file: &Arc<dyn DiskFile>,
    durable: u32,
) -> Result<Survey, StoreError> {
    let len = file.len().map_err(|error| store_error("reading", &error))?;
    let len =
        u32::try_from(len).map_err(|_| StoreError::Unavailable("longer than a segment can be".into()))?;
    let steps: Vec<Step> = Walk::new(segment, Arc::clone(file), len).collect();
    let synced = steps
        .iter()
        .filter_map(|step| if let Step::Record(header) = step { Some(header.group) } else { None })
        .max()
        .unwrap_or(0);
    let mut found = Survey { end: HEADER as u32, synced, suspect: synced.max(durable), ..Survey::default() };
    let mut tail = None;
    for step in steps {
        match step {
            Step::UnknownVersion { version, .. } => {
                let text = format!("record version {version} is not known to this program");
                return Err(StoreError::Unavailable(text));
            }
            Step::Bad { offset, octets } if offset.saturating_add(octets) >= len => {
                tail = Some((offset, octets));
            }
            Step::Bad { offset, octets } => found.bad(segment, &**file, offset, octets),
            Step::Record(header) => found.record(disk, dirs, segment, file, &header),
        }
    }
    if let Some((offset, octets)) = tail {
        found.tail(segment, &**file, offset, octets);
    }
    Ok(found)
}

impl Survey {
    fn bad(&mut self, segment: &Segment, file: &dyn DiskFile, offset: u32, octets: u32) {
        if !self.is_damage(segment, file, offset, octets) {
            self.torn.push((offset, octets));
        }
    }

    /// Whether a stretch without a record was whole once, or may have been; then it is noted, and stays.
    fn is_damage(&mut self, segment: &Segment, file: &dyn DiskFile, offset: u32, octets: u32) -> bool {
        let damage = offset < self.suspect || is_refused(file, offset, octets);
        if damage {
            self.damaged.push(no_record(segment.number, offset, octets));
            self.end = offset.saturating_add(octets);
        }
        damage
    }

    fn record(
        &mut self,
        disk: &dyn Disk,
        dirs: &Dirs,
        segment: &Segment,
        file: &Arc<dyn DiskFile>,
        header: &Header,
    ) {
        // The walk has seen that the record lies within the segment.
        let octets = u32::try_from(header.record_len()).unwrap_or(u32::MAX);
        if header.kind.is_message() {
            let parts = read_parts(&**file, header);
            let is_torn = || match &parts {
                Ok(parts) => {
                    content_condition(disk, &dirs.large, segment, &**file, header, parts)
                        == ContentCondition::Torn
                }
                Err(_) => !is_refused(&**file, header.offset, octets),
            };
            if header.offset >= self.suspect && is_torn() {
                self.torn.push((header.offset, octets));
                return;
            }
            match parts.map(|parts| parts.content) {
                Ok(WireContent::File { nonce, .. }) => {
                    self.large.insert(large::path(&dirs.large, segment.number, header.id, nonce));
                }
                Ok(WireContent::Inline) => {}
                Err(_) => self.unreadable = true,
            }
            self.newest = self.newest.max(Some(header.id));
        }
        self.end = header.offset + octets;
    }

    /// What lies behind the last record: room reserved and never written, a torn group, or what cannot be read.
    fn tail(&mut self, segment: &Segment, file: &dyn DiskFile, offset: u32, octets: u32) {
        if self.is_damage(segment, file, offset, octets) {
            return;
        }
        let mut written = 0;
        let mut chunk = vec![0; crate::limits::SEARCH_CHUNK];
        for at in (0..octets).step_by(chunk.len()) {
            let want = chunk.len().min((octets - at) as usize);
            super::walk::read_lenient(file, &mut chunk[..want], u64::from(offset + at));
            if let Some(last) = chunk[..want].iter().rposition(|octet| *octet != 0) {
                written = at + u32::try_from(last).unwrap_or(0) + 1;
            }
        }
        if written > 0 {
            self.torn.push((offset, written));
        }
    }
}

/// Whether the medium does not give back some of it. No write was cut short there: whether it was whole nobody knows, so
/// it stays.
fn is_refused(file: &dyn DiskFile, offset: u32, octets: u32) -> bool {
    let mut chunk = vec![0; crate::limits::SEARCH_CHUNK.min(octets as usize)];
    (0..octets).step_by(chunk.len().max(1)).any(|at| {
        let want = chunk.len().min((octets - at) as usize);
        let read = read_exact_at(file, &mut chunk[..want], u64::from(offset + at));
        read.is_err_and(|error| is_refusal(&error))
    })
}

/// Cuts what is torn, makes the rest durable for good and ends the segment.
fn mend(disk: &dyn Disk, segment: &Segment, found: &Survey) -> io::Result<()> {
    let file = disk.open(&segment.path, Access::Write)?;
    for (offset, octets) in &found.torn {
        if *offset < found.end {
            let skip = Header::skip(*offset, found.synced.max(HEADER as u32), *octets);
            file.write_at(&skip.encode(&segment.magic), u64::from(*offset))?;
        }
    }
    file.set_len(u64::from(found.end))?;
    // What a killed process had written and not synced was read from memory just now; it counts from here on.
    file.sync()?;
    segment.set_end(found.end);
    let end = Header::end(found.end, found.newest.unwrap_or(QueueId::MIN));
    let ended = file.write_at(&end.encode(&segment.magic), u64::from(found.end)).and_then(|()| file.sync());
    match ended {
        Ok(()) => segment.set_end(found.end + HEADER as u32),
        // On a full disk mail must still go out; the segment is looked through again next time.
        Err(_) => file.set_len(u64::from(found.end))?,
    }
    Ok(())
}

/// Removes temporary files, and large files that no record names.
fn remove_left_over(
    disk: &dyn Disk,
    dirs: &Dirs,
    segments: &[Arc<Segment>],
    referenced: &HashMap<u64, HashSet<PathBuf>>,
) -> io::Result<u64> {
    let mut removed = 0;
    for name in disk.list(&dirs.incoming)? {
        disk.remove(&dirs.incoming.join(name))?;
        removed += 1;
    }
    let known: HashSet<u64> = segments.iter().map(|segment| segment.number).collect();
    for name in disk.list(&dirs.large)? {
        let Some(segment) = large::segment_of(&name) else { continue };
        let path = dirs.large.join(name);
        let orphan = match referenced.get(&segment) {
            Some(files) => !files.contains(&path),
            // Ended in order: the last group was finished, files included.
            None => !known.contains(&segment),
        };
        if orphan {
            disk.remove(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Writes marks that were set aside into their segments; what cannot be written stays aside.
fn apply_marks_files(shared: &Shared) -> io::Result<()> {
    let files = MarksFile::find_all(&*shared.disk, &shared.dirs.log)?;
    let mut done = Vec::new();
    for file in &files {
        let open = shared.disk.open(&file.path, Access::Read)?;
        let marks = file.read(&*open)?;
        if let Some(segment) = shared.segment(file.segment)
            && !shared.is_failed(file.segment)
            && let Err(error) = apply_marks(&*shared.disk, &segment, &marks)
        {
            shared.fail_segment(segment.number, &error);
        }
        if shared.is_failed(file.segment) {
            shared.sidecars.remember(file.segment, &marks, file.number + 1);
        } else {
            done.push(&file.path);
        }
    }
    // Older marks must not come back over newer ones, so their files are gone for good before anything goes on.
    for path in &done {
        shared.disk.remove(path)?;
    }
    if done.is_empty() { Ok(()) } else { shared.disk.sync_dir(&shared.dirs.log) }
}

fn apply_marks(disk: &dyn Disk, segment: &Segment, marks: &[super::Mark]) -> io::Result<()> {
    let file = disk.open(&segment.path, Access::Write)?;
    for mark in marks {
        write_mark(&*file, segment, mark)?;
    }
    file.sync()
}

/// Overwrites one state octet, if there is a record for it; passes over marks on what was given back or is unreadable.
pub(crate) fn write_mark(file: &dyn DiskFile, segment: &Segment, mark: &super::Mark) -> io::Result<()> {
    let at = u64::from(mark.place.offset);
    if at + HEADER as u64 > u64::from(segment.end()) {
        return Ok(());
    }
    let mut octets = [0; HEADER];
    read_exact_at(file, &mut octets, at)?;
    match Header::decode(&octets, &segment.magic, mark.place.offset) {
        Ok(header)
            if matches!(header.kind, Kind::Message | Kind::LargeMessage)
                && mark.recipient < header.states =>
        {
            file.write_at(&[mark.state.to_octet()], at + header.states_at() + u64::from(mark.recipient))
        }
        _ => Ok(()),
    }
}
