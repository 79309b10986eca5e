//! Gives room back: joins dead records into one that is skipped, punches holes behind it, removes empty segments.
//!
//! What is dead is read from the state octets each time, never remembered: counts are only hints as to when looking
//! is worth it. The segment that is written, and the newest of all (its number must never be used again), stay.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::parts::{read_parts, read_states};
use super::record::{HEADER, Header, Kind};
use super::segment::Segment;
use super::shared::Shared;
use super::walk::{Step, Walk};
use super::wire::WireContent;
use super::{Place, StateByte, events, large};
use crate::disk::{Access, DiskFile, read_exact_at};
use crate::limits::BLOCK;

/// What is known about a segment between two looks.
#[derive(Debug, Default)]
struct Hint {
    /// Records alive at the last look, less those forgotten since.
    alive: Option<u64>,
    /// Octets that died since.
    died: u64,
}

/// Gives room back.
#[derive(Debug)]
pub(crate) struct Sweeper {
    shared: Arc<Shared>,
    hints: BTreeMap<u64, Hint>,
    /// Damaged stretches that nobody wants to keep.
    abandoned: HashSet<Place>,
    /// Segments not looked at since the start.
    unseen: VecDeque<u64>,
    holes_unsupported: bool,
}

/// Adjacent room that is to become one skip record.
#[derive(Debug, Clone, Copy)]
struct Run {
    offset: u32,
    octets: u32,
    group: u32,
    /// Whether it is more than a single skip record already.
    fresh: bool,
}

impl Run {
    /// The whole blocks behind its header.
    const fn blocks(&self) -> (u64, u64) {
        let from = (self.offset as u64 + HEADER as u64).next_multiple_of(BLOCK);
        let to = (self.offset as u64 + self.octets as u64) / BLOCK * BLOCK;
        (from, to)
    }
}

/// What a look through a segment found.
#[derive(Debug, Default)]
struct Findings {
    runs: Vec<Run>,
    /// Live messages, and unreadable stretches that nobody has given up.
    alive: u64,
    dead_large: Vec<Header>,
}

