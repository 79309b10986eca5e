//! Failed and expired mail, reported: the notice is accepted first, then the matter is ended. Whatever crashes between
//! the two is repeated under the same id, which stores nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use restante_queue::{Conclusion, Entry, EntryKey, StoreError};
use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};
use tokio::time::{Instant, sleep, timeout_at};

use super::clerk::Clerk;
use super::policy::{self, Group, Verdict};
use super::post::PostError;
use super::status::{Kind, Told};
use super::write::{Draft, hop_on_file};
use crate::events;
use crate::limits::{HOUSEKEEPING_DOMAINS, NOTICES_LATER, NOTICES_PAGE, NOTICES_ROUND, NOTICES_SHARE};
use crate::returns::Returns;
use crate::settings::{DeliverySettings, DomainDelivery, On5xx};

/// Reports, one entry after the other.
pub(crate) struct Notifier {
    clerk: Clerk,
    returns: Returns,
    /// Domains in which something must wait: stopped, withheld, or the store failed.
    later: BTreeSet<Domain>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing is left to do now.
    Done,
    /// Something has to wait.
    Later,
}

impl Notifier {
    pub(crate) const fn new(clerk: Clerk, returns: Returns) -> Self {
        Self { clerk, returns, later: BTreeSet::new() }
    }

