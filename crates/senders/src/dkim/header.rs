//! The header section, kept while it goes by.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memchr::memchr;

use crate::limits::HEADER_KEPT;

/// What all header sections together may take of memory.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    left: Arc<AtomicUsize>,
}

/// What one of them takes; given back with it.
#[derive(Debug)]
pub(crate) struct Share {
    left: Arc<AtomicUsize>,
    taken: usize,
}

impl Budget {
    pub(crate) fn new(octets: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(octets)) }
    }

    pub(crate) fn share(&self) -> Share {
        Share { left: self.left.clone(), taken: 0 }
    }
}

impl Share {
    fn take(&mut self, octets: usize) -> bool {
        let enough = |left: usize| left.checked_sub(octets);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok();
        self.taken += if taken { octets } else { 0 };
        taken
    }

    fn give_back(&mut self) {
        self.left.fetch_add(std::mem::take(&mut self.taken), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Collects a header section that comes in pieces, and finds where the body begins. Content is canonical: every line
/// ends in CRLF.
#[derive(Debug)]
pub(crate) struct Header {
    kept: Vec<u8>,
    share: Share,
    /// Octets of the current line so far; at 1 it may be a CR alone.
    line: usize,
    cr_alone: bool,
    too_long: bool,
}

impl Header {
    pub(crate) const fn new(share: Share) -> Self {
        Self { kept: Vec::new(), share, line: 0, cr_alone: false, too_long: false }
    }

    /// Takes the next octets; once the section has ended, says how many of them belong to it, its empty line included.
    pub(crate) fn pass(&mut self, octets: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(first) = octets.get(at) {
            if self.line == 0 {
                self.cr_alone = *first == b'\r';
            }
            match memchr(b'\n', &octets[at..]) {
                Some(end) => {
                    let length = self.line + end;
                    let empty = length == 1 && self.cr_alone;
                    at += end + 1;
                    self.line = 0;
                    if empty {
                        self.keep(&octets[..at]);
                        return Some(at);
                    }
                }
                None => {
                    self.line += octets.len() - at;
                    break;
                }
            }
        }
        self.keep(octets);
        None
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.too_long {
            return;
        }
        if self.kept.len() + octets.len() > HEADER_KEPT || !self.share.take(octets.len()) {
            self.too_long = true;
            self.kept = Vec::new();
            self.share.give_back();
        } else {
            self.kept.extend_from_slice(octets);
        }
    }

    /// All of it; `None` where it was too long to be kept.
    pub(crate) fn octets(&self) -> Option<&[u8]> {
        (!self.too_long).then_some(self.kept.as_slice())
    }
}

/// The fields of a header section in their order: the name as it stands before the colon, and everything behind it with
/// the last CRLF. Lines that are no fields are skipped.
pub(crate) fn fields(section: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut fields = Vec::new();
    let mut rest = section;
    while !rest.is_empty() {
        let (field, behind) = rest.split_at(field_end(rest));
        rest = behind;
        if let Some(colon) = memchr(b':', field)
            && colon > 0
            && !field[0].is_ascii_whitespace()
            && memchr(b'\n', &field[..colon]).is_none()
        {
            fields.push((&field[..colon], &field[colon + 1..]));
        }
    }
    fields
}

/// Where the first field ends: behind a line that the next one does not continue.
fn field_end(section: &[u8]) -> usize {
    let mut at = 0;
    while let Some(line) = memchr(b'\n', &section[at..]) {
        at += line + 1;
        if !matches!(section.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
    section.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_found_however_the_octets_are_cut() {
        fn body(content: &str, step: usize) -> Option<&str> {
            let mut header = Header::new(Budget::new(1 << 20).share());
            let mut passed = 0;
            for piece in content.as_bytes().chunks(step) {
                if let Some(some) = header.pass(piece) {
                    assert_eq!(header.octets().unwrap(), &content.as_bytes()[..passed + some]);
                    return Some(&content[passed + some..]);
                }
                passed += piece.len();
            }
            assert_eq!(header.octets().unwrap(), content.as_bytes());
            None
        }
        for (content, expected) in [
            ("A: b\r\n\r\nbody\r\n", Some("body\r\n")),
            ("\r\nbody", Some("body")),
            ("A: b\r\n \r\n\r\n\r\nx", Some("\r\nx")),
            ("A: b\r\nx\r\r\n", None),
            ("A: b\r\n", None),
            ("", None),
        ] {
            for step in 1..=content.len().max(1) {
                assert_eq!(body(content, step), expected, "{content:?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn a_section_that_is_too_long_is_not_kept() {
        let mut header = Header::new(Budget::new(1 << 20).share());
        for _ in 0..=HEADER_KEPT / 10 {
            assert_eq!(header.pass(b"A: 45678\r\n"), None);
        }
        assert_eq!((header.octets(), header.kept.capacity()), (None, 0));
        assert_eq!(header.pass(b"\r\nbody"), Some(2));
    }

    #[test]
    fn all_sections_together_have_a_bound() {
        let budget = Budget::new(20);
        let mut headers: Vec<_> = (0..3).map(|_| Header::new(budget.share())).collect();
        for header in &mut headers {
            assert_eq!(header.pass(b"A: 45678\r\n"), None);
        }
        let kept = |header: &Header| header.octets().is_some();
        assert_eq!(headers.iter().map(kept).collect::<Vec<_>>(), [true, true, false]);
        drop(headers);
        assert_eq!(budget.left.load(Ordering::Relaxed), 20);
    }

    #[test]
    fn fields_are_whole_and_other_lines_are_none() {
        let section = b"A: b\r\n c\r\nno field\r\nD :e\r\n: f\r\n\r\n";
        assert_eq!(fields(section), [(&b"A"[..], &b" b\r\n c\r\n"[..]), (b"D ", b"e\r\n")]);
        assert_eq!(fields(b" x: y\r\nA:"), [(&b"A"[..], &b""[..])]);
        assert_eq!(fields(b""), []);
    }
}
