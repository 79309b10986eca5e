//! Counts and conditions; nothing here scans.

use std::collections::BTreeMap;

use restante_types::{DeliveryState, Domain, UnixMillis};

use crate::lease::DrainCause;
use crate::pauses::Pauses;

/// Why a whole domain is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HoldKind {
    /// The operator said `hold`.
    Operator,
    /// It was held at the last good start and is no longer configured.
    Orphaned,
    /// Its route leads to ourselves or nowhere.
    Misrouted,
    /// The primary refused too much: nothing is sent, and nothing bounced, until somebody looked.
    Circuit,
}

/// How a domain is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOrder {
    /// Who or what stops it.
    pub kind: HoldKind,
    /// For people.
    pub reason: String,
    /// When it may go again on its own (see [`QueueStore::holds_over`](crate::QueueStore::holds_over)).
    pub until: Option<UnixMillis>,
    /// Whether its mail gets no older meanwhile.
    pub pause_retention: bool,
}

impl HoldOrder {
    /// Until it is released, with the clock running.
    #[must_use]
    pub fn new(kind: HoldKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), until: None, pause_retention: false }
    }
}

/// A domain's stop, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HoldNote {
    /// Who or what stopped it.
    pub kind: HoldKind,
    /// For people.
    pub reason: String,
    /// Since when.
    pub since: UnixMillis,
    /// When it may go again on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
    /// Its mail gets no older meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause_retention: bool,
}

/// A drain that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainProgress {
    /// What set it off.
    pub cause: DrainCause,
    /// Since when.
    pub since: UnixMillis,
    /// Recipients the next hop took.
    pub delivered: u64,
    /// Recipients that stay.
    pub deferred: u64,
    /// Recipients that were refused for good and parked.
    pub failed: u64,
}

/// How the last drain ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastDrain {
    /// When it ended.
    pub at: UnixMillis,
    /// Recipients the next hop took.
    pub delivered: u64,
    /// Recipients that stay.
    pub deferred: u64,
    /// Recipients parked.
    pub failed: u64,
    /// One line.
    pub result: String,
}

/// One domain's queue at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainStats {
    /// Whose.
    pub domain: Domain,
    /// Messages that wait to be collected.
    pub messages: u64,
    /// Octets of their content.
    pub bytes: u64,
    /// Arrival of the oldest that waits.
    pub oldest: Option<UnixMillis>,
    /// Arrival of the newest that waits.
    pub newest: Option<UnixMillis>,
    /// Messages that do not wait, by state (`failed`, `expired`, …); absent means none.
    pub parked: BTreeMap<DeliveryState, u64>,
    /// The stop, if there is one.
    pub held: Option<HoldNote>,
    /// When we try on our own next.
    pub next_attempt: Option<UnixMillis>,
    /// How the last drain ended.
    pub last_drain: Option<LastDrain>,
    /// The drain that runs now.
    pub draining: Option<DrainProgress>,
    /// When its clock stood still: how old its mail is.
    pub pauses: Pauses,
}

/// Whether mail can come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeHealth {
    /// It can.
    Open,
    /// Below the low-water mark: 452 4.3.1.
    LowDisk,
    /// Writes fail: 452 4.3.1.
    Failing(String),
}

/// Whether mail can go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexHealth {
    /// It can.
    Ready,
    /// The log is being read: ETRN answers 458, ATRN 451.
    Rebuilding {
        /// Octets of log read so far.
        done: u64,
        /// Octets to read.
        total: u64,
    },
    /// The index cannot be written.
    Failing(String),
}

/// Inodes of the file system of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InodeRoom {
    /// Free ones.
    pub free: u64,
    /// How many must be free; with fewer intake closes.
    pub low_water: u64,
}

/// The condition of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The way in.
    pub intake: IntakeHealth,
    /// The way out.
    pub index: IndexHealth,
    /// Octets free on the file system of the store, where it has one.
    pub free_bytes: Option<u64>,
    /// Octets below which intake closes.
    pub low_water_bytes: Option<u64>,
    /// The file system's inodes, where they are counted and watched.
    pub inodes: Option<InodeRoom>,
    /// Messages held, all domains, all states but delivered.
    pub messages: u64,
    /// Damaged records found since start.
    pub damaged: u64,
    /// The clock jumped, or stands before the newest record: nothing expires.
    pub clock_doubted: bool,
}
