//! A store that counts and holds, but keeps no mail: the desk asks it for nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use restante_queue::{
    Conclusion, ContentBuffer, ContentReader, Cursor, DomainLease, DomainStats, DrainCause, DrainReport,
    DrainRequests, Entry, EntryKey, Filter, Health, HoldNote, HoldOrder, IndexHealth, IntakeHealth,
    LeaseAnswer, ListPage, NewMessage, QueueStore, Receipt, Scope, Settlement, Started, StoreError, Work,
};
use restante_turn::PrimaryAddresses;
use restante_types::{Domain, QueueId, UnixMillis};
use tokio::sync::mpsc;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) messages: BTreeMap<Domain, u64>,
    pub(crate) held: BTreeMap<Domain, HoldNote>,
    pub(crate) draining: BTreeSet<Domain>,
    pub(crate) oldest: BTreeMap<Domain, UnixMillis>,
    pub(crate) rebuilding: bool,
    pub(crate) started: Vec<(Domain, DrainCause)>,
    pub(crate) asked: u64,
}

#[derive(Default)]
pub(crate) struct FakeStore(pub(crate) Mutex<State>);

/// Addresses of primaries, and how often they were asked for.
#[derive(Default)]
pub(crate) struct FakePrimaries(pub(crate) BTreeMap<Domain, IpAddr>);

impl PrimaryAddresses for FakePrimaries {
    fn is_primary(&self, domain: &Domain, address: IpAddr) -> bool {
        self.0.get(domain) == Some(&address)
    }
}

fn no<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("a fake keeps no mail".into()))
}

impl FakeStore {
    fn stats_in(state: &State, domain: &Domain) -> DomainStats {
        DomainStats {
            domain: domain.clone(),
            messages: state.messages.get(domain).copied().unwrap_or_default(),
            bytes: 0,
            oldest: state.oldest.get(domain).copied(),
            newest: None,
            parked: BTreeMap::new(),
            held: state.held.get(domain).cloned(),
            next_attempt: None,
            last_drain: None,
            draining: None,
            pauses: restante_queue::Pauses::default(),
        }
    }
}

#[async_trait]
impl QueueStore for FakeStore {
    fn mint(&self, _: UnixMillis) -> QueueId {
        QueueId::MIN
    }
    fn begin_content(&self) -> ContentBuffer {
        ContentBuffer::default()
    }
    fn ready_for_mail(&self, _: u64) -> Result<(), StoreError> {
        no()
    }
    async fn accept(&self, _: NewMessage) -> Result<Receipt, StoreError> {
        no()
    }
    async fn open_content(&self, _: &EntryKey) -> Result<ContentReader, StoreError> {
        no()
    }
    async fn get(&self, _: &EntryKey) -> Result<Entry, StoreError> {
        no()
    }
    async fn list(&self, _: &Filter, _: Option<&Cursor>, _: usize) -> Result<ListPage, StoreError> {
        no()
    }
    fn stats(&self, domain: &Domain) -> DomainStats {
        let mut state = self.0.lock().unwrap();
        state.asked += 1;
        Self::stats_in(&state, domain)
    }
    fn stats_page(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        let mut state = self.0.lock().unwrap();
        state.asked += 1;
        let behind = state.messages.keys().filter(|name| after.is_none_or(|after| *name > after));
        behind.take(limit).map(|name| Self::stats_in(&state, name)).collect()
    }
    fn queues_below(&self, top: &Domain, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        let end = format!(".{top}");
        let mut state = self.0.lock().unwrap();
        state.asked += 1;
        let behind = state.messages.keys().filter(|name| after.is_none_or(|after| *name > after));
        let below = behind.filter(|name| name.as_str().ends_with(&end));
        below.take(limit).map(|name| Self::stats_in(&state, name)).collect()
    }
    fn start_drain(&self, domain: &Domain, cause: DrainCause) -> Result<Started, StoreError> {
        let mut state = self.0.lock().unwrap();
        if state.rebuilding {
            return no();
        }
        state.started.push((domain.clone(), cause));
        let messages = state.messages.get(domain).copied().unwrap_or_default();
        Ok(Started { messages, running: state.draining.contains(domain) })
    }
    fn watch(&self) -> DrainRequests {
        mpsc::unbounded_channel().1
    }
    async fn lease(&self, _: &Domain, _: DrainCause) -> Result<LeaseAnswer, StoreError> {
        no()
    }
    async fn due(
        &self,
        _: &DomainLease,
        _: Scope,
        _: Option<QueueId>,
        _: usize,
    ) -> Result<Vec<Work>, StoreError> {
        no()
    }
    async fn settle(&self, _: &DomainLease, _: Vec<Settlement>) -> Result<(), StoreError> {
        no()
    }
    fn asked_again(&self, _: &DomainLease) -> Option<DrainCause> {
        None
    }
    fn is_fenced(&self, _: &DomainLease) -> bool {
        false
    }
    async fn end_lease(&self, _: DomainLease, _: DrainReport) -> Result<(), StoreError> {
        no()
    }
    async fn hold_domain(&self, _: &Domain, _: HoldOrder) -> Result<(), StoreError> {
        no()
    }
    async fn release_domain(&self, _: &Domain) -> Result<bool, StoreError> {
        no()
    }
    fn held_domains(&self) -> Vec<(Domain, HoldNote)> {
        self.0.lock().unwrap().held.clone().into_iter().collect()
    }
    async fn hold(&self, _: &[EntryKey], _: &str) -> Result<u64, StoreError> {
        no()
    }
    async fn release(&self, _: &[EntryKey]) -> Result<u64, StoreError> {
        no()
    }
    async fn conclude(&self, _: &EntryKey, _: &[u16], _: Conclusion) -> Result<u64, StoreError> {
        no()
    }
    async fn unreported(&self, _: &Domain, _: Option<QueueId>, _: usize) -> Result<Vec<Entry>, StoreError> {
        no()
    }
    fn delay_mark(&self, _: &Domain) -> Option<QueueId> {
        None
    }
    async fn set_delay_mark(&self, _: &Domain, _: QueueId) -> Result<(), StoreError> {
        no()
    }
    async fn delete(&self, _: &[EntryKey], _: &str) -> Result<u64, StoreError> {
        no()
    }
    async fn restore(&self, _: &[EntryKey]) -> Result<u64, StoreError> {
        no()
    }
    async fn reset_retries(&self, _: &Domain) -> Result<(), StoreError> {
        no()
    }
    async fn expire(&self, _: &Domain, _: UnixMillis, _: usize) -> Result<Vec<EntryKey>, StoreError> {
        no()
    }
    async fn purge(
        &self,
        _: &Domain,
        _: UnixMillis,
        _: UnixMillis,
        _: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        no()
    }
    fn domains_due(&self, _: UnixMillis, _: usize) -> Vec<Domain> {
        Vec::new()
    }
    fn next_due(&self) -> Option<UnixMillis> {
        None
    }
    async fn backup(&self, _: &Path) -> Result<u64, StoreError> {
        no()
    }
    fn health(&self) -> Health {
        Health {
            intake: IntakeHealth::Open,
            index: match self.0.lock().unwrap().rebuilding {
                true => IndexHealth::Rebuilding { done: 1, total: 2 },
                false => IndexHealth::Ready,
            },
            free_bytes: None,
            low_water_bytes: None,
            inodes: None,
            messages: 0,
            damaged: 0,
            clock_doubted: false,
        }
    }
    async fn close(&self) {}
}
