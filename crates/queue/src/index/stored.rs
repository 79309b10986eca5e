//! An entry as octets. Values up to 22 octets lie inside sled's nodes without an allocation of their own, and the
//! common entry (one recipient, nothing happened yet) fits: this is most of what a held message costs in memory.

use restante_types::{QueueId, Reply, UnixMillis};
use serde::{Deserialize, Serialize};

use super::IndexError;
use super::value::{EntryValue, RecipientValue};
use crate::log::Place;

/// The version of the index's keys and values; another one means that the index is rebuilt from the log.
pub(super) const FORMAT: u8 = 2;

/// Octets of most values.
const USUAL: usize = 22;

const SOLE: u8 = 1;
const SCHEDULED: u8 = 2;

/// What is there for every entry. The offset is rotated, because it is a multiple of 64; the arrival is told from the
/// id's time.
#[derive(Serialize, Deserialize)]
struct Common {
    flags: u8,
    segment: u64,
    offset: u32,
    size: u64,
    delay: i64,
    attempts: u32,
}

/// What most entries do not have.
#[derive(Serialize, Deserialize)]
struct Rare<T> {
    next_attempt: Option<UnixMillis>,
    parked: Option<UnixMillis>,
    held: Option<T>,
    note: Option<T>,
}

impl EntryValue {
    /// The value of the entry of this message.
    pub(crate) fn encode(&self, id: QueueId) -> Vec<u8> {
        let common = Common {
            flags: if self.sole { SOLE } else { 0 } | if self.scheduled { SCHEDULED } else { 0 },
            segment: self.place.segment,
            offset: self.place.offset.rotate_right(6),
            size: self.size,
            delay: self.arrived.0.wrapping_sub(id.minted().0).cast_signed(),
            attempts: self.attempts,
        };
        let rare = Rare {
            next_attempt: self.next_attempt,
            parked: self.parked,
            held: self.held.as_deref(),
            note: self.note.as_deref(),
        };
        let some = rare.next_attempt.is_some()
            || rare.parked.is_some()
            || rare.held.is_some()
            || rare.note.is_some();
        let fields = (common, some.then_some(rare), &self.recipients, &self.replies);
        let mut octets = Vec::with_capacity(USUAL);
        octets.push(FORMAT);
        postcard::to_extend(&fields, octets).expect("plain values in memory always serialise")
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(id: QueueId, value: &[u8]) -> Result<Self, IndexError> {
        let Some((&FORMAT, fields)) = value.split_first() else {
            return Err(IndexError("an entry of a format that is not ours".to_owned()));
        };
        let (common, rare, recipients, replies): (
            Common,
            Option<Rare<String>>,
            Vec<RecipientValue>,
            Vec<Reply>,
        ) = postcard::from_bytes(fields)
            .map_err(|error| IndexError(format!("an entry that does not decode: {error}")))?;
        let rare = rare.unwrap_or(Rare { next_attempt: None, parked: None, held: None, note: None });
        Ok(Self {
            place: Place { segment: common.segment, offset: common.offset.rotate_left(6) },
            size: common.size,
            arrived: UnixMillis(id.minted().0.wrapping_add(common.delay.cast_unsigned())),
            sole: common.flags & SOLE != 0,
            scheduled: common.flags & SCHEDULED != 0,
            attempts: common.attempts,
            next_attempt: rare.next_attempt,
            parked: rare.parked,
            held: rare.held,
            note: rare.note,
            recipients,
            replies,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::value::{kept_reason, tests::entry};
    use super::*;
    use crate::limits::{MAX_RECIPIENTS, MAX_REPLIES, MAX_REPLY_TEXT};

    fn id() -> QueueId {
        "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    #[test]
    fn the_common_entry_needs_no_allocation_in_sled() {
        let mut common = entry(1);
        common.arrived = id().minted().plus(std::time::Duration::from_millis(30));
        common.place = Place { segment: 16_000, offset: 63 << 20 };
        assert!(common.encode(id()).len() <= 22, "{}", common.encode(id()).len());
    }

    #[test]
    fn a_full_entry_is_far_below_what_sled_syncs() {
        let mut full = entry(u16::try_from(MAX_RECIPIENTS).unwrap());
        full.held = Some(kept_reason(&"x".repeat(9999)));
        full.note = full.held.clone();
        for recipient in 0..full.recipients.len() {
            full.recipients[recipient].attempts = 100;
            full.set_reply(
                recipient,
                &Reply::new(450, (4, 2, 0), format!("{recipient} {}", "ü".repeat(1000))),
            );
        }
        assert_eq!(full.replies.len(), MAX_REPLIES);
        assert!(full.replies.iter().all(|reply| reply.text.len() <= MAX_REPLY_TEXT));
        let value = full.encode(id());
        assert!(value.len() < 64 << 10, "{}", value.len());
        assert_eq!(EntryValue::decode(id(), &value).unwrap(), full);
    }

    #[test]
    fn other_formats_and_rubbish_are_errors() {
        let mut value = entry(2).encode(id());
        value[0] = FORMAT + 1;
        for value in [&value[..], &[], &[FORMAT, 1, 2]] {
            assert!(EntryValue::decode(id(), value).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_entry_reads_back(
            numbers in any::<(u64, u32, u64, u64, u32)>(),
            flags in any::<(bool, bool)>(),
            times in any::<(Option<u64>, Option<u64>)>(),
            texts in any::<(Option<String>, Option<String>)>(),
            recipients in 0..5u16,
        ) {
            let entry = EntryValue {
                place: Place { segment: numbers.0, offset: numbers.1 },
                size: numbers.2,
                arrived: UnixMillis(numbers.3),
                attempts: numbers.4,
                sole: flags.0,
                scheduled: flags.1,
                next_attempt: times.0.map(UnixMillis),
                parked: times.1.map(UnixMillis),
                held: texts.0,
                note: texts.1,
                ..entry(recipients)
            };
            prop_assert_eq!(EntryValue::decode(id(), &entry.encode(id())).unwrap(), entry);
        }

        #[test]
        fn no_octets_make_it_panic(mut octets in proptest::collection::vec(any::<u8>(), 1..60)) {
            octets[0] = FORMAT;
            let _ = EntryValue::decode(id(), &octets);
        }
    }
}
