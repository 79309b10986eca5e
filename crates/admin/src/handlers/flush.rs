//! Drains that the operator starts, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use restante_api::{FlushEnd, FlushEvent, FlushRequest};
use restante_queue::{DomainStats, LastDrain, Started};
use restante_turn::FlushError;
use restante_types::{Domain, Printable};
use tokio::time::{Instant, sleep};

use super::domains::known;
use crate::events;
use crate::limits::{DRAIN_PATIENCE, MAX_DOMAINS, PROGRESS_EVERY};
use crate::lines::{self, Lines, Stop};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::router::Shared;
use crate::view;

/// `POST /v1/flush`
pub(crate) async fn flush(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Result<Json<FlushRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(mut request) = request?;
    request.domains.sort();
    request.domains.dedup();
    if request.domains.is_empty() || request.domains.len() > MAX_DOMAINS {
        return Err(Refusal::bad(format!("name between 1 and {MAX_DOMAINS} domains")));
    }
    // A slip in one name starts nothing.
    for domain in &request.domains {
        known(&shared, domain)?;
    }
    let (mut lines, response) = lines::open(&shared.stopping);
    tokio::spawn(async move {
        let outcome = run(&shared, peer, request, &mut lines).await;
        lines.close(outcome).await;
    });
    Ok(response)
}

type FlushLines = Lines<FlushEvent, FlushEnd>;

async fn run(
    shared: &Shared,
    peer: Peer,
    request: FlushRequest,
    lines: &mut FlushLines,
) -> Result<FlushEnd, Stop> {
    let mut end = FlushEnd::default();
    let mut watched = Vec::new();
    for domain in request.domains {
        // Read before it starts, so that its end is told from the one before.
        let before = shared.store.stats(&domain).last_drain;
        match begin(shared, peer, &domain, request.reset).await {
            Ok(started) => {
                let Started { messages, running } = started;
                lines.now(&FlushEvent::Started { domain: domain.clone(), messages, running }).await?;
                watched.push(Watch::new(domain, before, started));
            }
            Err(reason) => {
                end.refused += 1;
                lines.now(&FlushEvent::Refused { domain, reason }).await?;
            }
        }
    }
    if request.wait {
        watch(shared, watched, &mut end, lines).await?;
    }
    Ok(end)
}

async fn begin(shared: &Shared, peer: Peer, domain: &Domain, reset: bool) -> Result<Started, String> {
    let reset_first = async { if reset { shared.store.reset_retries(domain).await } else { Ok(()) } };
    let outcome = match reset_first.await {
        Ok(()) => {
            if reset {
                shared.operations.forget_outage(domain);
            }
            shared.operations.flush(domain)
        }
        Err(error) => Err(FlushError::Store(error)),
    };
    let outcome = outcome.map_err(|error| match error {
        FlushError::Held(note) => {
            let (kind, reason) = (view::hold_kind(note.kind), Printable::from(note.reason.as_str()));
            format!("stopped ({kind}: {reason}); `restante release {domain}` first")
        }
        error => Printable::from(error.to_string().as_str()).to_string(),
    });
    events::flush(peer, domain, reset, outcome.as_ref().map_or_else(String::as_str, |_| "started"));
    outcome
}

/// One drain that somebody looks at.
struct Watch {
    domain: Domain,
    before: Option<LastDrain>,
    nothing_to_do: bool,
    began: Instant,
    shown: Option<(u64, u64, u64)>,
}

enum Look {
    Unchanged,
    Changed(FlushEvent),
    Over { event: FlushEvent, clean: bool },
}

impl Watch {
    fn new(domain: Domain, before: Option<LastDrain>, started: Started) -> Self {
        let nothing_to_do = started.messages == 0 && !started.running;
        Self { domain, before, nothing_to_do, began: Instant::now(), shown: None }
    }

