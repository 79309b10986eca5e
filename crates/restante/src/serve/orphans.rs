//! Mail whose domain is no longer configured: kept, stopped, and told.

use restante_queue::{DomainStats, HoldKind, HoldOrder, QueueStore};
use restante_types::{Domain, DomainMap};

use super::events;
use super::settings::Policy;
use crate::limits::QUEUES_AT_ONCE;

/// Why it is stopped, for people.
const REASON: &str = "the domain is no longer configured";

/// Stops `gone`, and every queue of the store that no configured domain covers. What is stopped already stays as it
/// is: whatever stopped it, it goes again only when the operator says so.
pub(super) async fn hold(store: &dyn QueueStore, policies: &DomainMap<Policy>, gone: &[Domain]) {
    for name in gone {
        hold_one(store, &store.stats(name)).await;
    }
    let mut after: Option<Domain> = None;
    loop {
        let page = store.stats_page(after.as_ref(), QUEUES_AT_ONCE);
        let Some(last) = page.last() else { return };
        after = Some(last.domain.clone());
        // Notices belong to no domain of ours.
        let uncovered = |domain: &Domain| domain.notices_to().is_none() && policies.find(domain).is_none();
        for stats in page.iter().filter(|stats| has_mail(stats) && uncovered(&stats.domain)) {
            hold_one(store, stats).await;
        }
    }
}

async fn hold_one(store: &dyn QueueStore, stats: &DomainStats) {
    if stats.held.is_some() {
        return;
    }
    // The alarm comes first: it holds whether or not the store can write the stop down.
    events::domain_orphaned(&stats.domain, stats.messages);
    if let Err(error) = store.hold_domain(&stats.domain, HoldOrder::new(HoldKind::Orphaned, REASON)).await {
        events::not_orphaned(&stats.domain, &error);
    }
}

/// Takes the stop off names that were forgotten with nothing held for them: added again in a year, they are new.
pub(super) async fn forget(store: &dyn QueueStore, forgotten: &[Domain]) {
    for name in forgotten {
        events::domain_forgotten(name);
        let stats = store.stats(name);
        let orphaned = stats.held.as_ref().is_some_and(|note| note.kind == HoldKind::Orphaned);
        if orphaned && !has_mail(&stats) {
            // It fails only where the store does, and then the next start finds it stopped, which is harmless.
            let _ = store.release_domain(name).await;
        }
    }
}

fn has_mail(stats: &DomainStats) -> bool {
    stats.messages > 0 || stats.parked.values().any(|count| *count > 0)
}
