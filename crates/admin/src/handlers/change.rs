//! Hold, release, delete, restore: on whole domains, or on what a filter matches.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use restante_api::{ApplyReport, ChangeProgress, ChangeRequest, unix_millis};
use restante_queue::{Entry, EntryKey, Filter, HoldKind, HoldOrder, StoreError};
use restante_types::{DeliveryState, QueueId, ReversePath, UnixMillis};

use super::domains::known;
use super::entries::Shelf;
use crate::events;
use crate::limits::{BATCH, MAX_DOMAINS, MAX_REASON, PREVIEW};
use crate::lines::{self, Lines, Stop};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::router::Shared;
use crate::view;

type ChangeLines = Lines<ChangeProgress, ApplyReport>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Hold,
    Release,
    Delete,
    Restore,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Delete => "delete",
            Self::Restore => "restore",
        }
    }
}

type Body = Result<Json<ChangeRequest>, JsonRejection>;

/// `POST /v1/hold`
pub(crate) async fn hold(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    change(shared, peer, Verb::Hold, body)
}

/// `POST /v1/release`
pub(crate) async fn release(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    change(shared, peer, Verb::Release, body)
}

/// `POST /v1/delete`
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    change(shared, peer, Verb::Delete, body)
}

/// `POST /v1/restore`
pub(crate) async fn restore(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Body,
) -> Result<Response, Refusal> {
    change(shared, peer, Verb::Restore, body)
}

fn change(shared: Arc<Shared>, peer: Peer, verb: Verb, body: Body) -> Result<Response, Refusal> {
    let Json(request) = body?;
    check(verb, &request, shared.operations.now())?;
    // A slip in one name changes nothing.
    for domain in &request.domains {
        known(&shared, domain)?;
    }
    let (mut lines, response) = lines::open(&shared.stopping);
    tokio::spawn(async move {
        let outcome = if request.domains.is_empty() {
            entries(&shared, peer, verb, request, &mut lines).await
        } else {
            domains(&shared, peer, verb, &request).await
        };
        lines.close(outcome).await;
    });
    Ok(response)
}

fn check(verb: Verb, request: &ChangeRequest, now: UnixMillis) -> Result<(), Refusal> {
    request.filter.check()?;
    if request.until.is_some() || request.pause_retention {
        if verb != Verb::Hold || request.domains.is_empty() {
            return Err(Refusal::bad("only whole domains are held until a time or with retention paused"));
        }
        if request.until.is_some_and(|until| unix_millis(until) <= now) {
            return Err(Refusal::bad("that time has passed already"));
        }
    }
    let of_domains = matches!(verb, Verb::Hold | Verb::Release);
    let reason = request.reason.as_deref().map(str::trim).unwrap_or_default();
    if !request.domains.is_empty() {
        if !of_domains {
            return Err(Refusal::bad("whole domains can be held and released, nothing else"));
        }
        if request.all || !request.filter.is_empty() {
            return Err(Refusal::bad("name domains, or give a filter for single entries; not both"));
        }
        if request.domains.len() > MAX_DOMAINS {
            return Err(Refusal::bad(format!("at most {MAX_DOMAINS} domains at a time")));
        }
    } else if request.filter.is_empty() && !request.all {
        return Err(Refusal::bad("an empty filter would match everything; say so with `all` if it is meant"));
    }
    if verb == Verb::Delete && reason.is_empty() {
        return Err(Refusal::bad("deleting wants a reason"));
    }
    if reason.len() > MAX_REASON {
        return Err(Refusal::bad(format!("a reason has at most {MAX_REASON} octets")));
    }
    Ok(())
}

fn reason_of(request: &ChangeRequest) -> String {
    request.reason.as_deref().map(str::trim).unwrap_or_default().to_owned()
}

async fn domains(
    shared: &Shared,
    peer: Peer,
    verb: Verb,
    request: &ChangeRequest,
) -> Result<ApplyReport, Stop> {
    let reason = reason_of(request);
    let mut report = empty_report(request, QueueId::MAX);
    for domain in &request.domains {
        report.matched += 1;
        report.bytes += shared.store.stats(domain).bytes;
        if request.dry_run {
            continue;
        }
        let changed = if verb == Verb::Hold {
            let order = HoldOrder {
                until: request.until.map(unix_millis),
                pause_retention: request.pause_retention,
                ..HoldOrder::new(HoldKind::Operator, &*reason)
            };
            shared.store.hold_domain(domain, order).await.map(|()| true)
        } else {
            shared.store.release_domain(domain).await
        }?;
        report.changed += u64::from(changed);
        events::domain_changed(peer, verb.as_str(), domain, changed, &reason);
    }
    Ok(report)
}

const fn empty_report(request: &ChangeRequest, as_of: QueueId) -> ApplyReport {
    ApplyReport { matched: 0, changed: 0, bytes: 0, sample: Vec::new(), dry_run: request.dry_run, as_of }
}

/// Logs what was done when it ends, also when it ends because the operator left in the middle.
struct Ledger {
    peer: Peer,
    verb: Verb,
    reason: String,
    filter: String,
    counts: ChangeProgress,
}

impl Drop for Ledger {
    fn drop(&mut self) {
        events::entries_changed(self.peer, self.verb.as_str(), self.counts, &self.filter, &self.reason);
    }
}

