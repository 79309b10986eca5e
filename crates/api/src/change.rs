//! What the operator changes.

use std::path::PathBuf;

use jiff::Timestamp;
use restante_types::{Domain, QueueId};
use serde::{Deserialize, Serialize};

use crate::entry::EntryView;
use crate::filter::EntryFilter;

/// Hold, release, delete or restore; which one is said by the path. Either domains or a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeRequest {
    /// Whole domains (hold and release only).
    pub domains: Vec<Domain>,
    /// Single entries.
    pub filter: EntryFilter,
    /// Really everything, where the filter is empty.
    pub all: bool,
    /// Why; deleting wants it.
    pub reason: Option<String>,
    /// When a domain that is stopped goes again on its own (hold of domains only).
    pub until: Option<Timestamp>,
    /// Its mail gets no older meanwhile (hold of domains only).
    pub pause_retention: bool,
    /// Only count.
    pub dry_run: bool,
    /// Only messages up to this one: what a preview counted. Later ones are not touched.
    pub as_of: Option<QueueId>,
}

/// A change that is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeProgress {
    /// Entries that matched so far.
    pub matched: u64,
    /// Entries that were changed so far.
    pub changed: u64,
}

/// What a change did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyReport {
    /// Domains or entries that matched.
    pub matched: u64,
    /// Those that were changed; 0 with `dry_run`. Fewer than matched where some were so already.
    pub changed: u64,
    /// Octets of the matching entries' content.
    pub bytes: u64,
    /// The first of them, with `dry_run`.
    pub sample: Vec<EntryView>,
    /// Nothing was done.
    pub dry_run: bool,
    /// The newest message that was looked at; `as_of` of the change that follows a preview.
    pub as_of: QueueId,
}

/// Copy the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRequest {
    /// Where to, as the server sees it; absolute.
    pub directory: PathBuf,
}

/// A copy that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupProgress {
    /// Whole seconds since it began.
    pub seconds: u64,
}

/// A copy that is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Where it is.
    pub directory: PathBuf,
    /// Messages in it.
    pub messages: u64,
}
