//! Domains.

use std::collections::BTreeMap;

use jiff::Timestamp;
use restante_types::{DeliveryState, Domain};
use serde::{Deserialize, Serialize};

use crate::alarm::AlarmView;

/// One domain, as `status` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainStatus {
    /// Whose queue.
    pub domain: Domain,
    /// `on-demand` or `push`; `null` for a domain that is not configured (any more).
    pub mode: Option<String>,
    /// Messages that wait to be collected.
    pub messages: u64,
    /// Octets of their content.
    pub bytes: u64,
    /// Arrival of the oldest that waits.
    pub oldest: Option<Timestamp>,
    /// Arrival of the newest that waits.
    pub newest: Option<Timestamp>,
    /// Whether the operator stopped it.
    pub held: bool,
    /// The stop, whoever made it.
    pub hold: Option<HoldView>,
    /// When the server tries on its own next.
    pub next_attempt: Option<Timestamp>,
    /// How the last drain ended.
    pub last_drain: Option<LastDrainView>,
    /// The drain that runs now.
    pub draining: Option<DrainView>,
    /// Messages that do not wait, by state.
    pub parked: BTreeMap<DeliveryState, u64>,
    /// The alarms about it that are open.
    #[serde(default)]
    pub alarms: Vec<AlarmView>,
}

/// Why a domain is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// `operator`, `orphaned`, `misrouted` or `circuit`.
    pub kind: String,
    /// For people.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends on its own.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Whether mail gets no older meanwhile.
    #[serde(default)]
    pub retention_paused: bool,
}

/// How a drain ended. Numbers are recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDrainView {
    /// When it ended.
    pub at: Timestamp,
    /// Taken by the next hop.
    pub delivered: u64,
    /// Still here.
    pub deferred: u64,
    /// Refused for good, and parked.
    pub failed: u64,
    /// One line.
    pub result: String,
}

/// A drain that runs. Numbers are recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainView {
    /// `etrn`, `atrn`, `turn`, `flush` or `schedule`.
    pub cause: String,
    /// Since when.
    pub since: Timestamp,
    /// Taken by the next hop so far.
    pub delivered: u64,
    /// Tried, and still here.
    pub deferred: u64,
    /// Refused for good, and parked.
    pub failed: u64,
}

/// The end of a stream of domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusEnd {
    /// How many there were.
    pub domains: u64,
}
