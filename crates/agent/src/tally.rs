//! What one collection brought.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Counts of one collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Messages that the local side took.
    pub messages: u64,
    /// Their octets.
    pub bytes: u64,
    /// Recipients and messages that were refused for good, by the local side or because they are none of ours.
    pub refused: u64,
    /// Those that the local side put off.
    pub deferred: u64,
    /// Messages that the server announced (ETRN's 253).
    pub announced: u64,
}

/// How far a collection is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is under way.
    #[default]
    Idle,
    /// The server is being called.
    Calling,
    /// It was asked, and has not answered yet.
    Asked,
    /// Mail is coming: so many messages, so many octets.
    Collecting {
        /// Messages so far.
        messages: u64,
        /// Octets so far, those of the message that is coming included.
        bytes: u64,
    },
}

/// Tells who watches.
pub(crate) fn show(shown: &watch::Sender<Progress>, progress: Progress) {
    shown.send_replace(progress);
}
