//! The store and the policy, with what goes through them counted.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use restante_admin::{Became, Metrics};
use restante_queue::{
    Conclusion, ContentBuffer, ContentReader, Cursor, Destination, DomainLease, DomainStats, DrainCause,
    DrainReport, DrainRequests, Entry, EntryKey, Filter, Health, HoldNote, HoldOrder, LeaseAnswer, ListPage,
    NewMessage, Outcome, QueueStore, Receipt, Scope, Settlement, Started, StoreError, Work,
};
use restante_server::{Authority, Collect, Decision};
use restante_smtp::{
    ContentFacts, EtrnAnswer, EtrnTarget, Evidence, Identity, MailCommand, RcptCommand, ScramKeys,
    Transaction,
};
use restante_turn::Peer;
use restante_types::{ClientFacts, Domain, Envelope, QueueId, Recipient, UnixMillis};

use crate::alarms::Alarms;

/// Counts what is accepted, and what becomes of it: only what the store confirmed.
pub(super) struct CountedStore {
    /// The store itself.
    pub(super) store: Arc<dyn QueueStore>,
    /// Where it is counted.
    pub(super) metrics: Arc<Metrics>,
    /// Knows which configured domain a queue belongs to.
    pub(super) alarms: Alarms,
}

impl CountedStore {
    fn settled(&self, queue: &Domain, outcomes: [u64; 3], all: bool) {
        let became = [Became::Delivered, Became::Deferred, Became::Failed];
        let told = became.into_iter().zip(outcomes).take(if all { 3 } else { 1 });
        for (became, count) in told.filter(|(_, count)| *count > 0) {
            self.metrics.became(self.alarms.label(queue), became, count);
        }
    }
}

/// How many were delivered, deferred and failed.
fn counts(settlements: &[Settlement]) -> [u64; 3] {
    let mut counts = [0; 3];
    for (_, outcome) in settlements.iter().flat_map(|settlement| &settlement.outcomes) {
        counts[match outcome {
            Outcome::Delivered => 0,
            Outcome::Deferred { .. } => 1,
            Outcome::Failed { .. } => 2,
        }] += 1;
    }
    counts
}

#[async_trait]
impl QueueStore for CountedStore {
    async fn accept(&self, message: NewMessage) -> Result<Receipt, StoreError> {
        let size = message.content.len();
        // A notice that is kept is no mail of the domain's.
        let sent = message.destinations.iter().filter(|destination| !destination.dead);
        let labels: Vec<String> = sent.map(|destination| self.alarms.label(&destination.domain)).collect();
        let accepted = self.store.accept(message).await;
        match &accepted {
            Ok(_) => labels.into_iter().for_each(|label| self.metrics.accepted(label, size)),
            Err(_) => self.metrics.refused("store"),
        }
        accepted
    }

    async fn lease(&self, domain: &Domain, cause: DrainCause) -> Result<LeaseAnswer, StoreError> {
        let answer = self.store.lease(domain, cause).await?;
        if matches!(answer, LeaseAnswer::Leased(_)) {
            self.metrics.drained(self.alarms.label(domain), &cause.to_string());
        }
        Ok(answer)
    }

    async fn settle(&self, lease: &DomainLease, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        let counts = counts(&settlements);
        let settled = self.store.settle(lease, settlements).await;
        match &settled {
            Ok(()) => self.settled(lease.domain(), counts, true),
            Err(StoreError::Fenced) => self.settled(lease.domain(), counts, false),
            Err(_) => {}
        }
        settled
    }

    async fn expire(
        &self,
        domain: &Domain,
        cutoff: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        let expired = self.store.expire(domain, cutoff, limit).await?;
        if !expired.is_empty() {
            self.metrics.became(self.alarms.label(domain), Became::Expired, expired.len() as u64);
        }
        Ok(expired)
    }

    fn mint(&self, now: UnixMillis) -> QueueId {
        self.store.mint(now)
    }

    fn begin_content(&self) -> ContentBuffer {
        self.store.begin_content()
    }

    fn ready_for_mail(&self, size: u64) -> Result<(), StoreError> {
        self.store.ready_for_mail(size)
    }

    async fn open_content(&self, key: &EntryKey) -> Result<ContentReader, StoreError> {
        self.store.open_content(key).await
    }

    async fn get(&self, key: &EntryKey) -> Result<Entry, StoreError> {
        self.store.get(key).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.store.list(filter, after, limit).await
    }

    fn stats(&self, domain: &Domain) -> DomainStats {
        self.store.stats(domain)
    }

    fn stats_page(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        self.store.stats_page(after, limit)
    }

    fn queues_below(&self, domain: &Domain, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        self.store.queues_below(domain, after, limit)
    }

    fn start_drain(&self, domain: &Domain, cause: DrainCause) -> Result<Started, StoreError> {
        self.store.start_drain(domain, cause)
    }

    fn watch(&self) -> DrainRequests {
        self.store.watch()
    }

