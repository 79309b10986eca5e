//! Damage: what cannot be read is parked, told, and looked at again by the next start.
//!
//! That an entry is damaged stands in the index alone. The log keeps the state that its recipients had, and where a read
//! failed only for a time (a cable, a controller, a file system that was mended) that state counts again.

use std::sync::Arc;

use restante_types::QueueId;

use super::shared::{Shared, Stretch};
use super::turn::Turn;
use crate::entry::EntryKey;
use crate::error::StoreError;
use crate::events;
use crate::limits::LIST_WORK;
use crate::log::{DamagedRecord, Place};

/// What a comparison came upon in passing.
#[derive(Default)]
pub(super) struct Doubtful {
    /// Entries that are parked as damaged although their records can be read.
    pub(super) parked: Vec<(EntryKey, Place)>,
    /// Records that could be read a moment ago.
    pub(super) unreadable: Vec<(QueueId, Place, String)>,
}

/// Lets go the entries that turn out to be whole, content and all; how many. The rest is reported.
pub(super) fn look_again(shared: &Shared, doubtful: Doubtful) -> Result<u64, StoreError> {
    for (id, place, what) in doubtful.unreadable {
        shared.found_damage(place, Some(id), &what);
    }
    let mut whole = Vec::new();
    for (key, place) in doubtful.parked {
        match shared.log.read_whole(place) {
            Ok(message) if message.id == key.id => whole.push((key, place)),
            Ok(_) | Err(StoreError::NotFound) => {}
            Err(StoreError::Damaged(what)) => shared.found_damage(place, Some(key.id), &what),
            Err(error) => return Err(error),
        }
    }
    if whole.is_empty() { Ok(0) } else { shared.desk.ask_blocking(move |turn| mend(turn, &whole)) }
}

fn mend(turn: &mut Turn<'_>, whole: &[(EntryKey, Place)]) -> Result<u64, StoreError> {
    let now = turn.now;
    let mut mended = 0;
    for (key, place) in whole {
        let message = match turn.log.read(*place) {
            Ok(message) => message,
            Err(StoreError::NotFound | StoreError::Damaged(_)) => continue,
            Err(error) => return Err(error),
        };
        if let Some(entry) = turn.entry(key)?
            && entry.place == *place
            && entry.may_be_mended(&message.states)
        {
            entry.mend(&message.states, now);
            events::mended(key.id);
            mended += 1;
        }
    }
    Ok(mended)
}

/// Parks the entries whose records lie in damaged stretches. Which they are only the index can tell, so it is walked
/// once; this happens only where there is damage.
pub(super) fn park_all(shared: &Arc<Shared>, damaged: &[DamagedRecord]) -> Result<(), StoreError> {
    if damaged.is_empty() {
        return Ok(());
    }
    let hit = |place: Place| {
        damaged.iter().any(|record| {
            let from = record.place.offset;
            let until = u64::from(from) + record.octets;
            place.segment == record.place.segment && place.offset >= from && u64::from(place.offset) < until
        })
    };
    let mut after: Option<EntryKey> = None;
    loop {
        let entries = shared.entries(&Stretch::All(after.as_ref()), LIST_WORK)?;
        let Some((last, _)) = entries.last() else { return Ok(()) };
        after = Some(last.clone());
        let keys: Vec<_> =
            entries.into_iter().filter(|(_, entry)| hit(entry.place)).map(|(key, _)| key).collect();
        if !keys.is_empty() {
            shared.desk.ask_blocking(move |turn| park(turn, &keys))?;
        }
    }
}

fn park(turn: &mut Turn<'_>, keys: &[EntryKey]) -> Result<(), StoreError> {
    let now = turn.now;
    for key in keys {
        // A stretch may be damaged around records that are whole.
        let Some(place) = turn.entry(key)?.map(|entry| entry.place) else { continue };
        if turn.log.read(place).is_ok() {
            continue;
        }
        if let Some(entry) = turn.entry(key)? {
            entry.spoil(now);
        }
    }
    Ok(())
}

/// Without a look at the record, which may be whole where the content is not.
fn park_whatever(turn: &mut Turn<'_>, key: &EntryKey) -> Result<(), StoreError> {
    let now = turn.now;
    if let Some(entry) = turn.entry(key)? {
        entry.spoil(now);
    }
    Ok(())
}

impl Shared {
    /// Parks an entry whose record turned out to be damaged while it was read.
    pub(super) async fn park_damaged(
        self: &Arc<Self>,
        key: EntryKey,
        place: Place,
        what: &str,
    ) -> Result<(), StoreError> {
        self.found_damage(place, Some(key.id), what);
        self.desk.ask(move |turn| park(turn, &[key])).await
    }

    /// Parks an entry whose content cannot be had, whole as its record may be: a large file that is gone or short.
    pub(super) async fn park_without_content(
        &self,
        key: EntryKey,
        place: Place,
        what: &str,
    ) -> Result<(), StoreError> {
        self.found_damage(place, Some(key.id), what);
        self.desk.ask(move |turn| park_whatever(turn, &key)).await
    }

    /// Parks an entry whose content turned out to be damaged while it was read. Nobody waits for it.
    pub(super) fn content_is_damaged(&self, key: EntryKey, place: Place, what: &str) {
        self.found_damage(place, Some(key.id), what);
        self.desk.tell(move |turn| park_whatever(turn, &key));
    }
}
