//! Message content on its way in and out.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{DiskFile, read_stored, store_error};
use crate::error::StoreError;
use crate::limits::{LARGE_READ, MAX_HEAD, PIECE, RELIEF_PIECE};
use crate::log::{Share, Spool, TempFile};

/// Content as it arrives: small content stays in memory, large content goes to a temporary file that vanishes with
/// the buffer.
///
/// A store's `begin_content` makes buffers that know where to put large content; a default one keeps all in memory.
#[derive(Debug, Default)]
pub struct ContentBuffer {
    memory: Vec<u8>,
    share: Share,
    crc: u32,
    spool: Option<Spool>,
    file: Option<TempFile>,
    failed: Option<StoreError>,
}

impl ContentBuffer {
    pub(crate) fn with_spool(spool: Spool) -> Self {
        Self { share: spool.share(), spool: Some(spool), ..Self::default() }
    }

    /// Appends, in memory; call [`relieve`](Self::relieve) when [`wants_relief`](Self::wants_relief) says so.
    pub fn append(&mut self, octets: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, octets);
        self.memory.extend_from_slice(octets);
        self.share.resize(self.memory.capacity() as u64);
    }

    /// Octets so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.memory.len() as u64 + self.file.as_ref().map_or(0, TempFile::len)
    }

    /// Whether nothing came yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether enough is in memory that some should go to the file.
    #[must_use]
    pub fn wants_relief(&self) -> bool {
        // What goes to a file anyway needs no more than a piece in memory.
        let most = if self.file.is_some() { RELIEF_PIECE } else { usize::MAX };
        self.spool.as_ref().is_some_and(|spool| self.memory.len() >= spool.relief_at().min(most))
    }

    /// Moves what is in memory to the temporary file.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Unavailable`]; the buffer is of no further use.
    pub async fn relieve(&mut self) -> Result<(), StoreError> {
        self.spill(false).await
    }

    /// Ends the content: what went to a file is durable in it afterwards.
    ///
    /// # Errors
    /// As [`relieve`](Self::relieve).
    pub async fn seal(mut self) -> Result<SealedContent, StoreError> {
        let large = self.spool.as_ref().is_some_and(|spool| self.memory.len() > spool.inline_max());
        if self.file.is_some() || large {
            self.spill(true).await?;
        }
        let body = match self.file {
            Some(file) => Body::File(file),
            None => Body::Memory { octets: self.memory.into(), _share: self.share },
        };
        Ok(SealedContent { head: Bytes::new(), crc: self.crc, body })
    }

    async fn spill(&mut self, last: bool) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(spool) = self.spool.clone() else { return Ok(()) };
        let (mut memory, file) = (std::mem::take(&mut self.memory), self.file.take());
        let work = tokio::task::spawn_blocking(move || {
            let file = write_out(&spool, file, &memory, last)?;
            memory.clear();
            memory.shrink_to(RELIEF_PIECE);
            Ok((memory, file))
        });
        let done =
            work.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the process is ending".into())));
        match done {
            Ok((memory, file)) => {
                (self.memory, self.file) = (memory, Some(file));
                self.share.resize(self.memory.capacity() as u64);
                Ok(())
            }
            Err(error) => {
                self.share.resize(0);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

fn write_out(
    spool: &Spool,
    file: Option<TempFile>,
    octets: &[u8],
    last: bool,
) -> Result<TempFile, StoreError> {
    if !spool.has_room() {
        return Err(StoreError::Full);
    }
    let write = || -> io::Result<TempFile> {
        let mut file = file.map_or_else(|| spool.temporary(), Ok)?;
        file.write(octets, spool)?;
        if last {
            file.sync()?;
        }
        Ok(file)
    };
    write().map_err(|error| store_error("content on its way in", &error))
}

/// Content with a known length that can be read more than once.
#[derive(Debug)]
pub struct SealedContent {
    /// Octets before what is in the body.
    pub(crate) head: Bytes,
    /// Of head and body together.
    pub(crate) crc: u32,
    pub(crate) body: Body,
}

/// Where sealed content is.
#[derive(Debug)]
pub(crate) enum Body {
    /// In memory.
    Memory {
        /// All of it.
        octets: Bytes,
        /// Its share of the budget, given back with it.
        _share: Share,
    },
    /// In a synced temporary file.
    File(TempFile),
}

impl SealedContent {
    /// Puts header lines before everything that is there; they are stored with it and count as part of it. A head that
    /// would make more than [`MAX_HEAD`] octets in all is left out.
    #[must_use]
    pub fn with_head(mut self, head: Bytes) -> Self {
        if head.is_empty() || self.head.len() + head.len() > MAX_HEAD {
            return self;
        }
        let behind = usize::try_from(self.len()).unwrap_or(usize::MAX);
        self.crc = crc32c::crc32c_combine(crc32c::crc32c(&head), self.crc, behind);
        self.head = if self.head.is_empty() { head } else { [head, self.head].concat().into() };
        self
    }

    /// Octets.
    #[must_use]
    pub fn len(&self) -> u64 {
        let body = match &self.body {
            Body::Memory { octets, .. } => octets.len() as u64,
            Body::File(file) => file.len(),
        };
        self.head.len() as u64 + body
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads it from the beginning; as often as needed, as long as the content is there.
    #[must_use]
    pub fn reader(&self) -> ContentReader {
        match &self.body {
            Body::Memory { octets, .. } if self.head.is_empty() => octets.clone().into(),
            Body::Memory { octets, .. } => Bytes::from([&self.head[..], octets].concat()).into(),
            Body::File(file) => {
                ContentReader::large(self.head.clone(), Arc::clone(file.file()), file.len(), self.crc)
            }
        }
    }
}

/// Content on its way out, in pieces of at most 64 KiB.
#[derive(Debug)]
pub struct ContentReader {
    /// Read and checked as far as it can be, not handed out yet.
    ready: Bytes,
    rest: Option<Rest>,
    /// What ended it; said again to whoever asks again, so that a failure never looks like the end.
    failed: Option<StoreError>,
    /// Whom to tell that it is damaged.
    witness: Option<Witness>,
}

/// Is told what is wrong, once.
struct Witness(Box<dyn FnOnce(&str) + Send + Sync>);

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness")
    }
}

/// What is still on the disk.
#[derive(Debug)]
struct Rest {
    file: Arc<dyn DiskFile>,
    at: u64,
    left: u64,
    /// Of what was read so far.
    crc: u32,
    /// Of the whole.
    expected: u32,
    /// Octets per read; the last read sees the check before anything of it is handed out.
    chunk: usize,
    /// Whether to read on the calling thread, because it is most likely in the page cache.
    inline: bool,
}

impl From<Bytes> for ContentReader {
    fn from(octets: Bytes) -> Self {
        Self { ready: octets, rest: None, failed: None, witness: None }
    }
}

impl ContentReader {
    /// Content of a segment: read in one go, at its first piece.
    pub(crate) fn small(file: Arc<dyn DiskFile>, at: u64, octets: u32, expected: u32, inline: bool) -> Self {
        let left = u64::from(octets);
        let chunk = octets as usize;
        Self::unread(Rest { file, at, left, crc: 0, expected, chunk, inline })
    }

    /// Content in a file of its own, behind its head; `expected` is the check of both.
    pub(crate) fn large(head: Bytes, file: Arc<dyn DiskFile>, octets: u64, expected: u32) -> Self {
        let (chunk, crc) = (LARGE_READ, crc32c::crc32c(&head));
        let rest = Rest { file, at: 0, left: octets, crc, expected, chunk, inline: false };
        Self { ready: head, ..Self::unread(rest) }
    }

    const fn unread(rest: Rest) -> Self {
        Self { ready: Bytes::new(), rest: Some(rest), failed: None, witness: None }
    }

    /// Octets left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.ready.len() as u64 + self.rest.as_ref().map_or(0, |rest| rest.left)
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when what is on the disk is not what was stored (checked before the last piece is
    /// handed out) or the medium does not give it back, [`StoreError::Unavailable`] when reading is impossible.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.ready.is_empty()
            && let Some(rest) = self.rest.take()
        {
            let read = if rest.inline {
                rest.read()
            } else {
                let read = tokio::task::spawn_blocking(move || rest.read()).await;
                read.unwrap_or_else(|_| Err(StoreError::Unavailable("the process is ending".into())))
            };
            (self.ready, self.rest) = read.inspect_err(|error| self.fail(error))?;
        }
        let piece = self.ready.split_to(self.ready.len().min(PIECE));
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn fail(&mut self, error: &StoreError) {
        self.failed = Some(error.clone());
        if let StoreError::Damaged(what) = error
            && let Some(witness) = self.witness.take()
        {
            (witness.0)(what);
        }
    }

    /// Has somebody told if it turns out to be damaged.
    pub(crate) fn on_damage(self, tell: impl FnOnce(&str) + Send + Sync + 'static) -> Self {
        Self { witness: Some(Witness(Box::new(tell))), ..self }
    }

    /// All that is left, for callers that may block and know that it is not much.
    #[cfg(test)]
    pub(crate) fn read_all(mut self) -> Result<Vec<u8>, StoreError> {
        let mut all = self.ready.to_vec();
        while let Some(rest) = self.rest.take() {
            let (octets, rest) = rest.read()?;
            all.extend_from_slice(&octets);
            self.rest = rest;
        }
        Ok(all)
    }
}

impl Rest {
    fn read(mut self) -> Result<(Bytes, Option<Self>), StoreError> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.chunk);
        let mut octets = vec![0; want];
        read_stored(&*self.file, &mut octets, self.at, "reading content")?;
        self.crc = crc32c::crc32c_append(self.crc, &octets);
        self.at += want as u64;
        self.left -= want as u64;
        if self.left == 0 && self.crc != self.expected {
            return Err(StoreError::Damaged("content differs from what was stored".into()));
        }
        let rest = (self.left > 0).then_some(self);
        Ok((octets.into(), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sealed(octets: &[u8]) -> SealedContent {
        let mut buffer = ContentBuffer::default();
        buffer.append(octets);
        buffer.seal().await.unwrap()
    }

    #[tokio::test]
    async fn heads_stand_before_what_is_there_and_count_as_part_of_it() {
        let content = sealed(b"Subject: x\r\n\r\n").await.with_head(Bytes::from_static(b"B: 2\r\n"));
        let content = content.with_head(Bytes::new()).with_head(Bytes::from_static(b"A: 1\r\n"));
        let all = b"A: 1\r\nB: 2\r\nSubject: x\r\n\r\n";
        assert_eq!((content.len(), content.crc), (all.len() as u64, crc32c::crc32c(all)));
        assert_eq!(content.reader().remaining(), all.len() as u64);
        assert_eq!(content.reader().read_all().unwrap(), all);
        let empty = sealed(b"").await.with_head(Bytes::from_static(b"A: 1\r\n"));
        assert_eq!((empty.len(), empty.reader().read_all().unwrap()), (6, b"A: 1\r\n".to_vec()));
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_left_out() {
        let content = sealed(b"x").await.with_head(vec![b'h'; MAX_HEAD + 1].into());
        assert_eq!(content.len(), 1);
        let content = content.with_head(vec![b'h'; MAX_HEAD].into());
        assert_eq!(content.len(), 1 + MAX_HEAD as u64);
        assert_eq!(content.with_head(Bytes::from_static(b"1")).len(), 1 + MAX_HEAD as u64);
    }
}
