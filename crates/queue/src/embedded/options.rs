//! How an embedded store is opened, and why it may not be.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::error::StoreError;
use crate::index::ProbeCommand;
use crate::limits::DEFAULT_CACHE_BYTES;
use crate::log::LowWater;

/// How to open an embedded store.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The directory that holds everything; it is made if it is not there.
    pub data_dir: PathBuf,
    /// Octets of memory for the index's cache.
    pub cache_bytes: u64,
    /// When mail is refused for want of room.
    pub low_water: LowWater,
    /// How to find out, after a crash, whether the index opens at all; `None` opens it at once, which may hang where
    /// sled does.
    pub probe: Option<ProbeCommand>,
    /// The clocks; tests bring their own.
    pub clock: Arc<dyn Clock>,
}

impl EmbeddedOptions {
    /// The defaults, in this directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            cache_bytes: DEFAULT_CACHE_BYTES,
            low_water: LowWater::default(),
            probe: None,
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on the directory (exit code 75: try again).
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Something in it was written by a later version; nothing was touched.
    #[error("{file} has version {found}, which this program does not know")]
    UnknownVersion {
        /// Which file.
        file: PathBuf,
        /// The version it has.
        found: u32,
    },
    /// A file that the operator's stops rest on is there and cannot be read; starting without it would let stopped
    /// mail go.
    #[error(
        "{file} cannot be read: {cause}; put a copy of it back, or remove it: then no domain is on hold any more"
    )]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        cause: String,
    },
    /// The content log does not open.
    #[error("the content log does not open: {0}")]
    Log(StoreError),
    /// The file system said no.
    #[error("{path}: {cause}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: std::io::Error,
    },
}
