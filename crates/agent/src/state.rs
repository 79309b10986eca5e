//! What is remembered between runs: one JSON file, replaced atomically, and a lock beside it for each server.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::limits::{STATE_FILE, STATE_WAIT};
use crate::tally::Tally;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Mail came.
    Collected,
    /// There was none.
    NoMail,
    /// The server was asked to send (ETRN).
    Asked,
    /// It did not come about, or not to its end.
    Failed,
}

/// What is known of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// When the last run began.
    pub last_run: Option<Timestamp>,
    /// How it ended.
    pub result: Option<Kind>,
    /// What was wrong, where something was.
    pub reason: Option<String>,
    /// What it brought.
    #[serde(flatten)]
    pub tally: Tally,
    /// When the last run ended that was no failure.
    pub last_success: Option<Timestamp>,
    /// Failures since then.
    pub failures: u32,
    /// When it is called next, as long as the agent runs.
    pub next_run: Option<Timestamp>,
}

/// Why the state cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct StateError {
    /// Which file.
    path: PathBuf,
    /// What the system said.
    error: io::Error,
}

/// The state file.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Contents {
    servers: BTreeMap<String, Record>,
}

/// Held while a server is called: by one process, and once within it.
#[derive(Debug)]
pub(crate) struct Collecting {
    _locked: File,
}

impl StateFile {
    /// The file of this name; it need not be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// What is known, by the servers' names. A file that is not there knows nothing.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self) -> Result<BTreeMap<String, Record>, StateError> {
        let mut text = Vec::new();
        match File::open(&self.path).and_then(|file| file.take(STATE_FILE).read_to_end(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(at(&self.path)(error)),
        }
        let contents: Contents =
            serde_json::from_slice(&text).map_err(io::Error::other).map_err(at(&self.path))?;
        Ok(contents.servers)
    }

    /// Changes what is known of one server. A file that cannot be understood is begun anew: it holds nothing that
    /// mail hangs on.
    ///
    /// # Errors
    /// When it cannot be written, or when another process does not let go of it.
    pub(crate) fn change(&self, server: &str, change: impl FnOnce(&mut Record)) -> Result<(), StateError> {
        let lock = self.beside("lock")?;
        let waiting = Instant::now();
        while let Err(refused) = lock.1.try_lock() {
            match refused {
                TryLockError::WouldBlock if waiting.elapsed() < STATE_WAIT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                TryLockError::WouldBlock => return Err(at(&lock.0)(io::ErrorKind::TimedOut.into())),
                TryLockError::Error(error) => return Err(at(&lock.0)(error)),
            }
        }
        let mut contents = Contents { servers: self.read().unwrap_or_default() };
        change(contents.servers.entry(server.to_owned()).or_default());
        self.replace(&contents)
    }