    async fn due(
        &self,
        lease: &DomainLease,
        scope: Scope,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Work>, StoreError> {
        self.store.due(lease, scope, after, limit).await
    }

    fn asked_again(&self, lease: &DomainLease) -> Option<DrainCause> {
        self.store.asked_again(lease)
    }

    fn is_fenced(&self, lease: &DomainLease) -> bool {
        self.store.is_fenced(lease)
    }

    async fn end_lease(&self, lease: DomainLease, report: DrainReport) -> Result<(), StoreError> {
        self.store.end_lease(lease, report).await
    }

    async fn hold_domain(&self, domain: &Domain, order: HoldOrder) -> Result<(), StoreError> {
        self.store.hold_domain(domain, order).await
    }

    async fn release_domain(&self, domain: &Domain) -> Result<bool, StoreError> {
        self.store.release_domain(domain).await
    }

    fn held_domains(&self) -> Vec<(Domain, HoldNote)> {
        self.store.held_domains()
    }

    fn holds_over(&self, now: UnixMillis) -> Vec<Domain> {
        self.store.holds_over(now)
    }

    async fn hold(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        self.store.hold(keys, reason).await
    }

    async fn release(&self, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.store.release(keys).await
    }

    async fn conclude(&self, key: &EntryKey, recipients: &[u16], how: Conclusion) -> Result<u64, StoreError> {
        self.store.conclude(key, recipients, how).await
    }

    async fn unreported(
        &self,
        domain: &Domain,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.store.unreported(domain, after, limit).await
    }

    fn delay_mark(&self, domain: &Domain) -> Option<QueueId> {
        self.store.delay_mark(domain)
    }

    async fn set_delay_mark(&self, domain: &Domain, mark: QueueId) -> Result<(), StoreError> {
        self.store.set_delay_mark(domain, mark).await
    }

    async fn delete(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        self.store.delete(keys, reason).await
    }

    async fn restore(&self, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.store.restore(keys).await
    }

    async fn reset_retries(&self, domain: &Domain) -> Result<(), StoreError> {
        self.store.reset_retries(domain).await
    }

    async fn purge(
        &self,
        domain: &Domain,
        deleted_before: UnixMillis,
        parked_before: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        self.store.purge(domain, deleted_before, parked_before, limit).await
    }

    fn domains_due(&self, now: UnixMillis, limit: usize) -> Vec<Domain> {
        self.store.domains_due(now, limit)
    }

    fn next_due(&self) -> Option<UnixMillis> {
        self.store.next_due()
    }

    async fn backup(&self, to: &Path) -> Result<u64, StoreError> {
        self.store.backup(to).await
    }

    fn health(&self) -> Health {
        self.store.health()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

/// Counts what is refused.
pub(super) struct CountedAuthority {
    /// Who decides.
    pub(super) authority: Arc<dyn Authority>,
    /// Where it is counted.
    pub(super) metrics: Arc<Metrics>,
}

impl CountedAuthority {
    fn counted<'a, T: 'a>(&'a self, at: &'static str, decision: Decision<'a, T>) -> Decision<'a, T> {
        match decision {
            Decision::Now(answer) => Decision::Now(answer.inspect_err(|_| self.metrics.refused(at))),
            Decision::Later(work) => {
                Decision::Later(Box::pin(async move { work.await.inspect_err(|_| self.metrics.refused(at)) }))
            }
        }
    }
}

impl Authority for CountedAuthority {
    fn connect<'a>(&'a self, client: &'a ClientFacts) -> Decision<'a, ()> {
        self.counted("connect", self.authority.connect(client))
    }

    fn mail<'a>(&'a self, client: &'a ClientFacts, mail: &'a MailCommand) -> Decision<'a, ()> {
        self.counted("mail", self.authority.mail(client, mail))
    }

    fn rcpt<'a>(
        &'a self,
        client: &'a ClientFacts,
        transaction: &'a Transaction,
        rcpt: &'a RcptCommand,
    ) -> Decision<'a, Recipient> {
        self.counted("rcpt", self.authority.rcpt(client, transaction, rcpt))
    }

    fn begin<'a>(&'a self, client: &'a ClientFacts, transaction: &'a Transaction) -> Decision<'a, ()> {
        self.counted("content", self.authority.begin(client, transaction))
    }

    fn content<'a>(
        &'a self,
        client: &'a ClientFacts,
        envelope: &'a Envelope,
        facts: ContentFacts,
        arrived: UnixMillis,
    ) -> Decision<'a, Vec<Destination>> {
        self.counted("content", self.authority.content(client, envelope, facts, arrived))
    }

    fn etrn<'a>(
        &'a self,
        client: &'a ClientFacts,
        target: &'a EtrnTarget,
        now: Instant,
    ) -> Decision<'a, EtrnAnswer> {
        self.authority.etrn(client, target, now)
    }

    fn scram_keys<'a>(&'a self, peer: &'a Peer, name: &'a str, now: Instant) -> Decision<'a, ScramKeys> {
        self.authority.scram_keys(peer, name, now)
    }

    fn auth<'a>(&'a self, peer: Peer, evidence: Evidence, now: Instant) -> Decision<'a, Identity> {
        self.counted("auth", self.authority.auth(peer, evidence, now))
    }

    fn atrn<'a>(
        &'a self,
        client: &'a ClientFacts,
        named: Vec<Domain>,
        now: Instant,
    ) -> Decision<'a, Collect> {
        self.authority.atrn(client, named, now)
    }

    fn turn<'a>(&'a self, client: &'a ClientFacts) -> Decision<'a, Collect> {
        self.authority.turn(client)
    }

    fn owns(&self, identity: &str, domain: &Domain) -> bool {
        self.authority.owns(identity, domain)
    }
}