    fn look(&mut self, stats: DomainStats, patience: Duration) -> Look {
        let domain = self.domain.clone();
        let messages = stats.messages;
        if let Some(drain) = stats.draining {
            let counts = (drain.delivered, drain.deferred, drain.failed);
            if self.shown.replace(counts) == Some(counts) {
                return Look::Unchanged;
            }
            return Look::Changed(FlushEvent::Progress { domain, messages, drain: view::drain(drain) });
        }
        if stats.last_drain != self.before {
            let clean = messages == 0 && stats.last_drain.as_ref().is_none_or(|last| last.failed == 0);
            let last_drain = stats.last_drain.map(view::last_drain);
            return Look::Over { event: FlushEvent::Ended { domain, messages, last_drain }, clean };
        }
        if self.nothing_to_do {
            return Look::Over {
                event: FlushEvent::Ended { domain, messages, last_drain: None },
                clean: true,
            };
        }
        if self.shown.is_none() && self.began.elapsed() >= patience {
            return Look::Over { event: FlushEvent::Queued { domain }, clean: false };
        }
        Look::Unchanged
    }
}

async fn watch(
    shared: &Shared,
    mut watched: Vec<Watch>,
    end: &mut FlushEnd,
    lines: &mut FlushLines,
) -> Result<(), Stop> {
    loop {
        let mut left = Vec::with_capacity(watched.len());
        for mut one in watched {
            match one.look(shared.store.stats(&one.domain), DRAIN_PATIENCE) {
                Look::Unchanged => left.push(one),
                Look::Changed(event) => {
                    lines.item(&event).await?;
                    left.push(one);
                }
                Look::Over { event, clean } => {
                    *(if clean { &mut end.clean } else { &mut end.left }) += 1;
                    lines.item(&event).await?;
                }
            }
        }
        lines.flush().await?;
        if left.is_empty() {
            return Ok(());
        }
        watched = left;
        tokio::select! {
            () = sleep(PROGRESS_EVERY) => {}
            () = lines.gone() => return Err(Stop::Gone),
        }
        lines.breathe().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_queue::{DrainCause, DrainProgress};
    use restante_types::UnixMillis;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn stats(messages: u64, draining: Option<u64>, last: Option<u64>) -> DomainStats {
        let since = UnixMillis(1);
        let drain =
            |delivered| DrainProgress { cause: DrainCause::Flush, since, delivered, deferred: 0, failed: 0 };
        let ended = |at| LastDrain {
            at: UnixMillis(at),
            delivered: 1,
            deferred: 0,
            failed: 0,
            result: "done".to_owned(),
        };
        DomainStats {
            domain: "example.org".parse().unwrap(),
            messages,
            bytes: 0,
            oldest: None,
            newest: None,
            parked: std::collections::BTreeMap::new(),
            held: None,
            next_attempt: None,
            last_drain: last.map(ended),
            draining: draining.map(drain),
            pauses: restante_queue::Pauses::default(),
        }
    }

    fn watch(messages: u64, last: Option<u64>) -> Watch {
        let before = stats(0, None, last).last_drain;
        Watch::new("example.org".parse().unwrap(), before, Started { messages, running: false })
    }

    #[test]
    fn a_drain_is_followed_to_its_own_end() {
        let mut watch = watch(3, Some(5));
        assert!(matches!(watch.look(stats(3, None, Some(5)), PATIENCE), Look::Unchanged), "not begun");
        let Look::Changed(FlushEvent::Progress { messages: 3, drain, .. }) =
            watch.look(stats(3, Some(0), Some(5)), PATIENCE)
        else {
            panic!("the drain has begun");
        };
        assert_eq!(drain.cause, "flush");
        assert!(matches!(watch.look(stats(3, Some(0), Some(5)), PATIENCE), Look::Unchanged), "told once");
        assert!(matches!(watch.look(stats(1, Some(2), Some(5)), PATIENCE), Look::Changed(_)));
        assert!(matches!(watch.look(stats(0, None, Some(9)), PATIENCE), Look::Over { clean: true, .. }));
    }

    #[test]
    fn a_drain_that_was_over_between_two_looks_is_seen() {
        assert!(matches!(
            watch(3, None).look(stats(2, None, Some(9)), PATIENCE),
            Look::Over { clean: false, .. }
        ));
    }

    #[test]
    fn nothing_to_do_ends_at_once_and_nothing_done_ends_late() {
        let ended = watch(0, Some(5)).look(stats(0, None, Some(5)), PATIENCE);
        assert!(matches!(
            ended,
            Look::Over { event: FlushEvent::Ended { last_drain: None, .. }, clean: true }
        ));
        let queued = watch(3, None).look(stats(3, None, None), Duration::ZERO);
        assert!(matches!(queued, Look::Over { event: FlushEvent::Queued { .. }, clean: false }));
    }
}
