//! A queue in memory: what `QueueStore` promises to a drain, and a record of what was asked of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use restante_queue::{
    Conclusion, ContentBuffer, ContentReader, Cursor, DomainLease, DomainStats, DrainCause, DrainProgress,
    DrainReport, DrainRequest, DrainRequests, Entry, EntryKey, Filter, Health, HoldKind, HoldNote, HoldOrder,
    LeaseAnswer, ListPage, NewMessage, Pauses, QueueStore, Receipt, Scope, Settlement, Started, StoreError,
    Work,
};
use restante_types::{DeliveryState, Domain, QueueId, UnixMillis, Vouched};
use tokio::sync::mpsc;

use super::row::Row;

#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) rows: BTreeMap<QueueId, Row>,
    pub(crate) leased: Option<u64>,
    pub(crate) again: Option<DrainCause>,
    pub(crate) held: Option<HoldNote>,
    pub(crate) not_before: Option<UnixMillis>,
    pub(crate) pauses: Pauses,
    pub(crate) reports: Vec<DrainReport>,
}

#[derive(Default)]
pub(crate) struct Inside {
    pub(crate) queues: BTreeMap<Domain, Queue>,
    pub(crate) generation: u64,
    /// Settlements per call of `settle`.
    pub(crate) settled: Vec<usize>,
    /// Entries handed out by `due`.
    pub(crate) read: usize,
    /// So many calls of `settle` fail from now on.
    pub(crate) settle_fails: usize,
    /// So many calls of `hold_domain` fail from now on.
    pub(crate) hold_fails: usize,
    /// Time of one look at the disk.
    pub(crate) disk: Duration,
    /// Calls of `open_content`.
    pub(crate) opened: usize,
    /// What cannot be read.
    pub(crate) damaged: HashSet<QueueId>,
    /// What is read from elsewhere.
    pub(crate) elsewhere: HashMap<QueueId, restante_queue::SealedContent>,
    pub(crate) requests: Option<mpsc::UnboundedSender<DrainRequest>>,
}

#[derive(Clone, Default)]
pub(crate) struct FakeStore(Arc<Mutex<Inside>>);

struct Guard {
    store: FakeStore,
    domain: Domain,
    generation: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut inside = self.store.inside();
        let queue = inside.queue(&self.domain);
        if queue.leased == Some(self.generation) {
            queue.leased = None;
        }
    }
}

impl Inside {
    pub(crate) fn queue(&mut self, domain: &Domain) -> &mut Queue {
        self.queues.entry(domain.clone()).or_default()
    }
}

impl FakeStore {
    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    pub(crate) fn row(&self, domain: &Domain, id: QueueId) -> Row {
        self.inside().queue(domain).rows[&id].clone()
    }

    /// Messages that still wait.
    pub(crate) fn waiting(&self, domain: &Domain) -> usize {
        self.inside().queue(domain).rows.values().filter(|row| !row.waiting().is_empty()).count()
    }

    pub(crate) fn reports(&self, domain: &Domain) -> Vec<DrainReport> {
        self.inside().queue(domain).reports.clone()
    }

    fn check(inside: &mut Inside, lease: &DomainLease) -> Result<(), StoreError> {
        match inside.queue(lease.domain()).leased {
            Some(generation) if generation == lease.generation() => Ok(()),
            _ => Err(StoreError::Fenced),
        }
    }
}

fn note(order: HoldOrder) -> HoldNote {
    let HoldOrder { kind, reason, until, pause_retention } = order;
    HoldNote { kind, reason, since: UnixMillis::EPOCH, until, pause_retention }
}

/// What every message says.
pub(crate) fn content(id: QueueId) -> String {
    format!("Subject: {id}\r\n\r\n.a line that wants stuffing\r\n")
}

const NOT_HERE: &str = "not part of this test";

#[async_trait]
impl QueueStore for FakeStore {
    fn mint(&self, _now: UnixMillis) -> QueueId {
        unreachable!("{NOT_HERE}")
    }

