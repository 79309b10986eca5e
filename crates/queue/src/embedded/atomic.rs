//! Small files that are there whole, old or new, whatever happens, and directories that stay.

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

/// Makes a directory and those above it, each with its entry in the one above synced: what is synced in a directory
/// that is not itself to be found is lost.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => return Ok(()),
    };
    make_dir(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    File::open(above)?.sync_all()
}

/// Its content; `None` if it is not there.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
