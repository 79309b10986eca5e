//! Starting and stopping.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use restante_queue::QueueStore;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::events;
use crate::http::{self, Http, HttpListener};
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
    /// Where monitors are let in over TCP, if anywhere.
    pub http: Option<Http>,
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
    /// The address for monitors cannot be had.
    #[error("monitors cannot be let in on {address}: {error}")]
    Http {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        #[source]
        error: io::Error,
    },
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
    /// The listener for monitors.
    monitors: Option<(SocketAddr, JoinHandle<()>)>,
}

impl AdminServer {
    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.place.path()
    }

    /// Where monitors are let in, with the port that the kernel chose.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.monitors.as_ref().map(|(address, _)| *address)
    }

    /// Removes the socket, ends open streams and waits a little for them.
    pub async fn stop(self) {
        let Self { place, stop, mut serving, monitors } = self;
        drop(place);
        stop.send_replace(true);
        if timeout(STOP_PATIENCE, &mut serving).await.is_err() {
            serving.abort();
        }
        // What they read is there again in a moment.
        if let Some((_, monitors)) = monitors {
            monitors.abort();
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
    let monitors = match settings.http {
        Some(http) => Some(bind(http).await?),
        None => None,
    };
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
    let shared = Arc::new(shared);
    let monitors = monitors.map(|(listener, address, http)| {
        events::http_listening(address);
        (address, tokio::spawn(http::serve(listener, http, Arc::clone(&shared))))
    });
    let service = router(shared).into_make_service_with_connect_info::<Peer>();
    let serve = axum::serve(AdminListener::new(listener), service);
    let serve = serve.with_graceful_shutdown(stopped(stopping));
    let serving = tokio::spawn(async move {
        if let Err(error) = serve.await {
            events::ended(&error);
        }
    });
    events::listening(place.path());
    Ok(AdminServer { place, stop, serving, monitors })
}

async fn bind(http: Http) -> Result<(HttpListener, SocketAddr, Http), StartError> {
    let address = http.address;
    let failed = |error| StartError::Http { address, error };
    let listener = HttpListener::bind(address).await.map_err(failed)?;
    let local = listener.address().map_err(failed)?;
    Ok((listener, local, http))
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
