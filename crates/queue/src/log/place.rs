//! Where things lie in the log.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Where a record lies. Places sort in the order the records were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The segment's number, counted from 1 and never used twice.
    pub(crate) segment: u64,
    /// Octets from the start of the segment, a multiple of 64.
    pub(crate) offset: u32,
}

/// A point between records, for checkpoints: everything before it is durable and was handed to `on_durable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct LogPosition {
    /// The segment's number.
    pub(crate) segment: u64,
    /// Octets from the start of the segment.
    pub(crate) offset: u32,
}

impl LogPosition {
    /// Before everything.
    pub(crate) const START: Self = Self { segment: 0, offset: 0 };

    /// How far into a segment it lies: 0 before it, the most there is behind it.
    pub(crate) fn within(self, segment: u64) -> u32 {
        match self.segment.cmp(&segment) {
            Ordering::Less => 0,
            Ordering::Equal => self.offset,
            Ordering::Greater => u32::MAX,
        }
    }
}
