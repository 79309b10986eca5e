//! A store in memory whose state a test sets as it likes: a drain at any point, any condition, any failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use restante_queue::{
    Conclusion, ContentBuffer, ContentReader, Cursor, DomainLease, DomainStats, DrainCause, DrainProgress,
    DrainReport, DrainRequests, Entry, EntryKey, Filter, Health, HoldNote, HoldOrder, IndexHealth,
    IntakeHealth, LastDrain, LeaseAnswer, ListPage, NewMessage, QueueStore, Receipt, RecipientStatus, Scope,
    SealedContent, Settlement, Started, StoreError, Work,
};
use restante_types::{
    Body, ClientFacts, DeliveryState, Domain, Envelope, Notify, QueueId, Recipient, Reply, Ret, ReversePath,
    UnixMillis, Xtext,
};
use tokio::sync::mpsc;

/// When every test takes place.
pub(crate) const NOW: UnixMillis = UnixMillis(1_769_860_800_000);

#[derive(Debug, Clone, Default)]
pub(crate) struct DomainState {
    pub(crate) held: Option<HoldNote>,
    pub(crate) draining: Option<DrainProgress>,
    pub(crate) last_drain: Option<LastDrain>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) entries: BTreeMap<EntryKey, Entry>,
    pub(crate) before_deletion: BTreeMap<EntryKey, DeliveryState>,
    pub(crate) contents: BTreeMap<QueueId, SealedContent>,
    pub(crate) domains: BTreeMap<Domain, DomainState>,
    pub(crate) health: Health,
    /// What the store answers to everything that may fail.
    pub(crate) failing: Option<StoreError>,
    /// Entries looked at per page, whatever was asked for.
    pub(crate) page: usize,
    pub(crate) retries_reset: Vec<Domain>,
    pub(crate) deletion_reasons: Vec<String>,
    pub(crate) backups: Vec<PathBuf>,
    minted: u128,
}

#[derive(Debug)]
pub(crate) struct FakeStore(Mutex<State>);

pub(crate) fn id(number: u64) -> QueueId {
    QueueId::from_bytes((u128::from(NOW.0) << 80 | 0x7000_8000 << 48 | u128::from(number)).to_be_bytes())
}

pub(crate) fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

impl Default for FakeStore {
    fn default() -> Self {
        let health = Health {
            intake: IntakeHealth::Open,
            index: IndexHealth::Ready,
            free_bytes: Some(10_000_000_000),
            low_water_bytes: Some(536_870_912),
            inodes: None,
            messages: 0,
            damaged: 0,
            clock_doubted: false,
        };
        Self(Mutex::new(State {
            entries: BTreeMap::new(),
            before_deletion: BTreeMap::new(),
            contents: BTreeMap::new(),
            domains: BTreeMap::new(),
            health,
            failing: None,
            page: usize::MAX,
            retries_reset: Vec::new(),
            deletion_reasons: Vec::new(),
            backups: Vec::new(),
            minted: 0,
        }))
    }
}

impl FakeStore {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Adds one queued entry with everything set that can be shown.
    pub(crate) fn add(&self, name: &str, number: u64) -> EntryKey {
        let key = EntryKey { domain: domain(name), id: id(number) };
        let mailbox = format!("user{number}@{name}").parse().unwrap();
        let recipient = Recipient {
            notify: Some(Notify::NEVER),
            original: Some(Xtext::new("rfc822;old@example.net", 500).unwrap()),
            ..Recipient::from(Clone::clone(&mailbox))
        };
        let sender = match number % 2 {
            0 => ReversePath::Null,
            _ => ReversePath::Mailbox("\"odd & <one>\"@example.net".parse().unwrap()),
        };
        let envelope = Envelope {
            sender,
            recipients: vec![recipient],
            body: Body::EightBitMime,
            smtputf8: false,
            ret: Some(Ret::Headers),
            envid: Some(Xtext::new("QQ314159", 100).unwrap()),
        };
        let client = ClientFacts {
            address: "192.0.2.7".parse().unwrap(),
            helo: "mx.example.net\u{202e}".to_owned(),
            identity: None,
            tls: None,
        };
        let last_reply = Some(Reply::new(450, (4, 2, 1), "later"));
        let status =
            RecipientStatus { index: 0, mailbox, state: DeliveryState::Deferred, attempts: 3, last_reply };
        let entry = Entry {
            key: key.clone(),
            envelope: Arc::new(envelope),
            client,
            arrived: UnixMillis(NOW.0 + number),
            size: 100 + number,
            recipients: vec![status],
            state: DeliveryState::Deferred,
            held: None,
            next_attempt: Some(UnixMillis(NOW.0 + 60_000)),
            vouched: restante_types::Vouched::Unchecked,
        };
        let mut state = self.state();
        state.minted = state.minted.max(u128::from(number));
        state.entries.insert(key.clone(), entry);
        key
    }

