//! Where content waits while it arrives: in memory within a budget, else in temporary files under `incoming/`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::events;
use super::room::Room;
use crate::disk::{Disk, DiskFile};
use crate::limits::RELIEF_WHEN_SHORT;

/// Makes buffers, and counts what they hold in memory.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    inline_max: usize,
    budget: u64,
    used: AtomicU64,
    room: Arc<Room>,
}

impl Spool {
    /// Temporary files go to `dir`.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        inline_max: usize,
        budget: u64,
        room: Arc<Room>,
    ) -> Self {
        Self { inner: Arc::new(Inner { disk, dir, inline_max, budget, used: AtomicU64::new(0), room }) }
    }

    /// The largest content that goes into a segment.
    pub(crate) fn inline_max(&self) -> usize {
        self.inner.inline_max
    }

    /// Octets in memory above which content should go to its file: all of the small content's worth, or little once
    /// the budget for everybody is spent.
    pub(crate) fn relief_at(&self) -> usize {
        let spent = self.inner.used.load(Ordering::Relaxed) > self.inner.budget;
        if spent { self.inner.inline_max.min(RELIEF_WHEN_SHORT) } else { self.inner.inline_max }
    }

    /// A share of the budget, empty at first.
    pub(crate) fn share(&self) -> Share {
        Share { spool: Some(self.clone()), octets: 0 }
    }

    /// A new temporary file.
    pub(crate) fn temporary(&self) -> io::Result<TempFile> {
        let nonce: u64 = rand::random();
        let path = self.inner.dir.join(format!("{nonce:016x}.tmp"));
        let file = self.inner.disk.create(&path)?;
        Ok(TempFile { disk: Arc::clone(&self.inner.disk), path, file, nonce, len: 0, kept: false })
    }

    /// Octets in memory over all buffers.
    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Relaxed)
    }

    fn wrote(&self, octets: usize) {
        self.inner.room.wrote(octets as u64);
    }

    /// Whether there is room for more, by the low-water mark.
    pub(crate) fn has_room(&self) -> bool {
        !self.inner.room.check(std::time::Instant::now())
    }
}

/// What one message's content takes of the budget; given back when dropped, which is when it is written.
#[derive(Debug, Default)]
pub(crate) struct Share {
    spool: Option<Spool>,
    octets: u64,
}

impl Share {
    /// Takes this much in all from now on.
    pub(crate) fn resize(&mut self, octets: u64) {
        if let Some(spool) = &self.spool {
            let used = &spool.inner.used;
            if octets >= self.octets {
                used.fetch_add(octets - self.octets, Ordering::Relaxed);
            } else {
                used.fetch_sub(self.octets - octets, Ordering::Relaxed);
            }
        }
        self.octets = octets;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// A file under `incoming/` that vanishes when dropped, unless it has become a large file.
#[derive(Debug)]
pub(crate) struct TempFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    nonce: u64,
    len: u64,
    kept: bool,
}

impl TempFile {
    /// Tells it apart from every other.
    pub(crate) const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Octets in it.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// The open file.
    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Appends.
    pub(crate) fn write(&mut self, octets: &[u8], spool: &Spool) -> io::Result<()> {
        self.file.write_at(octets, self.len)?;
        self.len += octets.len() as u64;
        spool.wrote(octets.len());
        Ok(())
    }

    /// Makes its octets durable, not its name.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Gives it its name for good; the directory is to be synced after it.
    pub(crate) fn keep_as(&mut self, path: &Path) -> io::Result<()> {
        self.disk.rename(&self.path, path)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.disk.remove(&self.path)
        {
            events::removal_failed(&self.path, &error);
        }
    }
}
