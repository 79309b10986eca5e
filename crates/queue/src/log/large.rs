//! Names of large content: `large/SEGMENT-ID-NONCE`.
//!
//! The segment in the name is the one whose record points at the file, so that a file without a record is found by
//! looking through that one segment.

use std::path::{Path, PathBuf};

use restante_types::QueueId;

/// Where the content of a message lies whose record is in this segment.
pub(crate) fn path(dir: &Path, segment: u64, id: QueueId, nonce: u64) -> PathBuf {
    dir.join(format!("{segment:016x}-{id}-{nonce:016x}"))
}

/// The segment that a file's record is in.
pub(crate) fn segment_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.split_once('-')?.0, 16).ok()
}
