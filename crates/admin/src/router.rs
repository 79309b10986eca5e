//! Which path leads where, and who may go there.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use restante_api::{ErrorCode, paths};
use restante_queue::QueueStore;
use restante_types::Printable;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::events;
use crate::handlers::{backup, change, domains, entries, flush, health, message, way};
use crate::limits::MAX_REQUEST;
use crate::metrics;
use crate::operations::Operations;
use crate::peer::{Access, Peer, groups_of};
use crate::refusal::Refusal;

/// What every handler has at hand.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) operations: Arc<dyn Operations>,
    pub(crate) access: Access,
    pub(crate) version: String,
    pub(crate) stopping: watch::Receiver<bool>,
    /// One at a time.
    pub(crate) scraping: Arc<Semaphore>,
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route(paths::DOMAINS, get(domains::all))
        .route(paths::DOMAIN, get(domains::one))
        .route(paths::ROUTE, get(way::route))
        .route(paths::WHY, get(way::why))
        .route(paths::EXPLAIN, get(way::explain))
        .route(paths::ENTRIES, get(entries::list))
        .route(paths::MESSAGE, get(message::show))
        .route(paths::CONTENT, get(message::content))
        .route(paths::FLUSH, post(flush::flush))
        .route(paths::HOLD, post(change::hold))
        .route(paths::RELEASE, post(change::release))
        .route(paths::DELETE, post(change::delete))
        .route(paths::RESTORE, post(change::restore))
        .route(paths::BACKUP, post(backup::backup))
        .route(paths::CONFIG, get(health::configuration))
        .route(paths::METRICS, get(metrics::metrics))
        .route_layer(from_fn_with_state(Arc::clone(&shared), gate));
    Router::new()
        .route(paths::HEALTH, get(health::health))
        .merge(guarded)
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(shared)
}

async fn gate(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let access = shared.access;
    // The user database may be on the network.
    let allowed = spawn_blocking(move || access.allows(peer, groups_of)).await.unwrap_or(false);
    if allowed {
        return Ok(next.run(request).await);
    }
    events::refused(peer, request.uri().path());
    let message = "only root, the server's own user and members of the socket's group may ask this";
    Err(Refusal::new(ErrorCode::NotAllowed, message))
}

pub(crate) async fn nowhere(request: Request) -> Refusal {
    let path = Printable::from(request.uri().path()).to_string();
    Refusal::new(ErrorCode::NotFound, format!("nothing answers {} {path} here", request.method()))
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad(Printable::from(rejection.body_text().as_str()).to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::bad(Printable::from(rejection.body_text().as_str()).to_string())
    }
}
