//! Whether sled opens at all, asked in a process of its own: after a crash it can panic, hang or fail.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::keys::entries_behind;
use super::sled_tree::{Index, IndexError};
use crate::limits::PROBE_TIMEOUT;

/// How to start the child that probes; the directory of the index is added as its last argument. Its exit code 0
/// means that the index opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeCommand {
    /// The program, most often our own.
    pub program: PathBuf,
    /// Its arguments before the directory.
    pub args: Vec<OsString>,
}

/// The index cannot be opened or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the index does not open: {0}")]
pub struct ProbeError(String);

impl From<IndexError> for ProbeError {
    fn from(error: IndexError) -> Self {
        Self(error.0)
    }
}

/// Opens the index in `dir` and reads a little at both ends: what the child of a [`ProbeCommand`] does. It may panic
/// or hang where sled does; that is what the child is for. What lies between is read by whoever opens it for work.
///
/// # Errors
/// [`ProbeError`] when it does not open or cannot be read.
pub fn probe(dir: &Path) -> Result<(), ProbeError> {
    let index = Index::open(dir, 16 << 20)?;
    index.last_checkpoint()?;
    let mut entries = index.range(entries_behind(None));
    entries.next().transpose()?;
    entries.next_back().transpose()?;
    Ok(())
}

/// What a child found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probed {
    /// It opens and can be read.
    Opens,
    /// It does not.
    Broken(String),
    /// The child could not be started: nothing was found out.
    NotRun(String),
}

/// Runs the child and waits for it, at most [`PROBE_TIMEOUT`].
pub(crate) fn run(command: &ProbeCommand, dir: &Path) -> Probed {
    let child = Command::new(&command.program)
        .args(&command.args)
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match child {
        Ok(mut child) => wait(&mut child, PROBE_TIMEOUT),
        Err(error) => Probed::NotRun(error.to_string()),
    }
}

fn wait(child: &mut Child, patience: Duration) -> Probed {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Probed::Opens,
            Ok(Some(status)) => return Probed::Broken(format!("the probe ended with {status}")),
            Ok(None) => std::thread::sleep(pause),
            Err(error) => return Probed::NotRun(error.to_string()),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    // It may have ended just now; then killing it says so, and nothing is lost.
    let _ = child.kill();
    let _ = child.wait();
    Probed::Broken(format!("the probe hangs since {patience:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ProbeCommand {
        ProbeCommand { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] }
    }

    #[test]
    fn the_childs_exit_code_decides() {
        let root = Path::new("/");
        assert_eq!(run(&shell("exit 0"), root), Probed::Opens);
        assert!(matches!(run(&shell("exit 1"), root), Probed::Broken(_)));
        assert!(matches!(run(&shell("kill -9 $$"), root), Probed::Broken(_)));
        let none = ProbeCommand { program: "/no/such/program".into(), args: vec![] };
        assert!(matches!(run(&none, root), Probed::NotRun(_)));
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        let mut child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        assert!(matches!(wait(&mut child, Duration::from_millis(20)), Probed::Broken(_)));
        assert!(child.try_wait().unwrap().is_some());
    }

    #[test]
    fn a_good_index_passes() {
        let dir = tempfile::tempdir().unwrap();
        drop(Index::open(dir.path(), 1 << 20).unwrap());
        // A child that another test of this process forks holds sled's file lock until it has become its program.
        let end = Instant::now() + Duration::from_secs(10);
        while let Err(error) = probe(dir.path()) {
            assert!(Instant::now() < end, "{error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
