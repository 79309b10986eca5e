//! Small files that are there whole, old or new, whatever happens.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file: written beside it, synced, renamed over it, and the directory synced.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_data()?;
    drop(file);
    fs::rename(&new, path)?;
    let dir = path.parent().ok_or_else(|| io::Error::other("a file without a directory"))?;
    File::open(dir)?.sync_all()
}

/// Its content; `None` if it is not there.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
