//! Streams.

use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// One line of a stream. A stream without an `end` or an `error` was cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line<T, E> {
    /// One thing of many.
    Item(T),
    /// Nothing new; the server still works on it.
    Wait {},
    /// All is said.
    End(E),
    /// It went wrong after the stream had begun.
    Error(ApiError),
}