/// Page by page, up to the newest message there is when it begins: what comes in meanwhile is not touched, and a flood
/// of new mail cannot keep it going.
async fn entries(
    shared: &Shared,
    peer: Peer,
    verb: Verb,
    request: ChangeRequest,
    lines: &mut ChangeLines,
) -> Result<ApplyReport, Stop> {
    let as_of = request.as_of.unwrap_or_else(|| shared.store.mint(shared.operations.now()));
    let mut report = empty_report(&request, as_of);
    let mut ledger = (!request.dry_run).then(|| Ledger {
        peer,
        verb,
        reason: reason_of(&request),
        filter: serde_json::to_string(&request.filter).unwrap_or_default(),
        counts: ChangeProgress::default(),
    });
    let filter = filter_of(verb, request);
    let mut shelf = Shelf::default();
    let mut after = None;
    loop {
        let page = shared.store.list(&filter, after.as_ref(), BATCH).await?;
        let matching: Vec<Entry> = page.entries.into_iter().filter(|entry| entry.key.id <= as_of).collect();
        report.matched += matching.len() as u64;
        report.bytes += matching.iter().map(|entry| entry.size).sum::<u64>();
        if let Some(ledger) = &mut ledger {
            let mut keys = Vec::with_capacity(matching.len());
            for entry in matching {
                match sent(shared, verb, &entry).await? {
                    Some(sent) => report.changed += u64::from(sent),
                    None => keys.push(entry.key),
                }
            }
            report.changed += apply(shared, ledger, &keys).await?;
            ledger.counts = ChangeProgress { matched: report.matched, changed: report.changed };
            lines.now(&ledger.counts).await?;
        } else {
            let room = PREVIEW - report.sample.len();
            let shown = matching.into_iter().take(room).map(|entry| shelf.view(shared, entry));
            report.sample.extend(shown);
            lines.breathe().await?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(report);
        }
    }
}

fn filter_of(verb: Verb, request: ChangeRequest) -> Filter {
    let mut filter = view::filter(request.filter);
    if verb == Verb::Restore {
        filter.states = vec![DeliveryState::Deleted];
    }
    filter
}

/// A dead letter from nobody may be a notice that was kept: it does not go to the primary whose mail it is about.
async fn sent(shared: &Shared, verb: Verb, entry: &Entry) -> Result<Option<bool>, StoreError> {
    let dead = entry.state == DeliveryState::Dead && entry.envelope.sender == ReversePath::Null;
    if verb == Verb::Release && dead { shared.operations.send_kept(&entry.key).await } else { Ok(None) }
}

async fn apply(shared: &Shared, ledger: &Ledger, keys: &[EntryKey]) -> Result<u64, StoreError> {
    if keys.is_empty() {
        return Ok(0);
    }
    let changed = match ledger.verb {
        Verb::Hold => shared.store.hold(keys, &ledger.reason).await,
        Verb::Release => shared.store.release(keys).await,
        Verb::Delete => shared.store.delete(keys, &ledger.reason).await,
        Verb::Restore => shared.store.restore(keys).await,
    }?;
    for key in keys {
        match ledger.verb {
            Verb::Delete => events::deleted(ledger.peer, key, &ledger.reason),
            Verb::Restore => events::restored(ledger.peer, key),
            Verb::Hold | Verb::Release => {}
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_api::EntryFilter;

    fn refused(verb: Verb, request: &ChangeRequest) -> bool {
        check(verb, request, UnixMillis(1_000_000)).is_err()
    }

    #[test]
    fn an_empty_filter_needs_all() {
        let empty = ChangeRequest { reason: Some("why".to_owned()), ..ChangeRequest::default() };
        let all = ChangeRequest { all: true, ..empty.clone() };
        for verb in [Verb::Hold, Verb::Release, Verb::Delete, Verb::Restore] {
            assert!(refused(verb, &empty), "{verb:?}");
            assert!(!refused(verb, &all), "{verb:?}");
        }
    }

    #[test]
    fn deleting_wants_a_reason_and_no_reason_is_endless() {
        let filter = EntryFilter { from: Some("spam".to_owned()), ..EntryFilter::default() };
        let bare = ChangeRequest { filter, ..ChangeRequest::default() };
        let with = |reason: &str| ChangeRequest { reason: Some(reason.to_owned()), ..bare.clone() };
        assert!(refused(Verb::Delete, &bare) && refused(Verb::Delete, &with("  ")));
        assert!(!refused(Verb::Delete, &with("spam run")) && !refused(Verb::Hold, &bare));
        assert!(refused(Verb::Hold, &with(&"x".repeat(MAX_REASON + 1))));
    }

    #[test]
    fn domains_are_held_and_released_and_nothing_else() {
        let domains = ChangeRequest {
            domains: vec!["example.org".parse().unwrap()],
            reason: Some("why".to_owned()),
            ..ChangeRequest::default()
        };
        assert!(!refused(Verb::Hold, &domains) && !refused(Verb::Release, &domains));
        assert!(refused(Verb::Delete, &domains) && refused(Verb::Restore, &domains));
        let until = |second: u64| ChangeRequest {
            until: Some(restante_api::timestamp(UnixMillis(second * 1000))),
            pause_retention: true,
            ..domains.clone()
        };
        assert!(!refused(Verb::Hold, &until(1001)) && refused(Verb::Hold, &until(1000)));
        assert!(refused(Verb::Release, &until(1001)));
        assert!(refused(Verb::Hold, &ChangeRequest { domains: Vec::new(), all: true, ..until(1001) }));
        let both = ChangeRequest { all: true, ..domains.clone() };
        assert!(refused(Verb::Hold, &both));
        let many = ChangeRequest { domains: vec!["a.example".parse().unwrap(); MAX_DOMAINS + 1], ..domains };
        assert!(refused(Verb::Hold, &many));
    }
}
