//! Bringing the index in line with the log, which is the truth.
//!
//! Three uses of one walk over the log: the tail behind the last checkpoint (any start), everything into an empty
//! index (rebuild), and everything against an index that survived a crash (compare; mail flows meanwhile). The walk
//! has a thread of its own; what it finds is judged by the owner thread, which reads a record again before it
//! believes a difference.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use restante_types::{Domain, QueueId};

use super::books::Condition;
use super::damage::{self, Doubtful};
use super::intake::entry_value;
use super::shared::Shared;
use super::turn::Turn;
use crate::entry::{Destination, EntryKey};
use crate::error::StoreError;
use crate::events;
use crate::limits::{LIST_WORK, RECENT_IDS, RECORDS_PER_CHECK};
use crate::log::{DamagedRecord, LogPosition, Place, Scanned, StoredMessage};

/// What has to be done before, and after, the index is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Read what came behind this, then compare everything.
    Replay(LogPosition),
    /// Read everything.
    Rebuild,
}

/// What one walk found.
#[derive(Default)]
struct Walk {
    records: u64,
    repaired: u64,
    /// Live records per domain.
    live: HashMap<Domain, u64>,
    damaged: Vec<DamagedRecord>,
    /// The last that are done and may be handed in again: the index may not know that they ended.
    ended: VecDeque<QueueId>,
}

/// Runs in a thread of its own; `ready` is told when the index is complete.
pub(super) fn run(shared: &Arc<Shared>, plan: Plan, ready: Sender<()>) {
    let guarded = catch_unwind(AssertUnwindSafe(|| recover(shared, plan, ready)));
    let panicked = |_| Err(StoreError::Unavailable("reading the index panicked".to_owned()));
    if let Err(error) = guarded.unwrap_or_else(panicked)
        && !shared.desk.is_leaving()
    {
        events::recovery_failed(&error);
        shared.books.lock().condition = Condition::Failing(error.to_string());
    }
}

fn recover(shared: &Arc<Shared>, plan: Plan, ready: Sender<()>) -> Result<(), StoreError> {
    let from = match plan {
        Plan::Replay(position) => Some(position),
        Plan::Rebuild => None,
    };
    let started = Instant::now();
    let walk = Walk::over(shared, from, true)?;
    damage::park_all(shared, &walk.damaged)?;
    events::index_ready(walk.records, walk.repaired, started.elapsed());
    {
        let mut state = shared.books.lock();
        state.verified = plan == Plan::Rebuild;
        if matches!(state.condition, Condition::Rebuilding { .. }) {
            state.condition = Condition::Ready;
        }
    }
    // Said at once, so that a crash from now on costs a look at the tail and not the whole log.
    let checkpoint = |turn: &mut Turn<'_>| {
        turn.checkpoint = true;
        Ok(())
    };
    shared.desk.ask_blocking(checkpoint)?;
    // Whoever opened the store may not have waited.
    let _ = ready.send(());
    if plan != Plan::Rebuild {
        compare(shared)?;
    }
    Ok(())
}

/// Every record against the index, then every entry of a domain against its record, unless there are as many of both.
fn compare(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let started = Instant::now();
    let before = changes(shared);
    let walk = Walk::over(shared, None, false)?;
    damage::park_all(shared, &walk.damaged)?;
    let repaired = walk.repaired + check_unsure(shared, &walk.live, &before)?;
    shared.books.lock().verified = true;
    events::index_compared(walk.records, repaired, started.elapsed());
    Ok(())
}

/// What has happened in each domain so far.
fn changes(shared: &Shared) -> HashMap<Domain, u64> {
    let state = shared.books.lock();
    state.domains.iter().map(|(domain, book)| (domain.clone(), book.changes)).collect()
}

