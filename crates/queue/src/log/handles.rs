//! Segments kept open, so that a read costs no `open`.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::segment::Segment;
use crate::disk::{Access, Disk, DiskFile};

/// A bounded number of open files; the one unused for longest makes room.
#[derive(Debug)]
pub(crate) struct Handles {
    disk: Arc<dyn Disk>,
    access: Access,
    bound: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<u64, (Arc<dyn DiskFile>, u64)>,
    uses: u64,
}

impl Handles {
    /// At most `bound` files, opened for this.
    pub(crate) fn new(disk: Arc<dyn Disk>, access: Access, bound: usize) -> Self {
        Self { disk, access, bound, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment's file.
    pub(crate) fn get(&self, segment: &Segment) -> io::Result<Arc<dyn DiskFile>> {
        {
            let mut open = self.lock();
            open.uses += 1;
            let uses = open.uses;
            if let Some((file, used)) = open.files.get_mut(&segment.number) {
                *used = uses;
                return Ok(Arc::clone(file));
            }
        }
        let file = self.disk.open(&segment.path, self.access)?;
        let mut open = self.lock();
        if open.files.len() >= self.bound {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(number, _)| *number);
            oldest.and_then(|number| open.files.remove(&number));
        }
        let uses = open.uses;
        open.files.insert(segment.number, (Arc::clone(&file), uses));
        Ok(file)
    }

    /// Closes a segment's file once nobody reads it any more.
    pub(crate) fn forget(&self, segment: u64) {
        self.lock().files.remove(&segment);
    }
}
