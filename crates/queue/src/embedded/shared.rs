//! What the threads and the callers of one store share, and reading through memory and index together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use restante_types::{Domain, QueueId};
use tokio::sync::Notify;

use super::books::{Books, Entries};
use super::desk::Desk;
use super::intake::Intake;
use super::turn;
use crate::clock::{ClockChange, ClockWatch};
use crate::content::ContentReader;
use crate::entry::EntryKey;
use crate::error::StoreError;
use crate::events;
use crate::index::{EntryValue, Index, domain_range, entries_behind, read_entry_key};
use crate::limits::MAX_DAMAGE_LISTED;
use crate::log::{ContentLog, Place};
use crate::stats::Health;

pub(super) struct Shared {
    pub(super) books: Arc<Books>,
    pub(super) desk: Arc<Desk>,
    pub(super) intake: Arc<Intake>,
    pub(super) log: ContentLog,
    /// `None` once the store is closed: sled's lock goes with the last reader.
    index: RwLock<Option<Arc<Index>>>,
    /// Rung when there is room for further entries.
    pub(super) room: Notify,
    clock: Mutex<ClockWatch>,
    /// Damaged records found since start; of more than [`MAX_DAMAGE_LISTED`] the later ones are not told apart.
    damaged: Mutex<BTreeSet<Place>>,
}

/// A stretch of entries in order.
pub(super) enum Stretch<'a> {
    /// Of one domain, behind an id.
    Of(&'a Domain, Option<QueueId>),
    /// Of all domains, behind a key.
    All(Option<&'a EntryKey>),
}

impl Stretch<'_> {
    fn memory(&self) -> (Bound<EntryKey>, Bound<EntryKey>) {
        let key = |domain: &Domain, id| EntryKey { domain: domain.clone(), id };
        match self {
            Self::Of(domain, Some(id)) => {
                (Bound::Excluded(key(domain, *id)), Bound::Included(key(domain, QueueId::MAX)))
            }
            Self::Of(domain, None) => {
                (Bound::Included(key(domain, QueueId::MIN)), Bound::Included(key(domain, QueueId::MAX)))
            }
            Self::All(Some(after)) => (Bound::Excluded((*after).clone()), Bound::Unbounded),
            Self::All(None) => (Bound::Unbounded, Bound::Unbounded),
        }
    }
}

impl Shared {
    pub(super) fn new(
        books: Arc<Books>,
        desk: Arc<Desk>,
        intake: Arc<Intake>,
        log: ContentLog,
        index: Arc<Index>,
    ) -> Self {
        Self {
            books,
            desk,
            intake,
            log,
            index: RwLock::new(Some(index)),
            room: Notify::new(),
            clock: Mutex::new(ClockWatch::new()),
            damaged: Mutex::default(),
        }
    }

    pub(super) fn index(&self) -> Result<Arc<Index>, StoreError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.clone().ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))
    }

    pub(super) fn drop_index(&self) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Runs what reads the disk where it may block.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || read(&shared));
        read.await.map_err(|_| StoreError::Unavailable("reading the index failed".to_owned()))?
    }

    /// One entry, wherever it is. Memory is asked first: an entry moves from there into the index, never back.
    pub(super) fn entry(&self, key: &EntryKey) -> Result<Option<EntryValue>, StoreError> {
        let pending = {
            let state = self.books.lock();
            state.fresh.get(key).or_else(|| state.applying.get(key)).cloned()
        };
        Ok(turn::read(&*self.index()?, key)?.or(pending))
    }

    /// The next entries of a stretch, at most `limit`.
    pub(super) fn entries(
        &self,
        stretch: &Stretch<'_>,
        limit: usize,
    ) -> Result<Vec<(EntryKey, EntryValue)>, StoreError> {
        let mut found: Entries = {
            let state = self.books.lock();
            let take = |entries: &Entries| -> Vec<_> {
                let range = entries.range(stretch.memory()).take(limit);
                range.map(|(key, entry)| (key.clone(), entry.clone())).collect()
            };
            take(&state.applying).into_iter().chain(take(&state.fresh)).collect::<BTreeMap<_, _>>()
        };
        let range = match stretch {
            Stretch::Of(domain, after) => domain_range(domain, *after),
            Stretch::All(after) => entries_behind(*after),
        };
        // What the index has is as new as what was in memory, or newer.
        for item in self.index()?.range(range).take(limit) {
            let (key, value) = item?;
            if let Some(key) = read_entry_key(&key) {
                let entry = EntryValue::decode(key.id, value.as_ref())?;
                found.insert(key, entry);
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    pub(super) fn watch_clock(&self) {
        let clock = &self.books.clock;
        let newest = self.books.lock().newest_arrival;
        let mut watch = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        match watch.observe(clock.monotonic(), clock.wall(), newest) {
            Some(ClockChange::Doubted) => events::clock_doubted(),
            Some(ClockChange::Trusted) => events::clock_trusted(),
            None => {}
        }
    }

    /// Looks at the clock and says whether it is to be believed.
    pub(super) fn clock_doubted(&self) -> bool {
        self.watch_clock();
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).is_doubted()
    }

    /// Reports damage, once.
    pub(super) fn found_damage(&self, place: Place, id: Option<QueueId>, what: &str) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if damaged.len() < MAX_DAMAGE_LISTED && damaged.insert(place) {
            events::damaged(id, what);
        }
    }

    /// Whether any damage was found since the start.
    pub(super) fn has_damage(&self) -> bool {
        !self.damaged.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn health(&self) -> Health {
        let room = self.log.room();
        let clock_doubted = self.clock_doubted();
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        let state = self.books.lock();
        Health {
            intake: self.log.intake(),
            index: state.condition.health(),
            free_bytes: Some(room.free),
            low_water_bytes: Some(room.low_water),
            inodes: room.inodes,
            messages: state.domains.values().map(|book| book.counts.entries()).sum(),
            damaged,
            clock_doubted,
        }
    }

    pub(super) async fn open_content(self: &Arc<Self>, key: &EntryKey) -> Result<ContentReader, StoreError> {
        let wanted = key.clone();
        let opened = self
            .blocking(move |shared| {
                let place = shared.entry(&wanted)?.ok_or(StoreError::NotFound)?.place;
                Ok((place, shared.log.content(place)))
            })
            .await?;
        match opened {
            (place, Ok(reader)) => {
                let (shared, key) = (Arc::clone(self), key.clone());
                Ok(reader.on_damage(move |what| shared.content_is_damaged(key, place, what)))
            }
            (place, Err(StoreError::Damaged(what))) => {
                self.park_without_content(key.clone(), place, &what).await?;
                Err(StoreError::Damaged(what))
            }
            (_, Err(error)) => Err(error),
        }
    }

    /// Writes the notes file; returns when it is durable.
    pub(super) async fn save_notes(&self) -> Result<(), StoreError> {
        let plan = |turn: &mut turn::Turn<'_>| {
            turn.save_notes = true;
            Ok(())
        };
        self.desk.ask(plan).await
    }
}
