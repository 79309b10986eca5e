//! Seeing that the files of a certificate were replaced.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::tls_server::ServerTls;

/// What tells one version of a file from the next; `None` while there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let facts = std::fs::metadata(path).ok()?;
        Some(Self { inode: facts.ino(), size: facts.size(), modified: (facts.mtime(), facts.mtime_nsec()) })
    }
}

/// The stamps of a certificate and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamps {
    certificate: Option<Stamp>,
    key: Option<Stamp>,
}

impl Stamps {
    pub(crate) fn of(certificate: &Path, key: &Path) -> Self {
        Self { certificate: Stamp::of(certificate), key: Stamp::of(key) }
    }
}

impl ServerTls {
    /// Looks at the files every `every`, for as long as it is polled, and reloads them once they have changed and
    /// then stood still from one look to the next: certificate and key are two files, and between the replacement
    /// of the one and of the other they do not fit. A bad pair is reported once.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = None;
        loop {
            ticks.tick().await;
            let this = Arc::clone(&self);
            // The outcome is an event; a look that was cancelled with the runtime needs none.
            seen = tokio::task::spawn_blocking(move || this.look(seen)).await.ok();
        }
    }

    fn look(&self, before: Option<Stamps>) -> Stamps {
        let now = Stamps::of(&self.certificate, &self.key);
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if now != read && before == Some(now) {
            let _reported = self.reload();
        }
        now
    }
}