    fn begin_content(&self) -> ContentBuffer {
        unreachable!("{NOT_HERE}")
    }

    fn ready_for_mail(&self, _size: u64) -> Result<(), StoreError> {
        unreachable!("{NOT_HERE}")
    }

    async fn accept(&self, _message: NewMessage) -> Result<Receipt, StoreError> {
        unreachable!("{NOT_HERE}")
    }

    async fn open_content(&self, key: &EntryKey) -> Result<ContentReader, StoreError> {
        let wait = {
            let mut inside = self.inside();
            inside.opened += 1;
            inside.disk
        };
        tokio::time::sleep(wait).await;
        if self.inside().damaged.contains(&key.id) {
            return Err(StoreError::Damaged("on purpose".to_owned()));
        }
        if let Some(content) = self.inside().elsewhere.get(&key.id) {
            return Ok(content.reader());
        }
        Ok(ContentReader::from(Bytes::from(content(key.id))))
    }

    async fn get(&self, _key: &EntryKey) -> Result<Entry, StoreError> {
        Err(StoreError::Unavailable(NOT_HERE.to_owned()))
    }

    async fn list(
        &self,
        _filter: &Filter,
        _after: Option<&Cursor>,
        _limit: usize,
    ) -> Result<ListPage, StoreError> {
        Err(StoreError::Unavailable(NOT_HERE.to_owned()))
    }

    fn stats(&self, domain: &Domain) -> DomainStats {
        let messages = self.waiting(domain) as u64;
        let mut inside = self.inside();
        let queue = inside.queue(domain);
        let arrivals = |row: &&Row| !row.waiting().is_empty();
        let mut parked = BTreeMap::new();
        for row in queue.rows.values().filter(|row| row.waiting().is_empty()) {
            *parked.entry(row.states[0]).or_insert(0) += 1;
        }
        DomainStats {
            domain: domain.clone(),
            messages,
            bytes: 0,
            oldest: queue.rows.values().filter(arrivals).map(|row| row.arrived).min(),
            newest: None,
            parked,
            held: queue.held.clone(),
            next_attempt: None,
            last_drain: None,
            draining: queue.leased.map(|_| DrainProgress {
                cause: DrainCause::Etrn,
                since: UnixMillis::EPOCH,
                delivered: 0,
                deferred: 0,
                failed: 0,
            }),
            pauses: queue.pauses.clone(),
        }
    }

    fn stats_page(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        let domains: Vec<Domain> = self.inside().queues.keys().cloned().collect();
        let behind = domains.iter().filter(|domain| after.is_none_or(|after| *domain > after));
        behind.take(limit).map(|domain| self.stats(domain)).collect()
    }

    fn queues_below(&self, top: &Domain, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        let end = format!(".{top}");
        let below = self.stats_page(after, usize::MAX).into_iter();
        below.filter(|stats| stats.domain.as_str().ends_with(&end)).take(limit).collect()
    }

    fn start_drain(&self, domain: &Domain, cause: DrainCause) -> Result<Started, StoreError> {
        let messages = self.waiting(domain) as u64;
        let mut inside = self.inside();
        let queue = inside.queue(domain);
        let running = queue.leased.is_some();
        if running {
            queue.again = Some(cause);
        } else if let Some(requests) = &inside.requests {
            let _ = requests.send(DrainRequest { domain: domain.clone(), cause });
        }
        Ok(Started { messages, running })
    }

    fn watch(&self) -> DrainRequests {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inside().requests = Some(sender);
        receiver
    }

    async fn lease(&self, domain: &Domain, cause: DrainCause) -> Result<LeaseAnswer, StoreError> {
        let mut inside = self.inside();
        inside.generation += 1;
        let generation = inside.generation;
        let queue = inside.queue(domain);
        if queue.held.is_some() {
            return Ok(LeaseAnswer::Held);
        }
        if queue.leased.is_some() {
            queue.again = Some(cause);
            return Ok(LeaseAnswer::Busy);
        }
        queue.leased = Some(generation);
        queue.again = None;
        let guard = Guard { store: self.clone(), domain: domain.clone(), generation };
        Ok(LeaseAnswer::Leased(DomainLease::new(domain.clone(), generation, Arc::new(guard))))
    }

