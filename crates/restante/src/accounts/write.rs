//! Replacing the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::limits::MAX_CONFIG_FILE;

/// The file while it is being changed: nobody else changes it meanwhile.
pub(crate) struct Editing {
    path: PathBuf,
    directory: PathBuf,
    /// Who will read it: its owner so far, or else the owner of the server's data.
    owner: Option<(u32, u32)>,
    text: String,
    /// The directory, locked.
    lock: Flock<File>,
}

impl Editing {
    /// Reads the file for a change; one that is not there is empty. `data_dir` belongs to whom the server runs as.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::ResourceBusy`] while another change is under way.
    pub(crate) fn begin(path: &Path, data_dir: &Path) -> io::Result<Self> {
        // A link stays a link, and what it points at is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = directory.to_owned();
        let lock =
            Flock::lock(File::open(&directory)?, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
                match error {
                    nix::errno::Errno::EWOULDBLOCK => {
                        io::Error::new(io::ErrorKind::ResourceBusy, "another change is under way")
                    }
                    other => other.into(),
                }
            })?;
        let mut text = String::new();
        let owner = match File::open(&path) {
            Ok(file) => {
                let facts = file.metadata()?;
                file.take(MAX_CONFIG_FILE + 1).read_to_string(&mut text)?;
                Some((facts.uid(), facts.gid()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(data_dir).ok().map(|facts| (facts.uid(), facts.gid()))
            }
            Err(error) => return Err(error),
        };
        if text.len() as u64 > MAX_CONFIG_FILE {
            return Err(io::Error::other(format!("larger than {MAX_CONFIG_FILE} octets")));
        }
        Ok(Self { path, directory, owner, text, lock })
    }

    /// What it holds.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Puts another text in its place: after a crash the old or the new one is there, whole, and readable by its owner
    /// alone.
    ///
    /// # Errors
    /// What the system says; the old file is there then.
    pub(crate) fn commit(self, text: &str) -> io::Result<()> {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".new");
        let fresh = self.directory.join(name);
        // Left by a crash: whoever wrote it would hold the lock.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = self.write(&fresh, text).and_then(|()| fs::rename(&fresh, &self.path));
        if let Err(error) = written {
            // It may not even be there; the error that is told is the first one.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        self.lock.sync_all()
    }

    fn write(&self, fresh: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
        if let Some((user, group)) = self.owner {
            let mine = file.metadata()?;
            if nix::unistd::geteuid().is_root() && (mine.uid(), mine.gid()) != (user, group) {
                fchown(&file, Some(user), Some(group))?;
            }
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}
