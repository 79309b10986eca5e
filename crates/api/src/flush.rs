//! Drains that the operator starts.

use restante_types::Domain;
use serde::{Deserialize, Serialize};

use crate::status::{DrainView, LastDrainView};

/// Start to deliver now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushRequest {
    /// Which domains.
    pub domains: Vec<Domain>,
    /// Forget the retry history first.
    #[serde(default)]
    pub reset: bool,
    /// Stream until every drain has ended, instead of until it has started.
    #[serde(default)]
    pub wait: bool,
}

/// Something happened to a domain that is being flushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum FlushEvent {
    /// It was asked for.
    Started {
        /// Whose.
        domain: Domain,
        /// Messages waiting.
        messages: u64,
        /// A drain was at it already; it looks once more before it ends.
        running: bool,
    },
    /// It cannot be done.
    Refused {
        /// Whose.
        domain: Domain,
        /// Why, for people.
        reason: String,
    },
    /// It goes on.
    Progress {
        /// Whose.
        domain: Domain,
        /// Messages that still wait.
        messages: u64,
        /// What the drain did so far.
        drain: DrainView,
    },
    /// It ended.
    Ended {
        /// Whose.
        domain: Domain,
        /// Messages that still wait.
        messages: u64,
        /// How; `null` when nothing was waiting, so that no drain was needed.
        last_drain: Option<LastDrainView>,
    },
    /// It was asked for and has not begun: every courier is busy, or the domain's primary is being looked up. It
    /// stays asked for.
    Queued {
        /// Whose.
        domain: Domain,
    },
}

/// The end of it. Numbers are domains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushEnd {
    /// Everything that waited was delivered, or nothing waited.
    pub clean: u64,
    /// Something is left: deferred, failed or not begun.
    pub left: u64,
    /// Could not be asked for.
    pub refused: u64,
}
