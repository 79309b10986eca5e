//! The way in: from the log's writer thread, which makes messages durable, to being visible.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};
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
    /// Accepted.
    recent: Mutex<Recent>,
    /// Ended.
    ended: Mutex<Recent>,
}

/// The last ids that came by.
struct Recent {
    ids: HashSet<QueueId>,
    order: VecDeque<QueueId>,
    /// Of the ids up to here, the index has to be asked too: they came before the store was opened, or were forgotten.
    asked_up_to: QueueId,
}

/// What is known about an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    No,
    /// The index knows, if anybody does.
    Perhaps,
}

impl Default for Recent {
    fn default() -> Self {
        Self { ids: HashSet::new(), order: VecDeque::new(), asked_up_to: QueueId::MIN }
    }
}

impl Recent {
    /// False if it is known.
    fn add(&mut self, id: QueueId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > RECENT_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
            self.asked_up_to = self.asked_up_to.max(oldest);
        }
        true
    }

    fn knows(&self, id: QueueId) -> Known {
        match self.ids.contains(&id) {
            true => Known::Yes,
            false if id > self.asked_up_to => Known::No,
            false => Known::Perhaps,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Intake {
    pub(super) fn new(books: Arc<Books>, desk: Arc<Desk>, newest: QueueId) -> Self {
        let (minter, recent, ended) = (Mutex::new(Minter::after(newest)), Mutex::default(), Mutex::default());
        Self { books, desk, minter, recent, ended }
    }

    pub(super) fn mint(&self, now: UnixMillis) -> QueueId {
        locked(&self.minter).mint(now)
    }

    /// The greatest id in the log when it was opened.
    pub(super) fn opened(&self, newest: QueueId) {
        let mut minter = locked(&self.minter);
        minter.saw(newest);
        locked(&self.recent).asked_up_to = minter.newest();
    }

    /// Messages that ended; those whose ids were derived may be handed in again.
    pub(super) fn ended(&self, ids: &[QueueId]) {
        let mut ended = locked(&self.ended);
        for id in ids.iter().filter(|id| id.is_derived()) {
            ended.add(*id);
        }
    }

    pub(super) fn not_known_as_ended(&self, ids: &VecDeque<QueueId>) -> Vec<QueueId> {
        let ended = locked(&self.ended);
        ids.iter().filter(|id| !ended.ids.contains(id)).copied().collect()
    }

    pub(super) fn newest(&self) -> QueueId {
        locked(&self.minter).newest()
    }

    fn knows(&self, id: QueueId) -> Known {
        match locked(&self.recent).knows(id) {
            Known::Perhaps if locked(&self.ended).ids.contains(&id) => Known::Yes,
            known => known,
        }
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
        // The owner thread looks by itself from time to time; it is woken once there are many, and not again until it has
        // taken them.
        if waiting >= APPLY_AT_ENTRIES && waiting - added < APPLY_AT_ENTRIES {
            self.desk.ring();
        }
    }
}

/// The entries of a record that has just been written.
fn entries_of(place: Place, message: &StoredMessage) -> impl Iterator<Item = (EntryKey, EntryValue)> {
    message.destinations.iter().map(move |destination| {
        let key = EntryKey { domain: destination.domain.clone(), id: message.id };
        let mut entry = entry_value(place, message, destination);
        entry.settle_down(message.arrived);
        (key, entry)
    })
}

/// A record's entry for one of its destinations, before anything happened to it; [`EntryValue::settle_down`] must
/// follow.
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
    EntryValue {
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
    }
}

/// Every recipient has to be in exactly one destination: one that is in none would be lost.
fn check(message: &NewMessage) -> Result<(), StoreError> {
    let recipients = message.envelope.recipients.len();
    let mut found = vec![false; recipients];
    let named = message.destinations.iter().flat_map(|destination| &destination.recipients);
    let once = named
        .into_iter()
        .all(|index| found.get_mut(usize::from(*index)).is_some_and(|found| !std::mem::replace(found, true)));
    let domains = message.destinations.iter().map(|destination| &destination.domain);
    let twice =
        message.destinations.len() > 1 && domains.collect::<HashSet<_>>().len() < message.destinations.len();
    let none_empty = message.destinations.iter().all(|destination| !destination.recipients.is_empty());
    if recipients == 0 || recipients > MAX_RECIPIENTS || !once || found.contains(&false) {
        return Err(StoreError::Unavailable(
            "an envelope whose recipients are not each in one queue".to_owned(),
        ));
    }
    if twice || !none_empty {
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
        if self.knows(&message).await? {
            return Ok(Receipt::new(message.id));
        }
        self.wait_for_room().await?;
        let (told, done) = oneshot::channel();
        self.log.append(message, told);
        done.await.map_err(|_| StoreError::Unavailable("the log is closed".to_owned()))?
    }

    /// Whether the message was stored before: it is there, in whatever state, or it is one of the last [`RECENT_IDS`]
    /// that came or, with derived ids, ended.
    async fn knows(self: &Arc<Self>, message: &NewMessage) -> Result<bool, StoreError> {
        match self.intake.knows(message.id) {
            Known::Yes => return Ok(true),
            Known::No => return Ok(false),
            Known::Perhaps => {}
        }
        let key = |domain: &Domain| EntryKey { domain: domain.clone(), id: message.id };
        let keys: Vec<_> = message.destinations.iter().map(|one| key(&one.domain)).collect();
        self.blocking(move |shared| {
            for key in &keys {
                if shared.entry(key)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
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
        assert_eq!(recent.knows(id(0)), Known::Perhaps, "the oldest was forgotten");
        assert_eq!(recent.knows(id(1)), Known::Yes);
        assert_eq!(recent.knows(id(1 << 20)), Known::No);
        assert!(recent.add(id(0)));
    }
}
