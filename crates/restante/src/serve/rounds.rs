//! Mail that nobody collects.

use std::collections::HashSet;

use restante_queue::QueueStore;
use restante_types::{Domain, DomainMap, UnixMillis};

use super::events;
use super::settings::Policy;

/// Queues looked at in one step.
const PAGE: usize = 1_000;

/// Domains that were warned of; at most one name per queue that has waiting mail.
#[derive(Debug, Default)]
pub(super) struct Uncollected {
    told: HashSet<Domain>,
}

impl Uncollected {
    /// Warns once of each domain whose oldest mail has waited for longer than its alarm; again after it was collected.
    /// Returns how many warnings that made.
    pub(super) fn look(
        &mut self,
        store: &dyn QueueStore,
        policies: &DomainMap<Policy>,
        now: UnixMillis,
    ) -> usize {
        let (mut late, mut warnings) = (HashSet::new(), 0);
        let mut after: Option<Domain> = None;
        loop {
            let page = store.stats_page(after.as_ref(), PAGE);
            let Some(last) = page.last() else { break };
            after = Some(last.domain.clone());
            for stats in page {
                let alarm = policies.find(&stats.domain).and_then(|(_, policy)| policy.uncollected_alarm);
                let waited = stats.oldest.filter(|_| stats.messages > 0).map(|oldest| now.since(oldest));
                let (Some(alarm), Some(waited)) = (alarm, waited) else { continue };
                if waited >= alarm {
                    if !self.told.contains(&stats.domain) {
                        events::uncollected(&stats.domain, stats.messages, waited);
                        warnings += 1;
                    }
                    late.insert(stats.domain);
                }
            }
        }
        self.told = late;
        warnings
    }
}