    /// Content for a message.
    pub(crate) async fn content(&self, number: u64, octets: &[u8]) {
        let mut buffer = ContentBuffer::default();
        buffer.append(octets);
        let sealed = buffer.seal().await.unwrap();
        self.state().contents.insert(id(number), sealed);
    }

    fn try_state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        state.failing.clone().map_or(Ok(state), Err)
    }

    fn change(
        &self,
        keys: &[EntryKey],
        mut each: impl FnMut(&mut State, &EntryKey) -> bool,
    ) -> Result<u64, StoreError> {
        let mut state = self.try_state()?;
        Ok(keys.iter().filter(|key| each(&mut state, key)).count() as u64)
    }
}

fn matches(filter: &Filter, entry: &Entry) -> bool {
    let states = &filter.states;
    let state =
        if states.is_empty() { entry.state != DeliveryState::Deleted } else { states.contains(&entry.state) };
    let from = |text: &String| match text.as_str() {
        "<>" => entry.envelope.sender == ReversePath::Null,
        text => entry.envelope.sender.to_string().contains(text),
    };
    state
        && (filter.domains.is_empty() || filter.domains.contains(&entry.key.domain))
        && (filter.ids.is_empty() || filter.ids.contains(&entry.key.id))
        && filter.from.as_ref().is_none_or(from)
        && filter.to.as_ref().is_none_or(|text| entry.recipients[0].mailbox.to_string().contains(text))
        && filter.older_than.is_none_or(|time| entry.arrived < time)
        && filter.younger_than.is_none_or(|time| entry.arrived > time)
        && filter.larger.is_none_or(|size| entry.size > size)
        && filter.smaller.is_none_or(|size| entry.size < size)
}

impl State {
    fn stats(&self, domain: &Domain) -> DomainStats {
        let of = self.domains.get(domain).cloned().unwrap_or_default();
        let mine = || self.entries.values().filter(|entry| entry.key.domain == *domain);
        let waiting = || mine().filter(|entry| entry.state.waits());
        let mut parked = BTreeMap::new();
        for entry in mine().filter(|entry| !entry.state.waits()) {
            *parked.entry(entry.state).or_insert(0) += 1;
        }
        DomainStats {
            domain: domain.clone(),
            messages: waiting().count() as u64,
            bytes: waiting().map(|entry| entry.size).sum(),
            oldest: waiting().map(|entry| entry.arrived).min(),
            newest: waiting().map(|entry| entry.arrived).max(),
            parked,
            held: of.held,
            next_attempt: None,
            last_drain: of.last_drain,
            draining: of.draining,
            pauses: restante_queue::Pauses::default(),
        }
    }
}

#[async_trait]
impl QueueStore for FakeStore {
    fn mint(&self, _: UnixMillis) -> QueueId {
        let mut state = self.state();
        state.minted += 1;
        id(u64::try_from(state.minted).unwrap())
    }

    fn begin_content(&self) -> ContentBuffer {
        ContentBuffer::default()
    }

    fn ready_for_mail(&self, _: u64) -> Result<(), StoreError> {
        self.try_state().map(|_| ())
    }

    async fn accept(&self, _: NewMessage) -> Result<Receipt, StoreError> {
        Err(StoreError::Unavailable("this store takes no mail".to_owned()))
    }

    async fn open_content(&self, key: &EntryKey) -> Result<ContentReader, StoreError> {
        let state = self.try_state()?;
        let there = state.entries.contains_key(key);
        state.contents.get(&key.id).filter(|_| there).map(SealedContent::reader).ok_or(StoreError::NotFound)
    }

    async fn get(&self, key: &EntryKey) -> Result<Entry, StoreError> {
        self.try_state()?.entries.get(key).cloned().ok_or(StoreError::NotFound)
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let state = self.try_state()?;
        let after = after.map(|cursor| {
            let text = cursor.encode();
            let (id, domain) = text.split_once('/').unwrap();
            EntryKey { domain: domain.parse().unwrap(), id: id.parse().unwrap() }
        });
        let behind =
            state.entries.values().filter(|entry| after.as_ref().is_none_or(|after| entry.key > *after));
        let looked: Vec<&Entry> = behind.take(limit.min(state.page)).collect();
        let more = state
            .entries
            .keys()
            .next_back()
            .filter(|last| looked.last().is_some_and(|seen| seen.key < **last));
        let next = more.and_then(|_| {
            let last = &looked.last()?.key;
            Cursor::parse(&format!("{}/{}", last.id, last.domain))
        });
        let entries = looked.into_iter().filter(|entry| matches(filter, entry)).cloned().collect();
        Ok(ListPage { entries, next })
    }

    fn stats(&self, domain: &Domain) -> DomainStats {
        self.state().stats(domain)
    }

    fn stats_page(&self, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        let state = self.state();
        let mut names: Vec<&Domain> =
            state.entries.keys().map(|key| &key.domain).chain(state.domains.keys()).collect();
        names.sort();
        names.dedup();
        let behind = names.into_iter().filter(|name| after.is_none_or(|after| *name > after));
        behind.take(limit).map(|name| state.stats(name)).collect()
    }

