//! `GET /metrics`

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use restante_api::ErrorCode;
use tokio::task::spawn_blocking;

use super::gauges::Snapshot;
use crate::refusal::Refusal;
use crate::router::Shared;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One page at a time: whoever asks while another is written waits for its turn. It is written on a thread that may
/// block, for a thousand domains are a few ten thousand lines.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Refusal> {
    let broken = || Refusal::new(ErrorCode::Internal, "the metrics cannot be written");
    let turn = Arc::clone(&shared.scraping).acquire_owned().await.map_err(|_| broken())?;
    let written = spawn_blocking(move || {
        let page = write(&shared);
        drop(turn);
        page
    });
    let page = written.await.ok().flatten().ok_or_else(broken)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], page).into_response())
}

fn write(shared: &Shared) -> Option<String> {
    let mut gauges = Registry::with_prefix("restante");
    let snapshot = Snapshot::take(&*shared.store, &*shared.operations, &shared.version);
    gauges.register_collector(Box::new(snapshot));
    let mut page = String::new();
    encode_registry(&mut page, &gauges).ok()?;
    if let Some(counters) = shared.operations.metrics() {
        encode_registry(&mut page, &counters.registry).ok()?;
    }
    encode_eof(&mut page).ok()?;
    Some(page)
}
