//! BDAT: octets are counted, nothing is looked for. [3030-2g] A wrong count is the client's to bear.

/// A chunk that is coming: `BDAT count [LAST]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Octets that have not come yet.
    pub(crate) left: u64,
    /// Octets that the command announced.
    pub(crate) size: u64,
    /// It ends the message.
    pub(crate) last: bool,
}

impl Chunk {
    /// A chunk of which nothing has come.
    pub(crate) const fn new(size: u64, last: bool) -> Self {
        Self { left: size, size, last }
    }

    /// The part of `octets` that belongs to the chunk, counted off.
    pub(crate) fn take<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(octets.len());
        self.left -= count as u64;
        &octets[..count]
    }

    /// All of it has come.
    pub(crate) const fn is_complete(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_its_octets_and_no_more() {
        let mut chunk = Chunk::new(5, true);
        assert_eq!(chunk.take(b"abc"), b"abc");
        assert!(!chunk.is_complete());
        assert_eq!(chunk.take(b"\r\n.\r\n"), b"\r\n");
        assert!(chunk.is_complete());
        assert_eq!(chunk.take(b"QUIT"), b"");
        assert_eq!(Chunk::new(u64::MAX, false).take(b"abc"), b"abc");
    }
}