    fn queues_below(&self, top: &Domain, after: Option<&Domain>, limit: usize) -> Vec<DomainStats> {
        let end = format!(".{top}");
        let below = self.stats_page(after, usize::MAX).into_iter();
        below.filter(|stats| stats.domain.as_str().ends_with(&end)).take(limit).collect()
    }

    fn start_drain(&self, domain: &Domain, _: DrainCause) -> Result<Started, StoreError> {
        let stats = self.try_state()?.stats(domain);
        Ok(Started { messages: stats.messages, running: stats.draining.is_some() })
    }

    fn watch(&self) -> DrainRequests {
        mpsc::unbounded_channel().1
    }

    async fn lease(&self, _: &Domain, _: DrainCause) -> Result<LeaseAnswer, StoreError> {
        Ok(LeaseAnswer::Held)
    }

    async fn due(
        &self,
        _: &DomainLease,
        _: Scope,
        _: Option<QueueId>,
        _: usize,
    ) -> Result<Vec<Work>, StoreError> {
        Err(StoreError::Fenced)
    }

    async fn settle(&self, _: &DomainLease, _: Vec<Settlement>) -> Result<(), StoreError> {
        Err(StoreError::Fenced)
    }

    fn asked_again(&self, _: &DomainLease) -> Option<DrainCause> {
        None
    }

    fn is_fenced(&self, _: &DomainLease) -> bool {
        true
    }

    async fn end_lease(&self, _: DomainLease, _: DrainReport) -> Result<(), StoreError> {
        Err(StoreError::Fenced)
    }

    async fn hold_domain(&self, domain: &Domain, order: HoldOrder) -> Result<(), StoreError> {
        let HoldOrder { kind, reason, until, pause_retention } = order;
        let note = HoldNote { kind, reason, since: NOW, until, pause_retention };
        self.try_state()?.domains.entry(domain.clone()).or_default().held = Some(note);
        Ok(())
    }

    async fn release_domain(&self, domain: &Domain) -> Result<bool, StoreError> {
        Ok(self.try_state()?.domains.get_mut(domain).is_some_and(|state| state.held.take().is_some()))
    }

    fn held_domains(&self) -> Vec<(Domain, HoldNote)> {
        let state = self.state();
        let held = |(domain, state): (&Domain, &DomainState)| Some((domain.clone(), state.held.clone()?));
        state.domains.iter().filter_map(held).collect()
    }

    async fn hold(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        self.change(keys, |state, key| {
            let entry = state.entries.get_mut(key);
            entry.is_some_and(|entry| entry.held.replace(reason.to_owned()).is_none())
        })
    }

    async fn release(&self, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.change(keys, |state, key| {
            state.entries.get_mut(key).is_some_and(|entry| {
                let parked = !entry.state.waits();
                entry.state = if parked { DeliveryState::Queued } else { entry.state };
                entry.held.take().is_some() || parked
            })
        })
    }

    async fn conclude(
        &self,
        _key: &EntryKey,
        _recipients: &[u16],
        _how: Conclusion,
    ) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn unreported(
        &self,
        _domain: &Domain,
        _after: Option<QueueId>,
        _limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }

    fn delay_mark(&self, _domain: &Domain) -> Option<QueueId> {
        None
    }

    async fn set_delay_mark(&self, _domain: &Domain, _mark: QueueId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn delete(&self, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        self.state().deletion_reasons.push(reason.to_owned());
        self.change(keys, |state, key| {
            let Some(entry) = state.entries.get_mut(key) else { return false };
            let before = std::mem::replace(&mut entry.state, DeliveryState::Deleted);
            state.before_deletion.insert(key.clone(), before);
            true
        })
    }

    async fn restore(&self, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.change(keys, |state, key| {
            match (state.before_deletion.remove(key), state.entries.get_mut(key)) {
                (Some(before), Some(entry)) => {
                    entry.state = before;
                    true
                }
                _ => false,
            }
        })
    }

    async fn reset_retries(&self, domain: &Domain) -> Result<(), StoreError> {
        self.try_state()?.retries_reset.push(domain.clone());
        Ok(())
    }

    async fn expire(&self, _: &Domain, _: UnixMillis, _: usize) -> Result<Vec<EntryKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn purge(
        &self,
        _: &Domain,
        _: UnixMillis,
        _: UnixMillis,
        _: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        Ok(Vec::new())
    }

    fn domains_due(&self, _: UnixMillis, _: usize) -> Vec<Domain> {
        Vec::new()
    }

    fn next_due(&self) -> Option<UnixMillis> {
        None
    }

    async fn backup(&self, to: &Path) -> Result<u64, StoreError> {
        let mut state = self.try_state()?;
        state.backups.push(to.to_owned());
        Ok(state.entries.len() as u64)
    }

    fn health(&self) -> Health {
        let state = self.state();
        Health { messages: state.entries.len() as u64, ..state.health.clone() }
    }

    async fn close(&self) {}
}
