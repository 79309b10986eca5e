//! Files that appear under their name only once they are whole, and never in the place of another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

/// Mail is nobody else's business.
const MODE: u32 = 0o600;

/// A file that is being written under a name of its own. Dropping it unfinished leaves nothing behind.
pub(super) struct NewFile {
    temporary: PathBuf,
    place: PathBuf,
    file: BufWriter<File>,
    finished: bool,
}

impl NewFile {
    /// Begins a file; an error where its place is taken already.
    pub(super) fn begin(temporary: PathBuf, place: PathBuf) -> io::Result<Self> {
        if fs::symlink_metadata(&place).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary)?;
        Ok(Self { temporary, place, file: BufWriter::new(file), finished: false })
    }

    /// Puts it on the disk and into its place.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        place(&self.temporary, &self.place)?;
        self.finished = true;
        let directory = self.place.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for NewFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Gives the file its name, unless that is taken; where the file system cannot rename so, a second link does the same.
fn place(temporary: &Path, place: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, temporary, AT_FDCWD, place, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            fs::hard_link(temporary, place)?;
            fs::remove_file(temporary)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, place) = (dir.path().join(".x.partial"), dir.path().join("x"));
        let mut file = NewFile::begin(temporary.clone(), place.clone()).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!place.exists());
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut file = NewFile::begin(temporary, place.clone()).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, place) = (dir.path().join(".x.partial"), dir.path().join("x"));
        fs::write(&place, "precious").unwrap();
        let taken = NewFile::begin(temporary.clone(), place.clone()).err().unwrap();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&place).unwrap();
        let mut file = NewFile::begin(temporary, place.clone()).unwrap();
        file.write_all(b"ours").unwrap();
        fs::write(&place, "precious").unwrap();
        assert_eq!(file.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&place).unwrap(), b"precious");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
