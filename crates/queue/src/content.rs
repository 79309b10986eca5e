//! Message content on its way in and out. Seam only; the implementation replaces the bodies.

use bytes::Bytes;

use crate::error::StoreError;

/// Content as it arrives: small content stays in memory, large content goes to a temporary file that vanishes with
/// the buffer.
#[derive(Debug, Default)]
pub struct ContentBuffer {
    memory: Vec<u8>,
}

impl ContentBuffer {
    /// Appends, in memory; call [`relieve`](Self::relieve) when [`wants_relief`](Self::wants_relief) says so.
    pub fn append(&mut self, octets: &[u8]) {
        self.memory.extend_from_slice(octets);
    }

    /// Octets so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Whether nothing came yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether enough is in memory that some should go to the file.
    #[must_use]
    pub fn wants_relief(&self) -> bool {
        false
    }

    /// Moves what is in memory to the temporary file.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Unavailable`]; the buffer is of no further use.
    pub async fn relieve(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends the content.
    ///
    /// # Errors
    /// As [`relieve`](Self::relieve).
    pub async fn seal(self) -> Result<SealedContent, StoreError> {
        Ok(SealedContent { memory: self.memory.into() })
    }
}

/// Content with a known length that can be read more than once.
#[derive(Debug)]
pub struct SealedContent {
    memory: Bytes,
}

impl SealedContent {
    /// Octets.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Content on its way out, in pieces of at most 64 KiB.
#[derive(Debug)]
pub struct ContentReader {
    rest: Bytes,
}

impl ContentReader {
    /// Octets left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.rest.len() as u64
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when what is on the disk is not what was stored (checked before the last piece is
    /// handed out), [`StoreError::Unavailable`] on a read error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let piece = self.rest.split_to(self.rest.len().min(64 * 1024));
        Ok((!piece.is_empty()).then_some(piece))
    }
}
