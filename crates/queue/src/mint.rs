//! Queue ids: UUID version 7 (RFC 9562 5.7), monotonic.

use rand::Rng;
use restante_types::{QueueId, UnixMillis};
use uuid::Builder;

/// Makes ids that grow, whatever the clock does.
///
/// The 48 bits of time and the 12 bits behind them are one number that only goes up (RFC 9562 6.2, method 1); the
/// other 62 bits are random.
#[derive(Debug)]
pub(crate) struct Minter {
    /// Milliseconds and counter of the newest id: `milliseconds << 12 | counter`.
    newest: u64,
}

const COUNTER_BITS: u32 = 12;
const MAX_MILLIS: u64 = (1 << 48) - 1;

impl Minter {
    /// Ids will be greater than `newest`.
    pub(crate) fn after(newest: QueueId) -> Self {
        let mut minter = Self { newest: 0 };
        minter.saw(newest);
        minter
    }

    /// An id that somebody else made and that was stored: later ids are greater.
    pub(crate) fn saw(&mut self, id: QueueId) {
        let bits = u128::from_be_bytes(id.to_bytes());
        let counter = (bits >> 64) as u64 & 0xfff;
        let millis = (bits >> 80) as u64;
        self.newest = self.newest.max(millis << COUNTER_BITS | counter);
    }

    /// No id so far is greater, and every later one will be.
    pub(crate) fn newest(&self) -> QueueId {
        self.id(u64::MAX)
    }

    fn id(&self, random: u64) -> QueueId {
        let mut tail = [0; 10];
        tail[..2].copy_from_slice(&((self.newest & 0xfff) as u16).to_be_bytes());
        tail[2..].copy_from_slice(&random.to_be_bytes());
        Builder::from_unix_timestamp_millis(self.newest >> COUNTER_BITS, &tail).into_uuid().into()
    }

    pub(crate) fn mint(&mut self, now: UnixMillis) -> QueueId {
        let earliest = now.0.min(MAX_MILLIS) << COUNTER_BITS;
        self.newest = earliest.max(self.newest.saturating_add(1)).min(MAX_MILLIS << COUNTER_BITS | 0xfff);
        // The thread's generator asks the kernel once for many, not once for each message.
        self.id(rand::rng().random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn ids_are_uuids_of_version_7_with_their_time() {
        let mut minter = Minter::after(QueueId::MIN);
        let id = minter.mint(UnixMillis(1_800_000_000_000));
        assert_eq!(id.minted(), UnixMillis(1_800_000_000_000));
        let uuid = Uuid::parse_str(&id.to_string()).unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
    }

    #[test]
    fn ten_thousand_in_one_millisecond_stay_in_order_and_differ() {
        let mut minter = Minter::after(QueueId::MIN);
        let ids: Vec<_> = (0..10_000).map(|_| minter.mint(UnixMillis(1_800_000_000_000))).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let tails: std::collections::HashSet<_> = ids.iter().map(|id| id.to_bytes()[8..].to_vec()).collect();
        assert!(tails.len() > 9_990, "the random part is random");
    }

    #[test]
    fn a_restart_with_an_earlier_clock_goes_on_behind_the_newest() {
        let newest = Minter::after(QueueId::MIN).mint(UnixMillis(1_800_000_000_000));
        let mut minter = Minter::after(newest);
        assert!(minter.newest() >= newest);
        let bound = minter.newest();
        assert!(minter.mint(UnixMillis(1_000_000_000_000)) > bound);
    }

    proptest! {
        #[test]
        fn ids_grow_whatever_the_clock_does(times in proptest::collection::vec(any::<u64>(), 1..50)) {
            // The last millisecond of the format has room for 4096 ids only; nobody lives to see it.
            let mut minter = Minter::after(QueueId::MIN);
            let ids: Vec<_> = times.iter().map(|time| minter.mint(UnixMillis(time >> 17))).collect();
            prop_assert!(ids.is_sorted_by(|a, b| a < b));
        }
    }
}