impl Sweeper {
    /// Has every segment to look at once.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let unseen = shared.segments().iter().map(|segment| segment.number).collect();
        Self { shared, hints: BTreeMap::new(), abandoned: HashSet::new(), unseen, holes_unsupported: false }
    }

    /// How long the dead may wait, however few they are.
    pub(crate) fn interval(&self) -> std::time::Duration {
        self.shared.options.sweep_interval
    }

    /// Whether mail is refused for want of room.
    pub(crate) fn is_urgent(&self) -> bool {
        self.shared.room.is_low()
    }

    /// Whether there are segments not looked at since the start.
    pub(crate) fn has_unseen(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// Looks at one of them.
    pub(crate) fn look_at_unseen(&mut self) {
        if let Some(number) = self.unseen.pop_front() {
            self.sweep(number);
        }
    }

    /// Takes note of records that are dead now, and looks at segments where enough has died.
    pub(crate) fn note(&mut self, places: &mut VecDeque<Place>) {
        for place in places.drain(..) {
            let octets = self.octets_at(place);
            let hint = self.hints.entry(place.segment).or_default();
            hint.died += octets;
            hint.alive = hint.alive.map(|alive| alive.saturating_sub(1));
        }
        self.sweep_where(|hint, enough| hint.died >= enough);
    }

    /// Looks at every segment where anything has died.
    pub(crate) fn sweep_all(&mut self) {
        self.sweep_where(|hint, _| hint.died > 0);
    }

    /// Sweeps where it is worth it, and where nothing lives any more.
    fn sweep_where(&mut self, worth: impl Fn(&Hint, u64) -> bool) {
        let enough = self.shared.options.sweep_octets;
        let first_open = self.shared.first_open.load(Ordering::Acquire);
        let newest = self.newest();
        let empty = |number: u64, hint: &Hint| hint.alive == Some(0) && Some(number) != newest;
        let due = self
            .hints
            .range(..first_open)
            .filter(|(number, hint)| worth(hint, enough) || empty(**number, hint));
        for number in due.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.sweep(number);
        }
    }

    fn newest(&self) -> Option<u64> {
        self.shared.segments().last().map(|segment| segment.number)
    }

    /// How long the record at a place is; a place without a readable one is damage that is given up.
    fn octets_at(&mut self, place: Place) -> u64 {
        let Some(segment) = self.shared.segment(place.segment) else { return 0 };
        let mut octets = [0; HEADER];
        let read = self
            .shared
            .readers
            .get(&segment)
            .and_then(|file| read_exact_at(&*file, &mut octets, u64::from(place.offset)));
        match read.map(|()| Header::decode(&octets, &segment.magic, place.offset)) {
            Ok(Ok(header)) => header.record_len(),
            Ok(Err(_)) => {
                self.abandoned.insert(place);
                BLOCK
            }
            Err(_) => 0,
        }
    }

    /// Looks through one segment and gives back what is dead in it.
    pub(crate) fn sweep(&mut self, number: u64) {
        let shared = Arc::clone(&self.shared);
        if number >= shared.first_open.load(Ordering::Acquire) {
            return;
        }
        if shared.is_failed(number) {
            // What its state octets say may be in memory only; the next start reads what is on the disk.
            self.hints.remove(&number);
            return;
        }
        let Some(_turn) = shared.gate.turn(number) else {
            // Somebody goes through it just now.
            self.unseen.push_back(number);
            return;
        };
        let Some(segment) = shared.segment(number) else {
            self.hints.remove(&number);
            return;
        };
        let result = shared.readers.get(&segment).map(|file| self.examine(&segment, &file));
        let given_back = result.and_then(|found| self.give_back(&segment, &found));
        if let Err(error) = given_back {
            events::sweep_failed(number, &error);
            // Not again before more has died.
            self.hints.insert(number, Hint::default());
        }
    }

    fn give_back(&mut self, segment: &Segment, found: &Findings) -> io::Result<()> {
        let number = segment.number;
        if !found.dead_large.is_empty() {
            self.sync(segment)?;
            for header in &found.dead_large {
                self.remove_large(segment, header)?;
            }
        }
        if found.alive == 0 && self.newest() != Some(number) {
            self.shared.remove_segment(segment);
            self.hints.remove(&number);
            self.abandoned.retain(|place| place.segment != number);
            return Ok(());
        }
        self.hints.insert(number, Hint { alive: Some(found.alive), died: 0 });
        let joined = self.join(segment, &found.runs);
        if let Err(error) = &joined
            && !self.holes_unsupported
        {
            self.shared.fail_segment(number, error);
        }
        joined
    }

    /// Makes the states that were just read durable: a file must not go before the mark that says that nobody needs it.
    fn sync(&self, segment: &Segment) -> io::Result<()> {
        let synced = self.shared.disk.open(&segment.path, Access::Write).and_then(|file| file.sync());
        synced.inspect_err(|error| self.shared.fail_segment(segment.number, error))?;
        if self.shared.is_failed(segment.number) {
            return Err(io::Error::other("a mark in it could not be written"));
        }
        Ok(())
    }

    fn examine(&self, segment: &Segment, file: &Arc<dyn DiskFile>) -> Findings {
        let mut found = Findings::default();
        let mut run: Option<Run> = None;
        for step in Walk::new(segment, Arc::clone(file), segment.end()) {
            let (offset, octets, free, fresh, group) = match step {
                Step::Record(header) => {
                    let octets = u32::try_from(header.record_len()).unwrap_or(u32::MAX);
                    let dead = header.kind.is_message() && self.is_dead(segment, &**file, &header);
                    match header.kind {
                        Kind::LargeMessage if dead => found.dead_large.push(header),
                        Kind::Message | Kind::LargeMessage if !dead => found.alive += 1,
                        _ => {}
                    }
                    let skip = header.kind == Kind::Skip;
                    (header.offset, octets, dead || skip, dead, header.group)
                }
                Step::Bad { offset, octets } => {
                    let given_up = self.abandoned.contains(&Place { segment: segment.number, offset });
                    found.alive += u64::from(!given_up);
                    (offset, octets, given_up, true, HEADER as u32)
                }
                Step::UnknownVersion { offset, .. } => {
                    found.alive += 1;
                    (offset, 0, false, false, HEADER as u32)
                }
            };
            match &mut run {
                Some(run) if free => {
                    run.octets += octets;
                    run.fresh = true;
                }
                _ if free => run = Some(Run { offset, octets, group, fresh }),
                _ => found.runs.extend(run.take()),
            }
        }
        found.runs.extend(run);
        found
    }

    fn is_dead(&self, segment: &Segment, file: &dyn DiskFile, header: &Header) -> bool {
        let Ok(mut states) = read_states(file, header) else { return false };
        let place = Place { segment: segment.number, offset: header.offset };
        self.shared.sidecars.overlay(place, &mut states);
        states.into_iter().all(StateByte::is_done)
    }

    /// Removes the file of a dead record while the record still tells its name.
    fn remove_large(&self, segment: &Segment, header: &Header) -> io::Result<()> {
        let file = self.shared.readers.get(segment)?;
        // With a damaged envelope the name is lost; the file goes at the first start after the segment went.
        let Ok(parts) = read_parts(&*file, header) else { return Ok(()) };
        if let WireContent::File { nonce, .. } = parts.content {
            let path = large::path(&self.shared.dirs.large, segment.number, header.id, nonce);
            match self.shared.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Rewrites the first header of each run that would free a block, syncs, and only then punches.
    fn join(&mut self, segment: &Segment, runs: &[Run]) -> io::Result<()> {
        let worth: Vec<&Run> = runs
            .iter()
            .filter(|run| {
                let (from, to) = run.blocks();
                run.fresh && to > from
            })
            .collect();
        if worth.is_empty() || self.holes_unsupported {
            return Ok(());
        }
        let file = self.shared.disk.open(&segment.path, Access::Write)?;
        for run in &worth {
            let skip = Header::skip(run.offset, run.group, run.octets);
            file.write_at(&skip.encode(&segment.magic), u64::from(run.offset))?;
        }
        file.sync()?;
        for run in worth {
            let (from, to) = run.blocks();
            match file.punch(from, to - from) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.holes_unsupported = true;
                    events::holes_unsupported(&error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
