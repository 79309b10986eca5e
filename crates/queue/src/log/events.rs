//! What the log says to the operator: one function per event.

use std::fmt::Display;
use std::path::Path;

use super::{DamagedRecord, OpenReport};

/// The log is open; everything that was mended stands in it.
pub(crate) fn log_opened(report: &OpenReport) {
    tracing::info!(
        event = "log_opened",
        segments = report.segments,
        octets = report.octets,
        unclean = report.unclean,
        torn_octets = report.torn_octets,
        left_over_files = report.left_over_files,
        damaged = report.damaged.len(),
    );
}

/// A stretch of the log cannot be read.
pub(crate) fn record_damaged(damaged: &DamagedRecord) {
    tracing::error!(
        event = "record_damaged",
        segment = damaged.place.segment,
        offset = damaged.place.offset,
        octets = damaged.octets,
        id = damaged.id.map(tracing::field::display),
        reason = %damaged.what,
    );
}

/// Mail is refused from now on because writing failed.
pub(crate) fn intake_closed(reason: &dyn Display) {
    tracing::error!(event = "intake_closed", %reason);
}

/// Writing works again.
pub(crate) fn intake_opened() {
    tracing::info!(event = "intake_opened");
}

/// Mail is refused from now on for want of room.
pub(crate) fn room_low(free: u64, low_water: u64, inodes: bool) {
    tracing::error!(event = "disk_low", free, low_water, inodes);
}

/// There is room again.
pub(crate) fn room_back(free: u64) {
    tracing::info!(event = "disk_back", free);
}

/// A write to a segment, or its sync, failed: it is neither written nor synced again before the next start.
pub(crate) fn segment_failed(segment: u64, reason: &dyn Display) {
    tracing::error!(event = "segment_failed", segment, %reason);
}

/// A file could not be removed; it takes up room until the next start.
pub(crate) fn removal_failed(path: &Path, reason: &dyn Display) {
    tracing::warn!(event = "removal_failed", path = %path.display(), %reason);
}

/// The file system cannot punch holes: a segment's room comes back only when nothing in it lives any more.
pub(crate) fn holes_unsupported(reason: &dyn Display) {
    tracing::warn!(event = "holes_unsupported", %reason);
}

/// Dead records could not be joined; their room comes back later.
pub(crate) fn sweep_failed(segment: u64, reason: &dyn Display) {
    tracing::warn!(event = "sweep_failed", segment, %reason);
}
