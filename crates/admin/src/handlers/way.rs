//! Where mail would go, why it did not, and what a client would be answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use restante_api::{ErrorCode, ExplainQuery, ExplainReport, RouteReport, WhyReport};
use restante_types::Domain;
use tokio::time::timeout;

use super::domains::known;
use crate::limits::{EXPLAIN_TEXT, ROUTE_PATIENCE};
use crate::named::Named;
use crate::refusal::Refusal;
use crate::router::Shared;
use crate::view;

/// `GET /v1/domains/{domain}/route`
pub(crate) async fn route(
    State(shared): State<Arc<Shared>>,
    Named(domain): Named<Domain>,
) -> Result<Json<RouteReport>, Refusal> {
    let stats = known(&shared, &domain)?;
    let late = || Refusal::new(ErrorCode::Unavailable, "the DNS takes too long to answer");
    let found = timeout(ROUTE_PATIENCE, shared.operations.route(&domain)).await.map_err(|_| late())?;
    let gone =
        || Refusal::new(ErrorCode::NotFound, format!("{domain} is not configured: its mail goes nowhere"));
    let mut report = found.ok_or_else(gone)?;
    report.hold = stats.held.map(view::hold);
    Ok(Json(report))
}

/// `GET /v1/domains/{domain}/why`
pub(crate) async fn why(
    State(shared): State<Arc<Shared>>,
    Named(domain): Named<Domain>,
) -> Result<Json<Option<WhyReport>>, Refusal> {
    known(&shared, &domain)?;
    Ok(Json(shared.operations.why(&domain)))
}

/// `GET /v1/explain`
pub(crate) async fn explain(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Json<ExplainReport>, Refusal> {
    let Query(query) = query?;
    let texts = [Some(&query.recipient), query.from.as_ref(), query.helo.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > EXPLAIN_TEXT) {
        return Err(Refusal::bad(format!("an address or name has at most {EXPLAIN_TEXT} octets")));
    }
    shared.operations.explain(query).await.map(Json).map_err(Refusal::bad)
}
