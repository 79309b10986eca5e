//! The way in: from the log's writer thread, which makes messages durable, to being visible.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_types::{DeliveryState, QueueId, UnixMillis};
use tokio::sync::oneshot;

use super::books::{Books, Condition};
use super::desk::Desk;
use super::shared::Shared;
use crate::entry::{Destination, EntryKey, NewMessage};
use crate::error::StoreError;
use crate::index::{EntryValue, RecipientState, RecipientValue};
use crate::limits::{APPLY_AT_ENTRIES, MAX_PENDING_ENTRIES, MAX_RECIPIENTS, RECENT_IDS};
use crate::log::{Durable, Place, StateByte, StoredMessage};
use crate::mint::Minter;
use crate::receipt::Receipt;

/// What the writer thread needs to make messages visible.
pub(super) struct Intake {
    books: Arc<Books>,
    desk: Arc<Desk>,
    minter: Mutex<Minter>,
    recent: Mutex<Recent>,
}

/// The ids accepted last.
#[derive(Default)]
struct Recent {
    ids: HashSet<QueueId>,
    order: VecDeque<QueueId>,
}

impl Recent {
    /// False if it is known.
    fn add(&mut self, id: QueueId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > RECENT_IDS {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.ids.remove(&oldest));
        }
        true
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Intake {
    pub(super) fn new(books: Arc<Books>, desk: Arc<Desk>, newest: QueueId) -> Self {
        let (minter, recent) = (Mutex::new(Minter::after(newest)), Mutex::default());
        Self { books, desk, minter, recent }
    }

    pub(super) fn mint(&self, now: UnixMillis) -> QueueId {
        locked(&self.minter).mint(now)
    }

    /// Later ids are greater than this one.
    pub(super) fn saw(&self, id: QueueId) {
        locked(&self.minter).saw(id);
    }

    pub(super) fn newest(&self) -> QueueId {
        locked(&self.minter).newest()
    }

    fn knows(&self, id: QueueId) -> bool {
        locked(&self.recent).ids.contains(&id)
    }

    /// Makes a group of messages visible, on the writer's thread, before anybody is told that they are stored.
    pub(super) fn make_visible(&self, group: Vec<Durable>) {
        let (mut entries, mut copies) = (Vec::with_capacity(group.len()), Vec::new());
        {
            let (mut recent, mut minter) = (locked(&self.recent), locked(&self.minter));
            for Durable { place, message } in group {
                minter.saw(message.id);
                if recent.add(message.id) {
                    entries.extend(entries_of(place, &message));
                } else {
                    copies.push((place, message.states.len() as u16));
                }
            }
        }
        if !copies.is_empty() {
            self.books.lock().copies.extend(copies);
        }
        let added = entries.len();
        let waiting = self.books.insert(entries.into_iter());
        // The owner thread looks by itself while entries wait; it is woken for the first, and when there are many.
        if waiting == added || waiting >= APPLY_AT_ENTRIES {
            self.desk.ring();
        }
    }
}

/// The entries of a record that has just been written.
fn entries_of(place: Place, message: &StoredMessage) -> impl Iterator<Item = (EntryKey, EntryValue)> {
    message.destinations.iter().map(move |destination| {
        let key = EntryKey { domain: destination.domain.clone(), id: message.id };
        (key, entry_value(place, message, destination))
    })
}

/// A record's entry for one of its destinations, before anything happened to it.
pub(super) fn entry_value(place: Place, message: &StoredMessage, destination: &Destination) -> EntryValue {
    // What was stored as dead stands in its record so; anything else that may stand there by now is adopted later.
    let dead = StateByte::new(DeliveryState::Dead);
    let is_dead = |index: u16| message.states.get(usize::from(index)) == Some(&dead);
    let recipient = |index: &u16| RecipientValue {
        index: *index,
        state: RecipientState::new(if is_dead(*index) { DeliveryState::Dead } else { DeliveryState::Queued }),
        attempts: 0,
        reply: None,
    };
    let mut entry = EntryValue {
        place,
        size: message.size,
        arrived: message.arrived,
        sole: message.destinations.len() == 1,
        scheduled: destination.first_attempt.is_some(),
        attempts: 0,
        next_attempt: destination.first_attempt,
        parked: None,
        held: None,
        note: None,
        recipients: destination.recipients.iter().map(recipient).collect(),
        replies: Vec::new(),
    };
    entry.settle_down(message.arrived);
    entry
}

/// Every recipient has to be in exactly one destination: one that is in none would be lost.
fn check(message: &NewMessage) -> Result<(), StoreError> {
    let recipients = message.envelope.recipients.len();
    let mut found = vec![false; recipients];
    let named = message.destinations.iter().flat_map(|destination| &destination.recipients);
    let once = named
        .into_iter()
        .all(|index| found.get_mut(usize::from(*index)).is_some_and(|found| !std::mem::replace(found, true)));
    let domains: HashSet<_> = message.destinations.iter().map(|destination| &destination.domain).collect();
    let none_empty = message.destinations.iter().all(|destination| !destination.recipients.is_empty());
    if recipients == 0 || recipients > MAX_RECIPIENTS || !once || found.contains(&false) {
        return Err(StoreError::Unavailable(
            "an envelope whose recipients are not each in one queue".to_owned(),
        ));
    }
    if domains.len() < message.destinations.len() || !none_empty {
        return Err(StoreError::Unavailable(
            "an envelope with a queue named twice or without recipients".to_owned(),
        ));
    }
    Ok(())
}

impl Shared {
    /// Whether mail would be taken now.
    pub(super) fn ready_for_mail(&self, size: u64) -> Result<(), StoreError> {
        match &self.books.lock().condition {
            Condition::Ready | Condition::Rebuilding { .. } => {}
            bad => bad.check()?,
        }
        self.log.ready(size)
    }