    fn replace(&self, contents: &Contents) -> Result<(), StateError> {
        let mut text =
            serde_json::to_vec_pretty(contents).map_err(io::Error::other).map_err(at(&self.path))?;
        text.push(b'\n');
        let fresh = self.sibling("new");
        let written = || {
            // Left by a crash: whoever writes it now holds the lock.
            remove_if_there(&fresh)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh)?;
            give_to_owner(&file, directory(&self.path))?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.path)?;
            File::open(directory(&self.path))?.sync_all()
        };
        written().map_err(at(&self.path))
    }

    /// Whether it could be written: its directory is there or can be made.
    ///
    /// # Errors
    /// When it could not.
    pub fn is_writable(&self) -> Result<(), StateError> {
        self.beside("lock").map(drop)
    }

    /// Takes the server's lock; `None` where a collection is under way, whoever does it. The lock goes with the process
    /// that holds it, whatever becomes of that.
    ///
    /// # Errors
    /// When there is no place for the lock.
    pub(crate) fn collecting(&self, server: &str) -> Result<Option<Collecting>, StateError> {
        let name: String = server
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' })
            .collect();
        let (path, file) = self.beside(&format!("{name}.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Collecting { _locked: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }

    fn beside(&self, suffix: &str) -> Result<(PathBuf, File), StateError> {
        let path = self.sibling(suffix);
        let parent = directory(&path);
        if !parent.exists() {
            DirBuilder::new().recursive(true).mode(0o750).create(parent).map_err(at(parent))?;
        }
        lock_file(&path, parent).map(|file| (path.clone(), file)).map_err(at(&path))
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(suffix);
        self.path.with_file_name(name)
    }
}

/// Opens a lock, or makes it. The directory is the agent's: whoever runs as root there follows no link that the agent's user
/// may have put in its place, and gives away nothing that has a name elsewhere.
fn lock_file(path: &Path, directory: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits());
    let file = options.open(path)?;
    let known = file.metadata()?;
    if !known.is_file() || known.nlink() != 1 {
        return Err(io::Error::other("this is no file of the agent's own; remove it"));
    }
    give_to_owner(&file, directory)?;
    Ok(file)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A hook that runs as root must leave nothing that the agent, as a user of its own, could not open.
fn give_to_owner(file: &File, directory: &Path) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(directory)?;
    std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    |error| StateError { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_one_server_does_not_touch_another() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFile::new(dir.path().join("below/state.json"));
        assert!(state.read().unwrap().is_empty());
        state.change("a", |record| record.tally.messages = 7).unwrap();
        state.change("b", |record| record.failures = 1).unwrap();
        state.change("a", |record| record.result = Some(Kind::NoMail)).unwrap();
        let read = state.read().unwrap();
        assert_eq!(
            (read["a"].tally.messages, read["a"].result, read["b"].failures),
            (7, Some(Kind::NoMail), 1)
        );
    }

    #[test]
    fn a_damaged_file_is_told_of_and_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        std::fs::write(&path, "{").unwrap();
        let state = StateFile::new(&path);
        assert!(state.read().unwrap_err().to_string().contains("state.json"));
        state.change("a", |record| record.failures = 3).unwrap();
        assert_eq!(state.read().unwrap()["a"].failures, 3);
    }

    #[test]
    fn a_server_is_called_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFile::new(dir.path().join("state.json"));
        let first = state.collecting("mx2.example.net:366").unwrap();
        assert!(first.is_some());
        assert!(state.collecting("mx2.example.net:366").unwrap().is_none());
        assert!(state.collecting("../../other").unwrap().is_some());
        drop(first);
        assert!(state.collecting("mx2.example.net:366").unwrap().is_some());
    }

    #[test]
    fn what_root_leaves_behind_is_its_directorys_owners() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(12_345), Some(12_346)).unwrap();
        let state = StateFile::new(dir.path().join("state.json"));
        state.change("a", |record| record.failures = 1).unwrap();
        drop(state.collecting("a").unwrap());
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        for entry in left {
            let known = entry.metadata().unwrap();
            assert_eq!((known.uid(), known.gid()), (12_345, 12_346), "{entry:?}");
        }
    }

    /// Whoever owns the directory gets nobody else's files written, emptied or given by a collection that root runs.
    #[test]
    fn no_link_leads_out_of_the_directory() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let theirs = elsewhere.path().join("shadow");
        std::fs::write(&theirs, "kept").unwrap();
        let before = std::fs::metadata(&theirs).unwrap();
        let plant = |name: &str| std::os::unix::fs::symlink(&theirs, dir.path().join(name)).unwrap();
        let state = StateFile::new(dir.path().join("state.json"));
        plant("state.json.new");
        state.change("a", |record| record.failures = 1).unwrap();
        assert_eq!(state.read().unwrap()["a"].failures, 1);
        plant("state.json.b.lock");
        std::fs::hard_link(&theirs, dir.path().join("state.json.c.lock")).unwrap();
        for name in ["b", "c"] {
            let refused = state.collecting(name).unwrap_err();
            assert!(refused.to_string().contains(&format!("state.json.{name}.lock")), "{refused}");
        }
        let after = std::fs::metadata(&theirs).unwrap();
        assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "kept");
        assert_eq!((before.uid(), before.mode()), (after.uid(), after.mode()));
    }

    #[test]
    fn writers_at_one_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFile::new(dir.path().join("state.json"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    (0..20).for_each(|_| state.change("a", |record| record.failures += 1).unwrap())
                });
            }
        });
        assert_eq!(state.read().unwrap()["a"].failures, 160);
    }
}