/// Checks the entries of domains that have more of them than `live` records, or may have: where something happened since
/// `before`, numbers that are of different moments can be the same by chance.
fn check_unsure(
    shared: &Shared,
    live: &HashMap<Domain, u64>,
    before: &HashMap<Domain, u64>,
) -> Result<u64, StoreError> {
    let unsure: Vec<Domain> = {
        let state = shared.books.lock();
        let all = state.domains.iter().filter(|(domain, book)| {
            let records = live.get(*domain).copied().unwrap_or(0);
            before.get(*domain) != Some(&book.changes) || records != book.counts.entries()
        });
        all.map(|(domain, _)| domain.clone()).collect()
    };
    let mut repaired = 0;
    for domain in unsure {
        let mut after = None;
        loop {
            let name = domain.clone();
            let (last, some) = shared.desk.ask_blocking(move |turn| check_entries(turn, &name, after))?;
            repaired += some;
            after = last;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(repaired)
}

impl Walk {
    fn over(shared: &Arc<Shared>, from: Option<LogPosition>, show: bool) -> Result<Self, StoreError> {
        // What comes in from now on is made visible by the intake; it must not be taken for missing.
        let end = shared.log.position();
        let mut walk = Self::default();
        let mut batch = Vec::with_capacity(RECORDS_PER_CHECK);
        let mut failed = None;
        let mut visit = |scanned| {
            match scanned {
                Scanned::Damaged(record) => walk.damage(shared, record),
                Scanned::Done(id) if show && id.is_derived() => walk.note_ended(id),
                Scanned::Done(_) => {}
                Scanned::Live { place, .. } if (place.segment, place.offset) >= (end.segment, end.offset) => {
                }
                Scanned::Live { place, message } => {
                    walk.count(&message);
                    batch.push((place, message));
                }
            }
            if batch.len() >= RECORDS_PER_CHECK
                && let Err(error) = walk.check(shared, std::mem::take(&mut batch))
            {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            if shared.desk.is_leaving() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut progress = |done, total| {
            let mut state = shared.books.lock();
            if show && let Condition::Rebuilding { done: d, total: t } = &mut state.condition {
                (*d, *t) = (done, total);
            }
        };
        shared.log.scan(from, &mut visit, &mut progress)?;
        if let Some(error) = failed {
            return Err(error);
        }
        if shared.desk.is_leaving() {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        walk.check(shared, batch)?;
        let ended = shared.intake.not_known_as_ended(&walk.ended);
        shared.desk.ask_blocking(move |turn| {
            turn.note_ended(ended);
            Ok(())
        })?;
        Ok(walk)
    }

    fn note_ended(&mut self, id: QueueId) {
        if self.ended.len() == RECENT_IDS {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }

    fn damage(&mut self, shared: &Shared, record: DamagedRecord) {
        // Bounded by what a person will look at; the number is exact all the same.
        shared.found_damage(record.place, record.id, &record.what);
        if self.damaged.len() < LIST_WORK {
            self.damaged.push(record);
        }
    }

    fn count(&mut self, message: &StoredMessage) {
        self.records += 1;
        for destination in message.destinations.iter().filter(|destination| lives(message, destination)) {
            *self.live.entry(destination.domain.clone()).or_default() += 1;
        }
    }

    fn check(&mut self, shared: &Shared, batch: Vec<(Place, StoredMessage)>) -> Result<(), StoreError> {
        if !batch.is_empty() {
            let (repaired, doubtful) = shared.desk.ask_blocking(move |turn| check_records(turn, &batch))?;
            self.repaired += repaired + damage::look_again(shared, doubtful)?;
        }
        Ok(())
    }
}

fn lives(message: &StoredMessage, destination: &Destination) -> bool {
    let states = destination.recipients.iter().filter_map(|index| message.states.get(usize::from(*index)));
    states.into_iter().any(|state| !state.is_done())
}

/// Sees to it that every live record of these has its entries, in the state that the log has.
fn check_records(
    turn: &mut Turn<'_>,
    records: &[(Place, StoredMessage)],
) -> Result<(u64, Doubtful), StoreError> {
    let (mut repaired, mut doubtful) = (0, Doubtful::default());
    for (place, message) in records {
        for destination in message.destinations.iter().filter(|destination| lives(message, destination)) {
            let key = EntryKey { domain: destination.domain.clone(), id: message.id };
            repaired += u64::from(check_record(turn, *place, message, destination, key, &mut doubtful)?);
        }
    }
    Ok((repaired, doubtful))
}

fn check_record(
    turn: &mut Turn<'_>,
    place: Place,
    scanned: &StoredMessage,
    destination: &Destination,
    key: EntryKey,
    doubtful: &mut Doubtful,
) -> Result<bool, StoreError> {
    let now = turn.now;
    if turn.edited(&key) {
        return Ok(false);
    }
    let known = turn.entry(&key)?;
    if let Some(entry) = &known
        && entry.place == place
    {
        if entry.may_be_mended(&scanned.states) {
            doubtful.parked.push((key.clone(), place));
        }
        if !(*entry).clone().adopt(&scanned.states, now) {
            return Ok(false);
        }
    }
    let elsewhere = known.map(|entry| entry.place).filter(|other| *other != place);
    // The walk may have read the record before it was settled: only what it says now counts.
    let message = match turn.log.read(place) {
        Ok(message) => message,
        Err(StoreError::NotFound) => return Ok(false),
        Err(StoreError::Damaged(what)) => {
            doubtful.unreadable.push((key.id, place, what));
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    if !lives(&message, destination) {
        return Ok(false);
    }
    if let Some(other) = elsewhere
        && turn.log.read(other).is_ok_and(|first| first.id == key.id)
    {
        events::duplicate(key.id);
        turn.drop_copy(place, u16::try_from(message.states.len()).unwrap_or(u16::MAX));
        return Ok(true);
    }
    if elsewhere.is_none()
        && let Some(entry) = turn.entry(&key)?
    {
        return Ok(entry.adopt(&message.states, now));
    }
    let mut entry = entry_value(place, &message, destination);
    entry.adopt(&message.states, now);
    entry.settle_down(now);
    turn.insert(key, entry);
    Ok(true)
}

/// Sees to it that the next entries of a domain have their records.
fn check_entries(
    turn: &mut Turn<'_>,
    domain: &Domain,
    after: Option<QueueId>,
) -> Result<(Option<QueueId>, u64), StoreError> {
    let keys = turn.keys(domain, after, RECORDS_PER_CHECK)?;
    let mut repaired = 0;
    for key in &keys {
        let now = turn.now;
        if turn.edited(key) {
            continue;
        }
        let Some(place) = turn.entry(key)?.map(|entry| entry.place) else {
            // Its record was found to be gone when it was looked at.
            repaired += 1;
            continue;
        };
        let states = match turn.log.read(place) {
            Ok(message) if message.id == key.id => message.states,
            Ok(_) | Err(StoreError::NotFound) => {
                turn.remove(key)?;
                repaired += 1;
                continue;
            }
            // Whoever wants to read it next parks it.
            Err(StoreError::Damaged(_)) => continue,
            Err(error) => return Err(error),
        };
        if let Some(entry) = turn.entry(key)? {
            repaired += u64::from(entry.adopt(&states, now));
        }
    }
    Ok((keys.last().filter(|_| keys.len() == RECORDS_PER_CHECK).map(|key| key.id), repaired))
}

#[cfg(test)]
mod tests {
    use restante_types::UnixMillis;

    use super::*;
    use crate::conformance::{domain, key, message};
    use crate::embedded::{EmbeddedOptions, EmbeddedStore};
    use crate::lease::{DrainCause, LeaseAnswer, Outcome, Settlement};
    use crate::stats::IndexHealth;
    use crate::store::QueueStore;

    const NAME: &str = "example.org";

    async fn deliver(store: &EmbeddedStore, ids: &[QueueId]) {
        let LeaseAnswer::Leased(lease) = store.lease(&domain(NAME), DrainCause::Etrn).await.unwrap() else {
            panic!("it is free")
        };
        let taken = |id: &QueueId| Settlement { id: *id, outcomes: vec![(0, Outcome::Delivered)] };
        store.settle(&lease, ids.iter().map(taken).collect()).await.unwrap();
    }

    /// Two entries of what was delivered before a crash, and two deliveries while the log is walked: as many entries as
    /// records.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn numbers_that_agree_by_chance_hide_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedOptions::new(dir.path())).unwrap();
        while store.health().index != IndexHealth::Ready {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let (shared, mut ids) = (Arc::clone(&store.shared), Vec::new());
        let waiting = || store.stats(&domain(NAME)).messages;
        for _ in 0..6 {
            let message = message(&store, UnixMillis(5), &["a@example.org"], b"x\r\n").await;
            ids.push(store.accept(message).await.unwrap().id());
        }
        let gone = [key(NAME, ids[0]), key(NAME, ids[1])];
        let look = gone.clone();
        let entries = shared.desk.ask(move |turn| look.iter().map(|key| turn.peek(key)).collect());
        let entries: Vec<_> = entries.await.unwrap();
        deliver(&store, &ids[..2]).await;
        let put_back = move |turn: &mut Turn<'_>| {
            let stale = gone.into_iter().zip(entries.into_iter().flatten());
            stale.for_each(|(key, entry)| turn.insert(key, entry));
            Ok(())
        };
        shared.desk.ask(put_back).await.unwrap();
        assert_eq!(waiting(), 6, "two of them are no more");

        let (before, inside) = (changes(&shared), Arc::clone(&shared));
        let walk = tokio::task::spawn_blocking(move || Walk::over(&inside, None, false));
        let live = walk.await.unwrap().unwrap().live;
        assert_eq!(live[&domain(NAME)], 4);
        deliver(&store, &ids[2..4]).await;
        assert_eq!(waiting(), 4, "as many as were read");
        let found = tokio::task::spawn_blocking(move || check_unsure(&shared, &live, &before));
        assert_eq!(found.await.unwrap().unwrap(), 2);
        assert_eq!(waiting(), 2);
        store.close().await;
    }
}
