//! Octets as they come.

use std::path::PathBuf;

use bytes::Bytes;
use reqwest::Response;

use crate::error::ClientError;

/// A message's content.
#[derive(Debug)]
pub struct ContentStream {
    response: Response,
    socket: PathBuf,
    length: Option<u64>,
    seen: u64,
}

impl ContentStream {
    pub(super) fn new(response: Response, socket: PathBuf) -> Self {
        let length = response.content_length();
        Self { response, socket, length, seen: 0 }
    }

    /// Octets in all, where the server said so.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when it was cut, also when the server found it damaged on the way.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let piece = self.response.chunk().await;
        let piece = piece.map_err(|error| ClientError::from_http(&error, &self.socket))?;
        self.seen += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if piece.is_none() && self.length.is_some_and(|length| length != self.seen) {
            return Err(ClientError::Broken("the content is cut off".to_owned()));
        }
        Ok(piece)
    }
}
