//! The few file operations that the log rests on, so that a disk that loses power can stand in for the real one.
//!
//! What is assumed of the medium: an aligned sector of 512 octets is written whole or not at all, an octet that is
//! not written does not change, and what `fdatasync` (a file's octets and length) or `fsync` of a directory (its
//! entries) reported as done survives a loss of power. Nothing is assumed about the order of what was not synced.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::error::StoreError;

mod lock;
mod real;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, expect(dead_code, reason = "the fuzz targets let nothing fail"))]
pub(crate) mod sim;

pub(crate) use lock::DirLock;
pub(crate) use real::RealDisk;

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Reads at most a buffer full at an offset; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all octets at an offset.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()>;
    /// `fdatasync`.
    fn sync(&self) -> io::Result<()>;
    /// Octets.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves room up to `len` octets; the length of the file stays.
    fn preallocate(&self, len: u64) -> io::Result<()>;
    /// Gives whole blocks back; they read as zeros afterwards, the length stays.
    fn punch(&self, from: u64, len: u64) -> io::Result<()>;
}

/// What an open file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading.
    Read,
    /// Reading and overwriting.
    Write,
}

/// What a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileSystemRoom {
    /// Octets in all.
    pub(crate) total: u64,
    /// Octets free to this process.
    pub(crate) free: u64,
    /// Inodes in all; 0 where the file system does not count them.
    pub(crate) total_inodes: u64,
    /// Inodes free to this process.
    pub(crate) free_inodes: u64,
}

/// A file system.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a directory (0700) if it is not there.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a new file (0600) and opens it for reading and writing; an existing one is an error.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that is there.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames within the file system, replacing what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a directory; names that are not UTF-8 are not ours and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Room on the file system that a path lies on.
    fn room(&self, path: &Path) -> io::Result<FileSystemRoom>;
}

/// Reads exactly a buffer full.
pub(crate) fn read_exact_at(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let got = file.read_at(buffer, offset)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += got as u64;
        buffer = &mut buffer[got..];
    }
    Ok(())
}

/// Whether the medium does not give back what lies there.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EIO)
}

/// Whether a failed read says that what lies there is lost, and not that reading is impossible just now.
pub(crate) fn is_lost(error: &io::Error) -> bool {
    is_refusal(error) || error.kind() == io::ErrorKind::UnexpectedEof
}

/// Reads exactly a buffer full of something stored. What the medium does not give back the second time either is damage
/// of what lies there: one bad block must not keep everything behind it waiting.
pub(crate) fn read_stored(
    file: &dyn DiskFile,
    buffer: &mut [u8],
    offset: u64,
    doing: &str,
) -> Result<(), StoreError> {
    let read = match read_exact_at(file, buffer, offset) {
        Err(error) if is_lost(&error) => read_exact_at(file, buffer, offset),
        read => read,
    };
    read.map_err(|error| match is_lost(&error) {
        true => StoreError::Damaged(format!("{doing}: {error}")),
        false => store_error(doing, &error),
    })
}

/// Reads up to a buffer full, less only at the end of the file.
pub(crate) fn read_up_to(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match file.read_at(&mut buffer[have..], offset + have as u64)? {
            0 => break,
            got => have += got,
        }
    }
    Ok(have)
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What a failed operation means to whoever asked for it.
pub(crate) fn store_error(doing: &str, error: &io::Error) -> StoreError {
    if is_full(error) { StoreError::Full } else { StoreError::Unavailable(format!("{doing}: {error}")) }
}
