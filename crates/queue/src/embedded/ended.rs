//! Messages that ended and may be handed in again: a notice that was stored, and delivered, before its original was
//! concluded. The index keeps the last of them, in a ring.

use std::ops::Bound;

use restante_types::QueueId;

use crate::index::{Change, ENDED, Index, IndexError};
use crate::limits::RECENT_IDS;

/// What the index has of them.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) ids: Vec<QueueId>,
    /// The number of the next one.
    pub(super) next: u64,
}

fn key(number: u64) -> Vec<u8> {
    [ENDED, &number.to_be_bytes()].concat()
}

/// Notes one, and forgets the oldest.
pub(super) fn note(number: u64, id: QueueId) -> impl Iterator<Item = Change> {
    let oldest = number.checked_sub(RECENT_IDS as u64);
    let forget = oldest.map(|oldest| (key(oldest), None));
    [(key(number), Some(id.to_bytes().to_vec()))].into_iter().chain(forget)
}

impl Ended {
    pub(super) fn load(index: &Index) -> Result<Self, IndexError> {
        let mut found = Self::default();
        for item in index.range((Bound::Included(key(0)), Bound::Included(key(u64::MAX)))) {
            let (key, id) = item?;
            let number = key.last_chunk().map(|number| u64::from_be_bytes(*number));
            let id: Option<[u8; 16]> = id.as_ref().try_into().ok();
            let (Some(number), Some(id)) = (number, id) else {
                return Err(IndexError("an ended message that does not decode".to_owned()));
            };
            found.ids.push(QueueId::from_bytes(id));
            found.next = number.saturating_add(1);
        }
        Ok(found)
    }
}
