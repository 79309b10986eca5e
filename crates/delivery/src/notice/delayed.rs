//! Notices of delay: each message once, when it has waited as long as its domain says.

use restante_queue::{Cursor, DomainStats, Entry, Filter, StoreError};
use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};
use tokio::time::sleep;

use super::clerk::Clerk;
use super::policy::{self, Verdict};
use super::post::PostError;
use super::status::{Kind, Told};
use super::write::{Draft, hop_on_file, read};
use crate::events;
use crate::limits::{DELAYED_PAGES, HOUSEKEEPING_DOMAINS, HOUSEKEEPING_INTERVAL, NOTICES_PAGE};
use crate::settings::{DeliverySettings, DomainDelivery};

/// Looks for mail that waits long. A mark per domain says how far it came, so that nothing is looked at twice.
pub(crate) struct Delayed {
    clerk: Clerk,
}

impl Delayed {
    pub(crate) const fn new(clerk: Clerk) -> Self {
        Self { clerk }
    }

    pub(crate) async fn run(self) {
        loop {
            self.round().await;
            sleep(HOUSEKEEPING_INTERVAL).await;
        }
    }

    /// Every domain once.
    pub(crate) async fn round(&self) {
        let mut after: Option<Domain> = None;
        loop {
            let page = self.clerk.post.store.stats_page(after.as_ref(), HOUSEKEEPING_DOMAINS);
            let Some(last) = page.last() else { return };
            after = Some(last.domain.clone());
            for stats in &page {
                if let Err(error) = self.look_into(stats).await {
                    events::notices_wait(&stats.domain, &error);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Also where a domain is stopped: its mail waits no less. Notices themselves are never reported on.
    async fn look_into(&self, stats: &DomainStats) -> Result<(), StoreError> {
        let room = &self.clerk.post;
        let (settings, now) = (room.settings.load_full(), (room.clock)());
        let Some((_, delivery)) = settings.domains.find(&stats.domain) else { return Ok(()) };
        let Some(wait) = delivery.delay_notice else { return Ok(()) };
        let waited_by = UnixMillis(now.0.saturating_sub(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
        if stats.domain.notices_to().is_some() || stats.oldest.is_none_or(|oldest| oldest > waited_by) {
            return Ok(());
        }
        let states = vec![DeliveryState::Queued, DeliveryState::Deferred, DeliveryState::Misrouted];
        let filter = Filter { domains: vec![stats.domain.clone()], states, ..Filter::default() };
        let mut mark = room.store.delay_mark(&stats.domain);
        for _ in 0..DELAYED_PAGES {
            let after = mark.and_then(|mark| Cursor::parse(&format!("{mark}/{}", stats.domain)));
            let page = room.store.list(&filter, after.as_ref(), NOTICES_PAGE).await?;
            let old = page.entries.iter().take_while(|entry| entry.arrived <= waited_by);
            let mut reached = None;
            for entry in old {
                self.tell(&settings, delivery, stats, entry, now).await?;
                reached = Some(entry.key.id);
            }
            let all_old = page.entries.last().is_none_or(|last| reached == Some(last.key.id));
            // A page without entries comes from work that found nothing; it still says how far it came.
            let end = page.next.as_ref().filter(|_| all_old).and_then(|next| place(next, &stats.domain));
            let further = end.or(reached);
            if let Some(further) = further {
                room.store.set_delay_mark(&stats.domain, further).await?;
                mark = Some(further);
            }
            if end.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn tell(
        &self,
        settings: &DeliverySettings,
        delivery: &DomainDelivery,
        stats: &DomainStats,
        entry: &Entry,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (to, dead) =
            match policy::verdict(settings, delivery.notices, &entry.envelope.sender, entry.vouched) {
                Verdict::Send(to) => (to, false),
                Verdict::Withheld(to) => (to, true),
                Verdict::Nobody => return Ok(()),
            };
        let waits = |state| {
            matches!(state, DeliveryState::Queued | DeliveryState::Deferred | DeliveryState::Misrouted)
        };
        // [3464-2.3.9] A clock that stands still puts it off.
        let until = stats.pauses.expires(entry.arrived, delivery.retention, now);
        let (mut told, mut recipients) = (Vec::new(), Vec::new());
        for status in entry.recipients.iter().filter(|status| waits(status.state)) {
            let Some(recipient) = entry.envelope.recipients.get(usize::from(status.index)) else { continue };
            if policy::wants(Kind::Delayed, recipient.notify) {
                recipients.push(status.index);
                let (reply, remote) = (status.last_reply.clone(), hop_on_file(delivery));
                let until = Some(until);
                told.push(Told { recipient, reply, expired: false, remote, attempted: None, until });
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let original = read(&self.clerk.post, entry, false).await?;
        if original.as_ref().is_some_and(super::original::Original::is_automatic) {
            return Ok(());
        }
        let draft = Draft { kind: Kind::Delayed, to, told: &told, recipients: &recipients, now, dead };
        match draft.post_about(&self.clerk.post, settings, entry, original.as_ref()).await {
            Ok(id) => events::notice(Kind::Delayed.action(), &entry.key, id, to, recipients.len()),
            Err(PostError::Store(error)) => return Err(error),
            // [3461-5.2.5] Nobody has a claim to be told of a delay.
            Err(PostError::NoQueue | PostError::TooMany) => {}
        }
        Ok(())
    }
}

/// How far a cursor came in this domain.
fn place(cursor: &Cursor, domain: &Domain) -> Option<QueueId> {
    let text = cursor.encode();
    let (id, of) = text.split_once('/')?;
    (of == domain.as_str()).then(|| id.parse().ok()).flatten()
}
