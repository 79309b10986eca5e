//! Whether promised mail comes: after ETRN it comes over connections of the server's own, which we do not see.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::events;
use crate::settings::{Expect, ServerSettings};

/// How a Maildir, a mailbox or a log looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    seen: Vec<Option<(SystemTime, u64)>>,
}

impl Look {
    /// The file or directory itself, and `new` inside: a directory's time changes when something is put into it.
    pub(crate) fn at(path: &Path) -> Self {
        let seen = [PathBuf::from(path), path.join("new")].into_iter().map(|path| {
            let known = std::fs::metadata(path).ok()?;
            Some((known.modified().ok()?, known.len()))
        });
        Self { seen: seen.collect() }
    }
}

/// Looks again when the time is over, and warns where nothing has changed.
pub(crate) async fn watch(server: ServerSettings, before: Look) {
    let Some(Expect { within, at }) = &server.expect else { return };
    tokio::time::sleep(*within).await;
    if Look::at(at) == before {
        warn(&server, at, *within);
    }
}

fn warn(server: &ServerSettings, at: &Path, within: Duration) {
    events::not_come(server, at, within);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_in_a_maildir_or_a_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("new")).unwrap();
        let before = Look::at(dir.path());
        assert_eq!(before, Look::at(dir.path()));
        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(dir.path().join("new/1"), "x").unwrap();
        assert_ne!(before, Look::at(dir.path()));

        let log = dir.path().join("log");
        let before = Look::at(&log);
        std::fs::write(&log, "x").unwrap();
        let between = Look::at(&log);
        assert_ne!(before, between);
        std::fs::write(&log, "xy").unwrap();
        assert_ne!(between, Look::at(&log));
    }
}
