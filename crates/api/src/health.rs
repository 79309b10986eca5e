//! The condition of the server.

use restante_types::Domain;
use serde::{Deserialize, Serialize};

use crate::alarm::AlarmView;

/// How bad it is, in a monitor's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// Mail cannot come in or go out.
    Critical,
}

/// The way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum IntakeReport {
    /// Mail can come in.
    Open,
    /// Too little room: 452 4.3.1.
    LowDisk,
    /// Writes fail: 452 4.3.1.
    Failing {
        /// The cause.
        cause: String,
    },
}

/// The way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum IndexReport {
    /// Mail can go out.
    Ready,
    /// The log is being read.
    Rebuilding {
        /// Octets read so far.
        done: u64,
        /// Octets to read.
        total: u64,
    },
    /// The index cannot be written.
    Failing {
        /// The cause.
        cause: String,
    },
}

/// The condition of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The worst of it.
    pub status: Level,
    /// One line each, worst first; empty when all is well.
    pub problems: Vec<String>,
    /// The way in.
    pub intake: IntakeReport,
    /// The way out.
    pub index: IndexReport,
    /// Octets free on the store's file system.
    pub free_bytes: Option<u64>,
    /// Octets below which intake closes.
    pub low_water_bytes: Option<u64>,
    /// Messages held, in all states.
    pub messages: u64,
    /// Damaged records found since start.
    pub damaged: u64,
    /// The clock jumped: nothing expires until it is trusted again.
    pub clock_doubted: bool,
    /// Domains with mail that are no longer configured, at most 20 of them.
    pub orphaned: Vec<Domain>,
    /// Domains whose route leads nowhere or back to us, at most 20 of them.
    pub misrouted: Vec<Domain>,
    /// The alarms that are open, at most 20 of them, those that somebody should act on first.
    #[serde(default)]
    pub alarms: Vec<AlarmView>,
    /// The server's version.
    pub version: String,
}
