//! Command lines.

use std::fmt;

use memchr::{memchr, memchr2};
use zeroize::Zeroize;

use crate::limits::{KEPT_LINE_BUFFER, MAX_COMMAND_LINE};

/// Octets in which every verb ends, with what stands behind it.
const LONGEST_VERB: usize = 16;

/// Why a line is no command line. Each gets 500 5.5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFault {
    /// Over the limit; it was swallowed to its end.
    TooLong,
    /// [smuggling-g] a NUL or a bare CR in it.
    Octet,
    /// It ended with a bare LF, and the listener is strict.
    BareLf,
}

/// Cuts the stream into lines. A line that comes in one piece is never copied. [smuggling-h] It ends with LF; the CR before it is
/// missing from telnet scripts and sendmail's `etrn`, which is harmless as long as content ends strictly.
#[derive(Default)]
pub(crate) struct LineReader {
    held: Vec<u8>,
    swallowing: bool,
}

/// What was held may be a password, so it is not shown.
impl fmt::Debug for LineReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LineReader");
        shown.field("held", &self.held.len()).field("swallowing", &self.swallowing).finish()
    }
}

/// What came of some octets: how many were taken, and the line that ended there.
pub(crate) type Taken<'a> = (usize, Option<Result<&'a [u8], LineFault>>);

impl LineReader {
    /// Looks for the end of the line; the line is without its end. The limit counts the end. `limit` tells it by what
    /// has come of the line.
    pub(crate) fn feed<'a>(
        &'a mut self,
        octets: &'a [u8],
        strict: bool,
        limit: fn(&[u8]) -> usize,
    ) -> Taken<'a> {
        let Some(end) = memchr(b'\n', octets) else {
            self.hold(octets, limit);
            return (octets.len(), None);
        };
        let taken = end + 1;
        if std::mem::take(&mut self.swallowing) {
            return (taken, Some(Err(LineFault::TooLong)));
        }
        if self.held.is_empty() {
            return (taken, Some(check(&octets[..taken], strict, limit)));
        }
        self.hold(&octets[..taken], limit);
        if std::mem::take(&mut self.swallowing) {
            return (taken, Some(Err(LineFault::TooLong)));
        }
        (taken, Some(check(&self.held, strict, limit)))
    }

    /// Forgets the line that was handed out, which may have been a password.
    pub(crate) fn release(&mut self) {
        self.held.zeroize();
        self.held.shrink_to(KEPT_LINE_BUFFER);
    }

    fn hold(&mut self, octets: &[u8], limit: fn(&[u8]) -> usize) {
        if self.swallowing {
            return;
        }
        if self.held.len() + octets.len() > MAX_COMMAND_LINE {
            // The verb may stand on both sides of a cut.
            let mut start = [0; LONGEST_VERB];
            let begun = self.held.iter().chain(octets);
            let known = start.iter_mut().zip(begun).map(|(place, octet)| *place = *octet).count();
            if self.held.len() + octets.len() > limit(&start[..known]) {
                self.swallowing = true;
                self.held = Vec::new();
                return;
            }
        }
        self.held.extend_from_slice(octets);
    }
}

fn check(line: &[u8], strict: bool, limit: fn(&[u8]) -> usize) -> Result<&[u8], LineFault> {
    if line.len() > MAX_COMMAND_LINE && line.len() > limit(line) {
        return Err(LineFault::TooLong);
    }
    let body = match line {
        [body @ .., b'\r', b'\n'] => body,
        [_, ..] if strict => return Err(LineFault::BareLf),
        [body @ .., _] => body,
        [] => line,
    };
    if memchr2(b'\r', b'\0', body).is_some() { Err(LineFault::Octet) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]], strict: bool) -> Vec<Result<Vec<u8>, LineFault>> {
        let (mut reader, mut out) = (LineReader::default(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (taken, line) = reader.feed(rest, strict, |_| MAX_COMMAND_LINE);
                if let Some(line) = line {
                    out.push(line.map(<[u8]>::to_vec));
                    reader.release();
                }
                rest = &rest[taken..];
            }
        }
        assert!(reader.held.capacity() <= 2 * MAX_COMMAND_LINE);
        out
    }

    #[test]
    fn lines_are_checked() {
        let long = [&[b'a'; MAX_COMMAND_LINE][..], b"\r\n"].concat();
        assert_eq!(lines(&[&long, b"NOOP\r\n"], false), [Err(LineFault::TooLong), Ok(b"NOOP".to_vec())]);
        let longest = [&[b'a'; MAX_COMMAND_LINE - 2][..], b"\r\n"].concat();
        assert_eq!(lines(&[&longest], false)[0].as_ref().map(Vec::len), Ok(MAX_COMMAND_LINE - 2));
        assert_eq!(
            lines(&[b"a\0b\r\na\rb\r\na\n"], false),
            [Err(LineFault::Octet), Err(LineFault::Octet), Ok(b"a".to_vec())]
        );
        assert_eq!(
            lines(&[b"a\n\r\n\n"], true),
            [Err(LineFault::BareLf), Ok(vec![]), Err(LineFault::BareLf)]
        );
        assert_eq!(lines(&[b"a\r\r\n"], false), [Err(LineFault::Octet)]);
    }

    /// What has come of a verb, in pieces of any size, tells how long its line may be.
    #[test]
    fn a_long_line_is_known_by_its_verb_under_every_cut() {
        let limit = |start: &[u8]| if start.starts_with(b"AUTH ") { 3000 } else { MAX_COMMAND_LINE };
        let line = [b"AUTH ".as_slice(), &[b'a'; 2900], b"\r\n"].concat();
        for cut in 1..line.len() {
            let mut reader = LineReader::default();
            assert_eq!(reader.feed(&line[..cut], false, limit), (cut, None));
            let (_, read) = reader.feed(&line[cut..], false, limit);
            assert_eq!(read.unwrap().map(<[u8]>::len), Ok(2905), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            raw in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(0), Just(b'a')], 0..40),
            repeat in 1usize..120, cut in 0usize..5000, strict: bool,
        ) {
            let raw = [vec![b'x'; (repeat * 19) % 2100], raw.repeat(repeat)].concat();
            let (left, right) = raw.split_at(cut.min(raw.len()));
            prop_assert_eq!(lines(&[left, right], strict), lines(&[&raw], strict));
        }
    }
}
