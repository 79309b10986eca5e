//! The one file that names sled.
//!
//! What was measured of sled 0.34.7, and is heeded here: `flush` alone is not durable, so our own `fdatasync` of its
//! file follows; `flush_async` deadlocks and is not called; a left-over `snap.*.generating` makes every open fail and
//! is removed; its own threads keep its lock for moments after it was dropped; large values are never synced and are
//! refused by the caller's bounds; its flusher thread is off.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::keys::{CHECKPOINT, KeyRange};
use super::{Change, stored};
use crate::limits::LOCK_PATIENCE;

/// Why the index did not do it; the text is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("index: {0}")]
pub(crate) struct IndexError(pub(crate) String);

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What sled says, among other words, where somebody has the index open.
const LOCKED: &str = "could not acquire lock";

/// How long to wait before it is asked again.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The open index. Only the owner thread writes.
pub(crate) struct Index {
    db: sled::Db,
    tree: sled::Tree,
    /// sled's file, for the sync that sled does not do.
    file: File,
}

/// A stored value.
pub(crate) struct Value(sled::IVec);

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Index {
    /// Opens or creates the index. sled may panic on a damaged file; that is an error here. It may also hang: after an
    /// unclean stop, ask a [`probe`](super::probe()) first.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        fs::create_dir_all(dir)?;
        remove_unfinished_snapshots(dir)?;
        let began = Instant::now();
        loop {
            let opened = catch_unwind(AssertUnwindSafe(|| Self::open_unguarded(dir, cache_bytes)));
            let opened = opened.unwrap_or_else(|_| Err(IndexError("sled panicked while opening".to_owned())));
            match opened {
                // The store's own lock is ours: it can only be an index of this process on its way out.
                Err(IndexError(cause)) if cause.contains(LOCKED) && began.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                opened => return opened,
            }
        }
    }

    fn open_unguarded(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .print_profile_on_drop(false)
            .open()?;
        let tree = db.open_tree("entries")?;
        let file = File::open(dir.join("db"))?;
        Ok(Self { db, tree, file })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>, IndexError> {
        Ok(self.tree.get(key)?.map(Value))
    }

    /// The keys and values of a range, in order.
    pub(crate) fn range(
        &self,
        range: KeyRange,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Value), IndexError>> {
        self.tree.range::<Vec<u8>, _>(range).map(|item| {
            let (key, value) = item?;
            Ok((key.to_vec(), Value(value)))
        })
    }

    /// Changes all these keys or, after a crash, none. Not yet durable.
    pub(crate) fn apply(&self, changes: Vec<Change>) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        Ok(self.tree.apply_batch(batch)?)
    }

    /// Makes everything applied so far durable, under this number.
    pub(crate) fn checkpoint(&self, sequence: u64) -> Result<(), IndexError> {
        let mut mark = vec![stored::FORMAT];
        mark.extend_from_slice(&sequence.to_be_bytes());
        self.tree.insert(CHECKPOINT, mark)?;
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// The number of the last checkpoint that is in the index, if the index is of our format.
    pub(crate) fn last_checkpoint(&self) -> Result<Option<u64>, IndexError> {
        let Some(mark) = self.tree.get(CHECKPOINT)? else { return Ok(None) };
        let [format, sequence @ ..] = mark.as_ref() else { return Ok(None) };
        let sequence = sequence.try_into().ok().map(u64::from_be_bytes);
        Ok(sequence.filter(|_| *format == stored::FORMAT))
    }
}

/// A crash in the middle of a snapshot leaves `snap.N.generating`, and sled then takes its whole file for corrupt.
fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_over_snapshot_is_removed_and_the_index_opens() {
        let dir = tempfile::tempdir().unwrap();
        {
            let index = Index::open(dir.path(), 1 << 20).unwrap();
            index.apply(vec![(b"key".to_vec(), Some(b"value".to_vec()))]).unwrap();
            index.checkpoint(7).unwrap();
        }
        fs::write(dir.path().join("snap.00000000000000FF.generating"), b"half a snapshot").unwrap();
        let index = Index::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(index.get(b"key").unwrap().unwrap().as_ref(), b"value");
        assert_eq!(index.last_checkpoint().unwrap(), Some(7));
    }

    #[test]
    fn an_index_on_its_way_out_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = Index::open(dir.path(), 1 << 20).unwrap();
        first.apply(vec![(b"key".to_vec(), Some(b"value".to_vec()))]).unwrap();
        let leaving = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(first);
        });
        let second = Index::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(second.get(b"key").unwrap().unwrap().as_ref(), b"value");
        leaving.join().unwrap();
    }

    #[test]
    fn a_scrambled_file_is_never_taken_for_good() {
        let dir = tempfile::tempdir().unwrap();
        {
            let index = Index::open(dir.path(), 1 << 20).unwrap();
            let put = |n: u32| (n.to_be_bytes().to_vec(), Some(vec![7; 200]));
            index.apply((0..5000).map(put).collect()).unwrap();
            index.checkpoint(7).unwrap();
        }
        let path = dir.path().join("db");
        let mut file = fs::read(&path).unwrap();
        file.iter_mut().for_each(|octet| *octet = octet.wrapping_mul(31).wrapping_add(7));
        fs::write(&path, file).unwrap();
        // sled says so, panics, or opens something empty; none of them may pass.
        let index = Index::open(dir.path(), 1 << 20);
        let mark = index.and_then(|index| index.last_checkpoint());
        assert!(!matches!(mark, Ok(Some(_))), "{mark:?}");
    }
}
