//! What the store tells the operator: one function per event, stable names and fields.
//!
//! Addresses are not logged here; reasons come from the operator and are shown escaped.

use std::path::Path;
use std::time::Duration;

use restante_types::{Domain, Printable, QueueId};

use crate::index::IndexError;
use crate::stats::{HoldKind, HoldNote};

/// The index was complete and nothing had to be read.
pub(crate) fn store_opened(domains: usize, messages: u64) {
    tracing::info!(event = "store_opened", domains, messages);
}

/// The log has not the segments it had when it was closed: what the index says is compared with what is there.
pub(crate) fn segments_differ(expected: u64, found: u64) {
    tracing::error!(event = "segments_differ", expected, found);
}

/// The last stop was not in order: what the log got since the last checkpoint is read.
pub(crate) fn index_replaying(messages: u64) {
    tracing::info!(event = "index_replaying", messages);
}

/// The index is made anew from the log.
pub(crate) fn index_rebuilding(reason: &str, aside: Option<&Path>) {
    let aside = aside.map(|path| path.display().to_string());
    tracing::warn!(event = "index_rebuilding", reason = %Printable::from(reason), aside);
}

/// The log is read, the index is complete.
pub(crate) fn index_ready(records: u64, repaired: u64, took: Duration) {
    tracing::info!(event = "index_ready", records, repaired, took_ms = took.as_millis() as u64);
}

/// The index was compared with the log, record by record, after an unclean stop.
pub(crate) fn index_compared(records: u64, repaired: u64, took: Duration) {
    tracing::info!(event = "index_compared", records, repaired, took_ms = took.as_millis() as u64);
}

/// The probe could not be started; the index was opened without it.
pub(crate) fn probe_not_run(cause: &str) {
    tracing::warn!(event = "index_probe_not_run", cause = %Printable::from(cause));
}

/// The index cannot be written or read any more.
pub(crate) fn index_failed(cause: &IndexError) {
    tracing::error!(event = "index_failed", cause = %Printable::from(cause.0.as_str()));
}

/// Comparing the index with the log ended early.
pub(crate) fn recovery_failed(cause: &dyn std::fmt::Display) {
    tracing::error!(event = "index_recovery_failed", cause = %Printable::from(cause.to_string().as_str()));
}

/// A small file of the store could not be written; it is tried again with the next checkpoint.
pub(crate) fn file_failed(file: &str, cause: &std::io::Error) {
    tracing::error!(event = "store_file_failed", file, cause = %cause);
}

/// A record of the log cannot be read; its message is parked as damaged.
pub(crate) fn damaged(id: Option<QueueId>, what: &str) {
    let id = id.map(|id| id.to_string());
    tracing::error!(event = "record_damaged", id, what = %Printable::from(what));
}

/// An entry was parked as damaged; all of it was read since and is whole: it waits again.
pub(crate) fn mended(id: QueueId) {
    tracing::info!(event = "readable_again", id = %id);
}

/// One message was stored twice under the same id; the second record is dropped.
pub(crate) fn duplicate(id: QueueId) {
    tracing::info!(event = "duplicate_dropped", id = %id);
}

/// The wall clock jumped, or stands before the newest record: nothing expires.
pub(crate) fn clock_doubted() {
    tracing::error!(event = "clock_doubted", "nothing expires until the clock has been steady for an hour");
}

/// The clock has been steady for an hour.
pub(crate) fn clock_trusted() {
    tracing::info!(event = "clock_trusted");
}

/// A domain was stopped.
pub(crate) fn domain_held(domain: &Domain, kind: HoldKind, reason: &str) {
    tracing::warn!(event = "domain_held", domain = %domain, kind = ?kind, reason = %Printable::from(reason));
}

/// A domain goes again.
pub(crate) fn domain_released(domain: &Domain) {
    tracing::info!(event = "domain_released", domain = %domain);
}

/// Entries were deleted by the operator; they can be restored for 24 hours.
pub(crate) fn deleted(entries: u64, reason: &str) {
    tracing::info!(event = "deleted", entries, reason = %Printable::from(reason));
}

/// Entries that waited too long were parked.
pub(crate) fn expired(domain: &Domain, entries: u64) {
    tracing::info!(event = "expired", domain = %domain, entries);
}

/// Every domain is stopped, because this is a restored copy.
pub(crate) fn restored_copy(note: &HoldNote) {
    tracing::warn!(event = "restored_copy", reason = %Printable::from(note.reason.as_str()));
}

/// A consistent copy was made.
pub(crate) fn backed_up(to: &Path, messages: u64) {
    tracing::info!(event = "backed_up", to = %to.display(), messages);
}
