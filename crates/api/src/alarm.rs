//! Alarms: conditions that somebody wants to know of, from when they begin until they end.

use jiff::Timestamp;
use restante_types::Domain;
use serde::{Deserialize, Serialize};

/// One alarm that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmView {
    /// Which: `primary-down`, `disk-low` and so on.
    pub event: String,
    /// Whose; `null` where it is about the server.
    pub domain: Option<Domain>,
    /// Since when.
    pub since: Timestamp,
    /// One line for people; safe to show.
    pub detail: String,
    /// Whether somebody should act, or it is only good to know.
    pub warning: bool,
}
