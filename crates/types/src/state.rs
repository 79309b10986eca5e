//! What became of a recipient so far.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state of one recipient of a held message; an entry shows the state of its least finished recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for its domain to be collected; never tried, or tried without an answer about it.
    Queued,
    /// Tried, and the next hop said 4xx or could not be reached.
    Deferred,
    /// The next hop said 5xx to it; parked with that reply.
    Failed,
    /// Older than its domain's retention; parked.
    Expired,
    /// Its domain leads nowhere or to ourselves; parked.
    Misrouted,
    /// Its record is damaged on disk; parked, what is left can be exported.
    Damaged,
    /// Its domain is no longer configured; waits for the operator.
    Orphaned,
    /// Its sender may not be told, or it is a notice that may not be sent; kept for the domain's owner.
    Dead,
    /// Deleted by the operator; restorable for 24 hours.
    Deleted,
    /// Delivered: the next hop took responsibility. Never shown in lists.
    Delivered,
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such state; one of queued deferred failed expired misrouted damaged orphaned dead deleted")]
pub struct ParseStateError;

impl DeliveryState {
    /// All states, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Deferred,
        Self::Failed,
        Self::Expired,
        Self::Misrouted,
        Self::Damaged,
        Self::Orphaned,
        Self::Dead,
        Self::Deleted,
        Self::Delivered,
    ];

    /// Whether a drain would try it.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::Queued | Self::Deferred)
    }

    /// The word of the interface.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Misrouted => "misrouted",
            Self::Damaged => "damaged",
            Self::Orphaned => "orphaned",
            Self::Dead => "dead",
            Self::Deleted => "deleted",
            Self::Delivered => "delivered",
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeliveryState {
    type Err = ParseStateError;
    fn from_str(text: &str) -> Result<Self, ParseStateError> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(ParseStateError)
    }
}
