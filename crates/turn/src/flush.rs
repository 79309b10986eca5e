//! Why the operator's `flush` did not start.

use restante_queue::{HoldNote, StoreError};

/// Why a domain was not flushed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FlushError {
    /// Neither configured nor known to the store.
    #[error("no such domain")]
    Unknown,
    /// It is stopped; release it first.
    #[error("stopped: {}", .0.reason)]
    Held(HoldNote),
    /// The store cannot start a drain now.
    #[error(transparent)]
    Store(#[from] StoreError),
}
