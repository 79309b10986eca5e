//! The one octet per recipient that may change after a record was written.

use restante_types::DeliveryState;

/// What the log remembers of one recipient, so that a rebuilt index knows what was done, stopped and deleted.
///
/// Layout: bits 0–2 the state, bit 3 deleted, bit 4 held, bits 5–7 a check over them. The octet lies outside the
/// record's checksums (it is overwritten in place), so the check finds every single flipped bit, and neither a hole
/// (0x00) nor 0xff is a valid octet; an invalid octet reads as [`DeliveryState::Damaged`], never as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StateByte(u8);

const DELETED: u8 = 0b0_1000;
const HELD: u8 = 0b1_0000;
const CODE: u8 = 0b0_0111;
const PURGED: u8 = 7;
/// The states in the order of their codes; 7 is purged.
const STATES: [DeliveryState; 7] = [
    DeliveryState::Queued,
    DeliveryState::Failed,
    DeliveryState::Expired,
    DeliveryState::Misrouted,
    DeliveryState::Damaged,
    DeliveryState::Dead,
    DeliveryState::Delivered,
];

impl StateByte {
    /// Waits.
    pub(crate) const QUEUED: Self = Self(0);
    /// Removed for good.
    pub(crate) const PURGED: Self = Self(PURGED);

    /// In this state, neither held nor deleted. What the log does not tell apart is written as queued: deferred (the
    /// attempts lie in the index) and orphaned (the configuration says so); `Deleted` is queued with the flag.
    pub(crate) fn new(state: DeliveryState) -> Self {
        if state == DeliveryState::Deleted {
            return Self::QUEUED.with_deleted(true);
        }
        let code = STATES.iter().position(|known| *known == state).unwrap_or(0);
        Self(u8::try_from(code).unwrap_or(0))
    }

    /// With the operator's deletion set or taken back; the state under it stays what it was.
    pub(crate) const fn with_deleted(self, deleted: bool) -> Self {
        Self(if deleted { self.0 | DELETED } else { self.0 & !DELETED })
    }

    /// With the operator's stop set or taken back.
    pub(crate) const fn with_held(self, held: bool) -> Self {
        Self(if held { self.0 | HELD } else { self.0 & !HELD })
    }

    /// Damaged, deleted and held as it is.
    pub(crate) fn damaged(self) -> Self {
        Self::new(DeliveryState::Damaged).with_deleted(self.is_deleted()).with_held(self.is_held())
    }

    /// The state, or the former state of what is deleted. Purged reads as `Deleted`.
    pub(crate) fn state(self) -> DeliveryState {
        STATES.get(usize::from(self.0 & CODE)).copied().unwrap_or(DeliveryState::Deleted)
    }

    /// Whether the operator deleted it and may still restore it.
    pub(crate) const fn is_deleted(self) -> bool {
        self.0 & DELETED != 0
    }

    /// Whether the operator stopped it.
    pub(crate) const fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// Whether it was removed for good.
    pub(crate) const fn is_purged(self) -> bool {
        self.0 & CODE == PURGED
    }

    /// Whether nothing will ever happen to it again: delivered or purged. A record whose recipients are all done is
    /// dead, and its room is given back.
    pub(crate) fn is_done(self) -> bool {
        self.is_purged() || self.state() == DeliveryState::Delivered
    }

    /// The octet on the disk.
    pub(crate) const fn to_octet(self) -> u8 {
        self.0 | (check(self.0) << 5)
    }

    /// Reads the octet; damaged if its check is wrong.
    pub(crate) fn from_octet(octet: u8) -> Self {
        let data = octet & (CODE | DELETED | HELD);
        if octet >> 5 == check(data) { Self(data) } else { Self::new(DeliveryState::Damaged) }
    }
}

/// Three linear checks over the five data bits; every data bit is in at least one, so one flipped bit always shows.
const fn check(data: u8) -> u8 {
    let (b0, b1, b2, b3, b4) = (data & 1, data >> 1 & 1, data >> 2 & 1, data >> 3 & 1, data >> 4 & 1);
    ((b0 ^ b1 ^ b3) | (b0 ^ b2 ^ b4) << 1 | (b1 ^ b2 ^ b3 ^ b4) << 2) ^ 0b101
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_with_its_flags_reads_back() {
        for state in STATES {
            for (deleted, held) in [(false, false), (true, false), (false, true), (true, true)] {
                let byte = StateByte::new(state).with_deleted(deleted).with_held(held);
                let read = StateByte::from_octet(byte.to_octet());
                assert_eq!(read, byte);
                assert_eq!((read.state(), read.is_deleted(), read.is_held()), (state, deleted, held));
                assert_eq!(read.with_deleted(false).with_held(false), StateByte::new(state));
            }
        }
        assert!(StateByte::from_octet(StateByte::PURGED.to_octet()).is_purged());
    }

    #[test]
    fn a_flipped_bit_a_hole_and_all_ones_are_damaged_and_never_done() {
        for data in 0..32 {
            let octet = StateByte(data).to_octet();
            for bit in 0..8 {
                let read = StateByte::from_octet(octet ^ (1 << bit));
                assert_eq!(read.state(), DeliveryState::Damaged, "{octet:08b} bit {bit}");
                assert!(!read.is_done());
            }
        }
        for octet in [0x00, 0xff] {
            assert_eq!(StateByte::from_octet(octet).state(), DeliveryState::Damaged);
        }
    }

    #[test]
    fn only_delivered_and_purged_are_done() {
        for state in DeliveryState::ALL {
            assert_eq!(StateByte::new(state).is_done(), state == DeliveryState::Delivered);
        }
        assert!(StateByte::PURGED.is_done());
        assert!(StateByte::new(DeliveryState::Deleted).is_deleted());
    }
}
