//! Overwrites state octets: everything that has arrived is one group, with one sync per segment it touches.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Mark;
use super::recover::write_mark;
use super::segment::Segment;
use super::shared::Shared;
use crate::disk::store_error;
use crate::error::StoreError;

/// Marks that are durable together.
#[derive(Debug)]
pub(crate) struct MarkCall {
    /// What to write.
    pub(crate) marks: Vec<Mark>,
    /// Who waits for it.
    pub(crate) done: oneshot::Sender<Result<(), StoreError>>,
}

/// The one writer of state octets.
#[derive(Debug)]
pub(crate) struct Marker {
    shared: Arc<Shared>,
}

impl Marker {
    /// For this log.
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Writes and syncs the marks of all these calls, then answers them.
    pub(crate) fn commit(&self, calls: &mut VecDeque<MarkCall>) {
        let mut by_segment: BTreeMap<u64, Vec<Mark>> = BTreeMap::new();
        for mark in calls.iter().flat_map(|call| &call.marks) {
            by_segment.entry(mark.place.segment).or_default().push(*mark);
        }
        let mut failed: HashSet<u64> = HashSet::new();
        let mut answer = None;
        for (number, marks) in by_segment {
            let Some(segment) = self.shared.segment(number) else { continue };
            if let Err(error) = self.mark_segment(&segment, &marks) {
                failed.insert(number);
                answer = Some(store_error("marking", &error));
            }
        }
        for MarkCall { marks, done } in calls.drain(..) {
            let hit = marks.iter().any(|mark| failed.contains(&mark.place.segment));
            done.send(answer.clone().filter(|_| hit).map_or(Ok(()), Err)).ok();
        }
    }

    /// Marks in place, or beside the segment where it may not be written any more.
    fn mark_segment(&self, segment: &Segment, marks: &[Mark]) -> io::Result<()> {
        if !self.shared.is_failed(segment.number) {
            match self.in_place(segment, marks) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.shared.fail_segment(segment.number, &error);
                    self.shared.markers.forget(segment.number);
                }
            }
        }
        self.shared.sidecars.add(segment.number, marks)
    }

    fn in_place(&self, segment: &Segment, marks: &[Mark]) -> io::Result<()> {
        let file = self.shared.markers.get(segment)?;
        for mark in marks {
            write_mark(&*file, segment, mark)?;
        }
        file.sync()
    }
}
