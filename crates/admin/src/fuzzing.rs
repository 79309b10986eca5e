//! A door for the fuzz targets (`fuzz/` at the top), there under `--cfg fuzzing` alone: the router without its socket.

use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::MockConnectInfo;
use restante_queue::QueueStore;
use tokio::sync::{Semaphore, watch};

use crate::operations::Operations;
use crate::peer::{Access, Peer};
use crate::router::Shared;

/// What answers on the socket, to a peer of this user and this group; root may ask everything.
#[must_use]
pub fn router(store: Arc<dyn QueueStore>, operations: Arc<dyn Operations>, user: u32) -> Router {
    let shared = Shared {
        store,
        operations,
        access: Access { own: 0, group: 0 },
        version: "1.2.3".to_owned(),
        // Nobody says stop.
        stopping: watch::channel(false).1,
        scraping: Arc::new(Semaphore::new(1)),
    };
    crate::router::router(Arc::new(shared)).layer(MockConnectInfo(Peer { uid: user, gid: user }))
}
