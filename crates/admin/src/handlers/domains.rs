//! Domains: what the configuration names and what the store holds, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use restante_api::{AlarmView, DomainStatus, ErrorCode, StatusEnd};
use restante_queue::DomainStats;
use restante_types::Domain;

use crate::limits::{MAX_NAMES, PAGE};
use crate::lines::{self, Lines, Stop};
use crate::named::Named;
use crate::refusal::Refusal;
use crate::router::Shared;
use crate::view;

/// `GET /v1/domains`
pub(crate) async fn all(State(shared): State<Arc<Shared>>) -> Response {
    let (mut lines, response) = lines::open(&shared.stopping);
    tokio::spawn(async move {
        let outcome = walk(&shared, &mut lines).await;
        lines.close(outcome).await;
    });
    response
}

/// `GET /v1/domains/{domain}`
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Named(domain): Named<Domain>,
) -> Result<Json<DomainStatus>, Refusal> {
    let stats = known(&shared, &domain)?;
    let mode = shared.operations.domain(&domain).map(|policy| policy.mode);
    let mut alarms = shared.operations.alarms();
    alarms.retain(|alarm| alarm.domain.as_ref() == Some(&domain));
    Ok(Json(view::status(stats, mode, alarms)))
}

/// The counts of a domain that is configured or holds something.
pub(crate) fn known(shared: &Shared, domain: &Domain) -> Result<DomainStats, Refusal> {
    let stats = shared.store.stats(domain);
    if shared.operations.domain(domain).is_some() || is_alive(&stats) {
        return Ok(stats);
    }
    let configured = shared.operations.domains(None, MAX_NAMES + 1);
    let names = configured.iter().take(MAX_NAMES).map(|policy| policy.domain.as_str()).collect::<Vec<_>>();
    let more = if configured.len() > MAX_NAMES { ", …" } else { "" };
    let message = format!("no such domain: {domain}; configured: {}{more}", names.join(", "));
    Err(Refusal::new(ErrorCode::NotFound, message))
}

/// Whether a domain shows although the configuration does not name it.
fn is_alive(stats: &DomainStats) -> bool {
    stats.messages > 0 || stats.held.is_some() || stats.parked.values().any(|count| *count > 0)
}

fn alarms_by_domain(shared: &Shared) -> BTreeMap<Domain, Vec<AlarmView>> {
    let mut alarms: BTreeMap<Domain, Vec<AlarmView>> = BTreeMap::new();
    for alarm in shared.operations.alarms() {
        if let Some(domain) = alarm.domain.clone() {
            alarms.entry(domain).or_default().push(alarm);
        }
    }
    alarms
}

/// Both lists are in the order of names, so a page of each is merged up to where the shorter one reaches.
async fn walk(shared: &Shared, lines: &mut Lines<DomainStatus, StatusEnd>) -> Result<StatusEnd, Stop> {
    let mut domains = 0;
    let mut alarms = alarms_by_domain(shared);
    let mut after: Option<Domain> = None;
    loop {
        let configured = shared.operations.domains(after.as_ref(), PAGE);
        let held = shared.store.stats_page(after.as_ref(), PAGE);
        let reach = [
            configured.last().filter(|_| configured.len() >= PAGE).map(|policy| policy.domain.clone()),
            held.last().filter(|_| held.len() >= PAGE).map(|stats| stats.domain.clone()),
        ];
        let reach = reach.into_iter().flatten().min();
        let within = |domain: &Domain| reach.as_ref().is_none_or(|reach| domain <= reach);
        let mut modes: BTreeMap<Domain, Option<String>> =
            held.iter().filter(|stats| is_alive(stats)).map(|stats| (stats.domain.clone(), None)).collect();
        modes.extend(configured.into_iter().map(|policy| (policy.domain, Some(policy.mode))));
        let mut held: BTreeMap<Domain, DomainStats> =
            held.into_iter().map(|stats| (stats.domain.clone(), stats)).collect();
        for (domain, mode) in modes.into_iter().filter(|(domain, _)| within(domain)) {
            // A name below a configured one has that one's mode.
            let mode = mode.or_else(|| shared.operations.domain(&domain).map(|policy| policy.mode));
            let stats = held.remove(&domain).unwrap_or_else(|| shared.store.stats(&domain));
            let alarms = alarms.remove(&domain).unwrap_or_default();
            lines.item(&view::status(stats, mode, alarms)).await?;
            domains += 1;
        }
        match reach {
            Some(reach) => after = Some(reach),
            None => return Ok(StatusEnd { domains }),
        }
    }
}