    pub(crate) async fn run(mut self) {
        let (mut round, mut pause) = (Instant::now() + NOTICES_LATER, NOTICES_LATER);
        let mut again = Instant::now();
        loop {
            let begun = Instant::now();
            self.pass(begun >= again).await;
            if begun >= again {
                // Where very much has to wait, the looks at it must not be all that is done.
                again = Instant::now() + NOTICES_LATER.max(begun.elapsed() * NOTICES_SHARE);
            }
            // Either way it is looked again.
            let _ = timeout_at(again, self.clerk.changed()).await;
            if Instant::now() >= round {
                // After a crash the store finds out bit by bit what had failed before it: soon at first, then seldom.
                pause = (pause * 2).min(NOTICES_ROUND);
                round = Instant::now() + pause;
                self.clerk.look_again();
            }
            // Failures come in crowds: a moment's wait is one look for many.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything that can be told now; what had to wait only where `again` says so, for it may be much.
    pub(crate) async fn pass(&mut self, again: bool) {
        let overflow = self.clerk.take_overflow();
        if overflow {
            self.look_through().await;
        }
        while let Some(key) = self.clerk.next() {
            let domain = key.domain.clone();
            if !self.later.contains(&domain) && self.look_at(&key).await == Seen::Later {
                self.later.insert(domain);
            }
        }
        if !again && !overflow {
            return;
        }
        for domain in std::mem::take(&mut self.later) {
            if self.look_into(&domain).await == Seen::Later {
                self.later.insert(domain);
            }
        }
    }

    /// All domains that have something parked.
    async fn look_through(&mut self) {
        let mut after: Option<Domain> = None;
        loop {
            let page = self.clerk.post.store.stats_page(after.as_ref(), HOUSEKEEPING_DOMAINS);
            let Some(last) = page.last() else { return };
            after = Some(last.domain.clone());
            for stats in page {
                let has = |state| stats.parked.get(&state).is_some_and(|count| *count > 0);
                let refused = has(DeliveryState::Failed) && !self.keeps_refused(&stats.domain);
                if refused || has(DeliveryState::Expired) {
                    self.later.insert(stats.domain);
                }
            }
        }
    }

    /// What is refused there stays parked for the operator, however much it is.
    fn keeps_refused(&self, domain: &Domain) -> bool {
        let settings = self.clerk.post.settings.load();
        let rules = settings.domains.find(domain).map(|(_, delivery)| delivery.on_5xx);
        rules == Some(On5xx::Hold) && domain.notices_to().is_none()
    }

    /// One domain, page by page.
    async fn look_into(&self, domain: &Domain) -> Seen {
        let Some((settings, delivery)) = self.may_tell(domain) else { return self.waits(domain) };
        let (mut after, mut seen): (Option<QueueId>, _) = (None, Seen::Done);
        loop {
            let page = match self.clerk.post.store.unreported(domain, after, NOTICES_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    events::notices_wait(domain, &error);
                    return Seen::Later;
                }
            };
            let Some(last) = page.last() else { return seen };
            after = Some(last.key.id);
            for entry in &page {
                match self.report(&settings, &delivery, entry).await {
                    Ok(Seen::Done) => {}
                    Ok(Seen::Later) => seen = Seen::Later,
                    Err(error) => {
                        events::notices_wait(domain, &error);
                        return Seen::Later;
                    }
                }
            }
        }
    }

    /// One entry.
    async fn look_at(&self, key: &EntryKey) -> Seen {
        let Some((settings, delivery)) = self.may_tell(&key.domain) else { return self.waits(&key.domain) };
        let seen = match self.clerk.post.store.get(key).await {
            Ok(entry) => self.report(&settings, &delivery, &entry).await,
            Err(StoreError::NotFound) => Ok(Seen::Done),
            Err(error) => Err(error),
        };
        seen.unwrap_or_else(|error| {
            events::notices_wait(&key.domain, &error);
            Seen::Later
        })
    }

    /// Whether anything of a domain may be told now, and by which rules. Nothing of one that is stopped, by whomever: the
    /// mail may yet be delivered. Nothing of one that is not configured: it waits for the operator.
    fn may_tell(&self, domain: &Domain) -> Option<(std::sync::Arc<DeliverySettings>, DomainDelivery)> {
        let settings = self.clerk.post.settings.load_full();
        let delivery = settings.domains.find(domain).map(|(_, delivery)| delivery.clone())?;
        let stats = self.clerk.post.store.stats(domain);
        stats.held.is_none().then_some((settings, delivery))
    }

    /// A stop ends some day; a domain that is not configured comes back with new settings, which make us look again.
    fn waits(&self, domain: &Domain) -> Seen {
        let configured = self.clerk.post.settings.load().domains.find(domain).is_some();
        if configured { Seen::Later } else { Seen::Done }
    }

    async fn report(
        &self,
        settings: &DeliverySettings,
        delivery: &DomainDelivery,
        entry: &Entry,
    ) -> Result<Seen, StoreError> {
        // What the operator stopped may yet be delivered.
        if entry.held.is_some() {
            return Ok(Seen::Later);
        }
        let now = (self.clerk.post.clock)();
        let mut seen = Seen::Done;
        for group in policy::unreported(entry) {
            if !group.expired && delivery.on_5xx == On5xx::Hold && entry.key.domain.notices_to().is_none() {
                continue;
            }
            let refusal = self.clerk.refusal(&entry.key);
            let refused_at = refusal.map_or_else(|| self.clerk.unknown_since(), |refusal| refusal.at);
            if !group.expired && self.returns.withholds(&entry.key.domain, refused_at, now) {
                seen = Seen::Later;
                continue;
            }
            self.end(settings, delivery, entry, &group, now).await?;
        }
        if seen == Seen::Done {
            self.clerk.done(&entry.key);
        }
        Ok(seen)
    }

    /// Tells who wants to know and may; the rest become dead letters. [3461-5.2.8] A notice says nothing of those.
    async fn end(
        &self,
        settings: &DeliverySettings,
        delivery: &DomainDelivery,
        entry: &Entry,
        group: &Group<'_>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (wanting, others): (Vec<_>, Vec<_>) =
            group.recipients.iter().partition(|(_, recipient)| policy::wants(Kind::Failed, recipient.notify));
        let verdict = policy::verdict(settings, delivery.notices, &entry.envelope.sender, entry.vouched);
        let mut dead: Vec<u16> = others.iter().map(|(status, _)| status.index).collect();
        let indices: Vec<u16> = wanting.iter().map(|(status, _)| status.index).collect();
        match verdict {
            Verdict::Send(to) if !indices.is_empty() => {
                let told: Vec<Told<'_>> = wanting
                    .iter()
                    .map(|(status, recipient)| Told {
                        recipient,
                        reply: status.last_reply.clone(),
                        expired: group.expired,
                        remote: self.remote(delivery, entry, group.expired),
                        attempted: self.attempted(entry, group.expired),
                        until: None,
                    })
                    .collect();
                let draft =
                    Draft { kind: Kind::Failed, to, told: &told, recipients: &indices, now, dead: false };
                match draft.post(&self.clerk.post, settings, entry).await {
                    Ok(id) => {
                        self.conclude(entry, &indices, Conclusion::Reported).await?;
                        events::notice(Kind::Failed.action(), &entry.key, id, to, indices.len());
                    }
                    Err(PostError::Store(error)) => return Err(error),
                    Err(PostError::NoQueue | PostError::TooMany) => dead.extend(indices),
                }
            }
            _ => dead.extend(indices),
        }
        if !dead.is_empty() {
            self.conclude(entry, &dead, Conclusion::Dead).await?;
            events::dead_letter(&entry.key, dead.len(), entry.vouched);
            self.clerk.post.witness.notice(Kind::Failed.action(), true);
        }
        Ok(())
    }

    async fn conclude(&self, entry: &Entry, recipients: &[u16], how: Conclusion) -> Result<u64, StoreError> {
        self.clerk.post.store.conclude(&entry.key, recipients, how).await
    }

    /// [3461-6.3-h] Who refused it: as the courier saw it, otherwise the primary on file.
    fn remote(&self, delivery: &DomainDelivery, entry: &Entry, expired: bool) -> Option<String> {
        let seen = self.clerk.refusal(&entry.key).filter(|_| !expired).map(|refusal| refusal.remote);
        seen.or_else(|| hop_on_file(delivery))
    }

    fn attempted(&self, entry: &Entry, expired: bool) -> Option<UnixMillis> {
        self.clerk.refusal(&entry.key).filter(|_| !expired).map(|refusal| refusal.at)
    }
}
