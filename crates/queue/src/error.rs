//! What a store answers when it cannot do what it was asked.

/// Why a store did not do it. None of these is ever turned into a 250.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not now: a failing disk, an index that is being rebuilt, a lost database. A normal result (451 4.3.0).
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No room, or below the low-water mark (452 4.3.1).
    #[error("the store has no room")]
    Full,
    /// The lease was lost to somebody else; what was settled under it since then did not count.
    #[error("the lease was taken over")]
    Fenced,
    /// No such message, entry or domain.
    #[error("no such entry")]
    NotFound,
    /// The record is damaged; the cause is for the log and the operator.
    #[error("damaged record: {0}")]
    Damaged(String),
}