    pub(super) async fn accept(self: &Arc<Self>, message: NewMessage) -> Result<Receipt, StoreError> {
        check(&message)?;
        self.ready_for_mail(message.content.len())?;
        if self.intake.knows(message.id) || self.knew(&message).await? {
            return Ok(Receipt::new(message.id));
        }
        self.wait_for_room().await?;
        let (told, done) = oneshot::channel();
        self.log.append(message, told);
        done.await.map_err(|_| StoreError::Unavailable("the log is closed".to_owned()))?
    }

    /// Whether the message was stored before this store was opened and is still there; later ones are known by their
    /// ids, as long as they are among the last [`RECENT_IDS`].
    async fn knew(self: &Arc<Self>, message: &NewMessage) -> Result<bool, StoreError> {
        let Some(first) = message.destinations.first().filter(|_| message.id <= self.newest_at_open) else {
            return Ok(false);
        };
        let key = EntryKey { domain: first.domain.clone(), id: message.id };
        self.blocking(move |shared| Ok(shared.entry(&key)?.is_some())).await
    }

    /// An owner thread that is behind slows the senders down.
    async fn wait_for_room(&self) -> Result<(), StoreError> {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            changed.as_mut().enable();
            {
                let state = self.books.lock();
                match &state.condition {
                    Condition::Ready | Condition::Rebuilding { .. } => {}
                    bad => bad.check()?,
                }
                if state.pending() < MAX_PENDING_ENTRIES {
                    return Ok(());
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recent_ids_are_bounded_and_recognise_repeats() {
        let mut recent = Recent::default();
        let id = |n: u32| QueueId::from_bytes(u128::from(n).to_be_bytes());
        assert!(recent.add(id(0)) && !recent.add(id(0)));
        for n in 1..=u32::try_from(RECENT_IDS).unwrap() {
            assert!(recent.add(id(n)));
        }
        assert_eq!((recent.ids.len(), recent.order.len()), (RECENT_IDS, RECENT_IDS));
        assert!(recent.add(id(0)), "the oldest was forgotten");
    }
}
