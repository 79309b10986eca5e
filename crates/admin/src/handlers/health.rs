//! The condition of the server, for monitors; and its configuration.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use restante_api::{AlarmView, HealthReport, IndexReport, IntakeReport, Level};
use restante_queue::{Health, HoldKind, IndexHealth, IntakeHealth};
use restante_types::Domain;

use crate::limits::MAX_NAMES;
use crate::router::Shared;

/// `GET /v1/health`
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Json<HealthReport> {
    let stopped = shared.store.held_domains();
    let names = |kind: HoldKind| -> Vec<Domain> {
        stopped.iter().filter(|(_, note)| note.kind == kind).map(|(domain, _)| domain.clone()).collect()
    };
    let found = Found {
        health: shared.store.health(),
        orphaned: names(HoldKind::Orphaned),
        misrouted: names(HoldKind::Misrouted),
        warnings: shared.operations.warnings(),
        alarms: shared.operations.alarms(),
    };
    Json(found.report(&shared.version))
}

/// `GET /v1/config`
pub(crate) async fn configuration(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, "application/toml")], shared.operations.configuration()).into_response()
}

struct Found {
    health: Health,
    orphaned: Vec<Domain>,
    misrouted: Vec<Domain>,
    warnings: Vec<String>,
    alarms: Vec<AlarmView>,
}

impl Found {
    fn report(mut self, version: &str) -> HealthReport {
        self.alarms.sort_by_key(|alarm| !alarm.warning);
        let critical = self.critical();
        let warnings = self.warned();
        let status = match (critical.is_empty(), warnings.is_empty()) {
            (false, _) => Level::Critical,
            (true, false) => Level::Warning,
            (true, true) => Level::Ok,
        };
        HealthReport {
            status,
            problems: critical.into_iter().chain(warnings).collect(),
            intake: intake(&self.health.intake),
            index: index(&self.health.index),
            free_bytes: self.health.free_bytes,
            low_water_bytes: self.health.low_water_bytes,
            messages: self.health.messages,
            damaged: self.health.damaged,
            clock_doubted: self.health.clock_doubted,
            orphaned: self.orphaned.into_iter().take(MAX_NAMES).collect(),
            misrouted: self.misrouted.into_iter().take(MAX_NAMES).collect(),
            alarms: self.alarms.into_iter().take(MAX_NAMES).collect(),
            version: version.to_owned(),
        }
    }

    fn critical(&self) -> Vec<String> {
        let intake = match &self.health.intake {
            IntakeHealth::Open => None,
            IntakeHealth::LowDisk => Some("intake is closed: the disk is too full".to_owned()),
            IntakeHealth::Failing(cause) => Some(format!("intake is closed: {cause}")),
        };
        let index = match &self.health.index {
            IndexHealth::Failing(cause) => Some(format!("the index cannot be written: {cause}")),
            IndexHealth::Ready | IndexHealth::Rebuilding { .. } => None,
        };
        intake.into_iter().chain(index).collect()
    }

    fn warned(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let IndexHealth::Rebuilding { done, total } = self.health.index {
            let percent = done.saturating_mul(100).checked_div(total).unwrap_or(0);
            lines.push(format!("the index is being rebuilt, {percent} % done: ETRN is answered 458"));
        }
        if self.health.clock_doubted {
            lines.push("the clock is in doubt: nothing expires".to_owned());
        }
        if self.health.damaged > 0 {
            lines.push(format!("damaged records found since start: {}", self.health.damaged));
        }
        if !self.orphaned.is_empty() {
            lines.push(format!(
                "domains with mail that are not configured any more: {}",
                some(&self.orphaned)
            ));
        }
        if !self.misrouted.is_empty() {
            lines.push(format!("domains without a way to their primary: {}", some(&self.misrouted)));
        }
        lines.extend(self.warnings.iter().cloned());
        let alarms: Vec<&AlarmView> = self.alarms.iter().filter(|alarm| alarm.warning).collect();
        lines.extend(alarms.iter().take(MAX_NAMES).map(|alarm| told(alarm)));
        if let Some(more) = alarms.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
            lines.push(format!("and {more} more alarms"));
        }
        lines
    }
}

fn told(alarm: &AlarmView) -> String {
    let domain = alarm.domain.as_ref().map(|domain| format!(" {domain}")).unwrap_or_default();
    format!("{}{domain}: {}", alarm.event, alarm.detail)
}

fn some(names: &[Domain]) -> String {
    let shown = names.iter().take(MAX_NAMES).map(Domain::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(MAX_NAMES);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn intake(health: &IntakeHealth) -> IntakeReport {
    match health {
        IntakeHealth::Open => IntakeReport::Open,
        IntakeHealth::LowDisk => IntakeReport::LowDisk,
        IntakeHealth::Failing(cause) => IntakeReport::Failing { cause: cause.clone() },
    }
}

fn index(health: &IndexHealth) -> IndexReport {
    match health {
        IndexHealth::Ready => IndexReport::Ready,
        IndexHealth::Rebuilding { done, total } => IndexReport::Rebuilding { done: *done, total: *total },
        IndexHealth::Failing(cause) => IndexReport::Failing { cause: cause.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let health = Health {
            intake: IntakeHealth::Open,
            index: IndexHealth::Ready,
            free_bytes: Some(1),
            low_water_bytes: None,
            inodes: None,
            messages: 7,
            damaged: 0,
            clock_doubted: false,
        };
        Found {
            health,
            orphaned: Vec::new(),
            misrouted: Vec::new(),
            warnings: Vec::new(),
            alarms: Vec::new(),
        }
    }

    fn level(change: impl FnOnce(&mut Found)) -> (Level, usize) {
        let mut found = found();
        change(&mut found);
        let report = found.report("1");
        (report.status, report.problems.len())
    }

    #[test]
    fn the_worst_decides_and_everything_is_told() {
        assert_eq!(level(|_| ()), (Level::Ok, 0));
        assert_eq!(level(|f| f.health.clock_doubted = true), (Level::Warning, 1));
        assert_eq!(level(|f| f.health.damaged = 1), (Level::Warning, 1));
        assert_eq!(
            level(|f| f.health.index = IndexHealth::Rebuilding { done: 0, total: 0 }),
            (Level::Warning, 1)
        );
        assert_eq!(level(|f| f.warnings.push("no certificate".to_owned())), (Level::Warning, 1));
        assert_eq!(level(|f| f.orphaned.push("example.org".parse().unwrap())), (Level::Warning, 1));
        assert_eq!(level(|f| f.misrouted.push("example.org".parse().unwrap())), (Level::Warning, 1));
        assert_eq!(level(|f| f.health.intake = IntakeHealth::LowDisk), (Level::Critical, 1));
        assert_eq!(level(|f| f.health.index = IndexHealth::Failing("x".to_owned())), (Level::Critical, 1));
        let both = level(|f| {
            f.health.clock_doubted = true;
            f.health.intake = IntakeHealth::Failing("disk".to_owned());
        });
        assert_eq!(both, (Level::Critical, 2));
    }

    #[test]
    fn names_are_bounded() {
        let names: Vec<Domain> = (0..25).map(|n| format!("d{n}.example").parse().unwrap()).collect();
        assert!(some(&names).ends_with("d19.example and 5 more"));
        let mut found = found();
        found.orphaned = names;
        assert_eq!(found.report("1").orphaned.len(), MAX_NAMES);
    }
}
