//! What an open circuit parked goes back to the queue: it is the primary that was wrong.

use restante_queue::StoreError;
use restante_types::{DeliveryState, Domain};
use tokio::time::timeout;

use super::{Returns, lock};
use crate::events;
use crate::limits::{RELEASE_PAGE, RELEASE_PAUSE};
use crate::settings::On5xx;

impl Returns {
    /// A drain is over: what its circuit owes can be done.
    pub(crate) fn settle_up(&self, domain: &Domain) {
        if lock(&self.inside.owed).contains(domain) {
            self.inside.owing.notify_one();
        }
    }

    /// Releases what is owed, for ever. Repeating it is harmless, so that a crash costs nothing.
    pub(crate) async fn keep_releasing(self) {
        loop {
            let owed: Vec<Domain> = lock(&self.inside.owed).iter().cloned().collect();
            for domain in &owed {
                self.release(domain).await;
            }
            let nothing = lock(&self.inside.owed).is_empty();
            if nothing {
                self.inside.owing.notified().await;
            } else {
                let _sooner = timeout(RELEASE_PAUSE, self.inside.owing.notified()).await;
            }
        }
    }

    async fn release(&self, domain: &Domain) {
        // What a drain still has under way may yet be refused: looked at first, so that nothing slips in between.
        let over = self.inside.store.stats(domain).draining.is_none();
        match self.release_refused(domain).await {
            Ok(released) => {
                if released > 0 {
                    events::refused_released(domain, released);
                }
                if over {
                    lock(&self.inside.owed).remove(domain);
                }
            }
            Err(error) => events::not_released(domain, &error),
        }
    }

    async fn release_refused(&self, domain: &Domain) -> Result<u64, StoreError> {
        let keeps = |(_, delivery): (_, &crate::DomainDelivery)| delivery.on_5xx == On5xx::Hold;
        if self.inside.settings.load().domains.find(domain).is_some_and(keeps) {
            return Ok(0);
        }
        let (mut after, mut released) = (None, 0);
        loop {
            let page = self.inside.store.unreported(domain, after, RELEASE_PAGE).await?;
            let Some(last) = page.last() else { return Ok(released) };
            after = Some(last.key.id);
            // An operator's stop of a single message stays.
            let refused = page.iter().filter(|entry| {
                entry.held.is_none()
                    && entry.recipients.iter().any(|recipient| recipient.state == DeliveryState::Failed)
            });
            let keys: Vec<_> = refused.map(|entry| entry.key.clone()).collect();
            if !keys.is_empty() {
                released += self.inside.store.release(&keys).await?;
            }
        }
    }
}
