//! Outbound delivery: when (dispatch), where (route), how (courier), and what if not (retry, housekeeping).

mod events;
mod feed;
pub mod limits;
mod retry;

use std::sync::Arc;

use restante_types::UnixMillis;

pub use feed::{Feed, Room, Tally};
pub use retry::{RetryList, RetryListError};

/// Tells the time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
