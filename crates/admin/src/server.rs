//! Starting and stopping.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use restante_queue::QueueStore;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::events;
use crate::limits::STOP_PATIENCE;
use crate::listener::AdminListener;
use crate::operations::Operations;
use crate::peer::{Access, Peer};
use crate::router::{Shared, router};
use crate::socket::{self, Place};

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
    #[error("{}: {error}", path.display())]
    Io {
        /// What it was asked about.
        path: PathBuf,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

/// The running interface.
#[derive(Debug)]
pub struct AdminServer {
    place: Place,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl AdminServer {
    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.place.path()
    }

    /// Removes the socket, ends open streams and waits a little for them.
    pub async fn stop(self) {
        let Self { place, stop, mut serving } = self;
        drop(place);
        stop.send_replace(true);
        if timeout(STOP_PATIENCE, &mut serving).await.is_err() {
            serving.abort();
        }
    }
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
    let (listener, place) = socket::bind(&settings.socket, &settings.group)?;
    let (stop, stopping) = watch::channel(false);
    let access = Access { own: geteuid().as_raw(), group: place.group };
    let shared = Shared {
        store,
        operations,
        access,
        version: settings.version,
        stopping: stopping.clone(),
        scraping: Arc::new(Semaphore::new(1)),
    };
    let service = router(Arc::new(shared)).into_make_service_with_connect_info::<Peer>();
    let serve = axum::serve(AdminListener::new(listener), service);
    let serve = serve.with_graceful_shutdown(stopped(stopping));
    let serving = tokio::spawn(async move {
        if let Err(error) = serve.await {
            events::ended(&error);
        }
    });
    events::listening(place.path());
    Ok(AdminServer { place, stop, serving })
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