    async fn due(
        &self,
        lease: &DomainLease,
        scope: Scope,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Work>, StoreError> {
        tokio::task::yield_now().await;
        let mut inside = self.inside();
        Self::check(&mut inside, lease)?;
        let queue = inside.queue(lease.domain());
        let due = |row: &Row| match scope {
            Scope::All => true,
            Scope::DueBy(now) => row.next_attempt.is_some_and(|at| at <= now),
        };
        let rows = queue.rows.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        let rows = rows.filter(|(_, row)| due(row) && !row.waiting().is_empty()).take(limit);
        let page: Vec<Work> = rows
            .map(|(id, row)| Work {
                id: *id,
                envelope: row.envelope.clone(),
                size: row.size,
                arrived: row.arrived,
                waiting: row.waiting(),
                attempts: row.attempts,
                client: row.client.clone(),
                vouched: Vouched::Unchecked,
            })
            .collect();
        inside.read += page.len();
        Ok(page)
    }

    async fn settle(&self, lease: &DomainLease, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        let mut inside = self.inside();
        if inside.settle_fails > 0 {
            inside.settle_fails -= 1;
            return Err(StoreError::Unavailable("disk".to_owned()));
        }
        Self::check(&mut inside, lease)?;
        inside.settled.push(settlements.len());
        let queue = inside.queue(lease.domain());
        for settlement in settlements {
            let row = queue.rows.get_mut(&settlement.id).unwrap();
            row.attempts += 1;
            for (index, outcome) in &settlement.outcomes {
                assert!(row.states[usize::from(*index)].waits(), "settled twice");
                row.take(*index, outcome);
            }
        }
        Ok(())
    }

    fn asked_again(&self, lease: &DomainLease) -> Option<DrainCause> {
        self.inside().queue(lease.domain()).again.take()
    }

    fn is_fenced(&self, lease: &DomainLease) -> bool {
        let mut inside = self.inside();
        inside.queue(lease.domain()).held.is_some() || Self::check(&mut inside, lease).is_err()
    }

    async fn end_lease(&self, lease: DomainLease, report: DrainReport) -> Result<(), StoreError> {
        let mut inside = self.inside();
        let queue = inside.queue(lease.domain());
        queue.not_before = report.not_before;
        if report.misrouted {
            queue.held = Some(note(HoldOrder::new(HoldKind::Misrouted, "")));
        }
        queue.reports.push(report);
        drop(inside);
        Ok(())
    }

    async fn hold_domain(&self, domain: &Domain, order: HoldOrder) -> Result<(), StoreError> {
        let mut inside = self.inside();
        if inside.hold_fails > 0 {
            inside.hold_fails -= 1;
            return Err(StoreError::Unavailable("disk".to_owned()));
        }
        inside.queue(domain).held = Some(note(order));
        Ok(())
    }

    async fn release_domain(&self, domain: &Domain) -> Result<bool, StoreError> {
        Ok(self.inside().queue(domain).held.take().is_some())
    }

    fn held_domains(&self) -> Vec<(Domain, HoldNote)> {
        let inside = self.inside();
        let held = inside.queues.iter().filter_map(|(domain, queue)| Some((domain, queue.held.as_ref()?)));
        held.map(|(domain, note)| (domain.clone(), note.clone())).collect()
    }

    async fn hold(&self, _keys: &[EntryKey], _reason: &str) -> Result<u64, StoreError> {
        unreachable!("{NOT_HERE}")
    }

    async fn release(&self, keys: &[EntryKey]) -> Result<u64, StoreError> {
        let mut inside = self.inside();
        for key in keys {
            let row = inside.queue(&key.domain).rows.get_mut(&key.id).unwrap();
            for state in row.states.iter_mut().filter(|state| **state == DeliveryState::Failed) {
                *state = DeliveryState::Queued;
            }
        }
        Ok(keys.len() as u64)
    }

    async fn conclude(
        &self,
        _key: &EntryKey,
        _recipients: &[u16],
        _how: Conclusion,
    ) -> Result<u64, StoreError> {
        unreachable!("{NOT_HERE}")
    }

    async fn unreported(
        &self,
        domain: &Domain,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut inside = self.inside();
        let refused = |row: &Row| {
            row.states.contains(&DeliveryState::Failed) || row.states.contains(&DeliveryState::Expired)
        };
        let rows = inside
            .queue(domain)
            .rows
            .iter()
            .filter(|(id, row)| after.is_none_or(|after| **id > after) && refused(row));
        Ok(rows.take(limit).map(|(id, row)| row.entry(domain, *id)).collect())
    }

    fn delay_mark(&self, _domain: &Domain) -> Option<QueueId> {
        None
    }

    async fn set_delay_mark(&self, _domain: &Domain, _mark: QueueId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn delete(&self, _keys: &[EntryKey], _reason: &str) -> Result<u64, StoreError> {
        unreachable!("{NOT_HERE}")
    }

    async fn restore(&self, _keys: &[EntryKey]) -> Result<u64, StoreError> {
        unreachable!("{NOT_HERE}")
    }

    async fn reset_retries(&self, _domain: &Domain) -> Result<(), StoreError> {
        unreachable!("{NOT_HERE}")
    }

    async fn expire(
        &self,
        domain: &Domain,
        cutoff: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        let mut inside = self.inside();
        let rows = inside.queue(domain).rows.iter_mut();
        let old = rows.filter(|(_, row)| row.arrived < cutoff && !row.waiting().is_empty()).take(limit);
        let expire = |(id, row): (&QueueId, &mut Row)| {
            row.states.fill(DeliveryState::Expired);
            EntryKey { domain: domain.clone(), id: *id }
        };
        Ok(old.map(expire).collect())
    }

    async fn purge(
        &self,
        domain: &Domain,
        deleted_before: UnixMillis,
        parked_before: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        let mut inside = self.inside();
        let rows = &mut inside.queue(domain).rows;
        let gone = |row: &Row| match row.states[0] {
            DeliveryState::Deleted => row.arrived < deleted_before,
            DeliveryState::Failed | DeliveryState::Expired => row.arrived < parked_before,
            _ => false,
        };
        let ids: Vec<QueueId> =
            rows.iter().filter(|(_, row)| gone(row)).map(|(id, _)| *id).take(limit).collect();
        Ok(ids
            .into_iter()
            .map(|id| {
                rows.remove(&id);
                EntryKey { domain: domain.clone(), id }
            })
            .collect())
    }

    fn domains_due(&self, now: UnixMillis, limit: usize) -> Vec<Domain> {
        let inside = self.inside();
        let due = inside.queues.iter().filter(|(_, queue)| {
            let row_due =
                |row: &Row| !row.waiting().is_empty() && row.next_attempt.is_some_and(|at| at <= now);
            queue.leased.is_none()
                && queue.held.is_none()
                && queue.not_before.is_none_or(|at| at <= now)
                && queue.rows.values().any(row_due)
        });
        let all = due.map(|(domain, _)| domain.clone());
        let (notices, held): (Vec<_>, Vec<_>) = all.partition(|domain| domain.notices_to().is_some());
        held.into_iter().take(limit).chain(notices.into_iter().take(limit)).collect()
    }

    fn next_due(&self) -> Option<UnixMillis> {
        let inside = self.inside();
        let rows = inside.queues.values().flat_map(|queue| queue.rows.values());
        rows.filter(|row| !row.waiting().is_empty()).filter_map(|row| row.next_attempt).min()
    }

    async fn backup(&self, _to: &Path) -> Result<u64, StoreError> {
        unreachable!("{NOT_HERE}")
    }

    fn health(&self) -> Health {
        unreachable!("{NOT_HERE}")
    }

    async fn close(&self) {}
}
