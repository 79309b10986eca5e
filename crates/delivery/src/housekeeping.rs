//! What is too old is parked, what was parked or deleted long ago goes. A little at a time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_queue::{DomainStats, QueueStore, StoreError};
use restante_types::{DeliveryState, Domain, UnixMillis};
use tokio::time::sleep;

use crate::Clock;
use crate::events;
use crate::limits::{
    HOUSEKEEPING_CALLS, HOUSEKEEPING_DOMAINS, HOUSEKEEPING_ENTRIES, HOUSEKEEPING_INTERVAL,
    HOUSEKEEPING_PAUSE, PARKED_MIN, RESTORABLE,
};
use crate::notice::Clerk;
use crate::returns::Returns;
use crate::settings::DeliverySettings;

/// Looks after all domains, again and again.
pub(crate) struct Housekeeping {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) settings: Arc<ArcSwap<DeliverySettings>>,
    pub(crate) clock: Clock,
    pub(crate) returns: Returns,
    pub(crate) clerk: Clerk,
}

impl Housekeeping {
    pub(crate) async fn run(self) {
        loop {
            sleep(HOUSEKEEPING_INTERVAL).await;
            self.round().await;
        }
    }

    /// Every domain once, page by page.
    pub(crate) async fn round(&self) {
        self.end_holds().await;
        self.returns.look((self.clock)());
        let mut after: Option<Domain> = None;
        loop {
            let page = self.store.stats_page(after.as_ref(), HOUSEKEEPING_DOMAINS);
            let Some(last) = page.last() else { return };
            after = Some(last.domain.clone());
            for stats in &page {
                if let Err(error) = self.look_after(stats).await {
                    // A store that cannot do it now is asked again in the next round.
                    return events::housekeeping_failed(&stats.domain, &error);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// A stop that was to end by now ends. What is pushed goes by its schedule, the rest when it is asked for.
    async fn end_holds(&self) {
        for domain in self.store.holds_over((self.clock)()) {
            match self.store.release_domain(&domain).await {
                Ok(true) => events::hold_over(&domain),
                // Somebody was faster.
                Ok(false) => {}
                Err(error) => return events::housekeeping_failed(&domain, &error),
            }
        }
    }

    async fn look_after(&self, stats: &DomainStats) -> Result<(), StoreError> {
        let now = (self.clock)();
        let settings = self.settings.load_full();
        let delivery = settings.domains.find(&stats.domain).map(|(_, delivery)| delivery);
        // Mail of a domain that is no longer configured waits for the operator, however old.
        if let Some(delivery) = delivery {
            let cutoff = stats.pauses.cutoff(now, delivery.retention);
            if stats.oldest.is_some_and(|oldest| oldest < cutoff) {
                self.expire(&stats.domain, cutoff).await?;
            }
        }
        let parked = |state: &DeliveryState| *state != DeliveryState::Delivered;
        if stats.parked.iter().any(|(state, count)| parked(state) && *count > 0) {
            let parked_before = delivery
                .map_or(UnixMillis::EPOCH, |delivery| before(now, delivery.parked_retention.max(PARKED_MIN)));
            self.purge(&stats.domain, before(now, RESTORABLE), parked_before).await?;
        }
        Ok(())
    }

    /// [5321-4.5.4.1-giveup] The time to give up comes; what is given up is parked, never lost.
    async fn expire(&self, domain: &Domain, cutoff: UnixMillis) -> Result<(), StoreError> {
        let mut expired = 0;
        for _ in 0..HOUSEKEEPING_CALLS {
            let keys = self.store.expire(domain, cutoff, HOUSEKEEPING_ENTRIES).await?;
            if keys.is_empty() {
                break;
            }
            expired += keys.len() as u64;
            keys.into_iter().for_each(|key| self.clerk.parked(key));
            sleep(HOUSEKEEPING_PAUSE).await;
        }
        if expired > 0 {
            events::expired(domain, expired);
        }
        Ok(())
    }

    async fn purge(
        &self,
        domain: &Domain,
        deleted: UnixMillis,
        parked: UnixMillis,
    ) -> Result<(), StoreError> {
        for _ in 0..HOUSEKEEPING_CALLS {
            let gone = self.store.purge(domain, deleted, parked, HOUSEKEEPING_ENTRIES).await?;
            if gone.is_empty() {
                break;
            }
            for key in gone {
                events::purged(&key.domain, key.id);
            }
            sleep(HOUSEKEEPING_PAUSE).await;
        }
        Ok(())
    }
}

fn before(now: UnixMillis, span: std::time::Duration) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}
