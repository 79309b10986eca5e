//! mboxrd: lines of `>`s and `From ` get one more `>`, so that a reader that takes one away has every octet back.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;

const SEPARATOR: &[u8] = b"From ";

/// The line that begins a message: its sender and when it came, as mbox readers expect it.
pub(super) fn begin(to: &mut impl Write, sender: &str, arrived: Timestamp) -> io::Result<()> {
    // Readers cut the line at spaces; an address with spaces is rare and only shown.
    let sender: String =
        sender.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
    let sender = if sender.is_empty() { "MAILER-DAEMON" } else { &sender };
    let date = arrived.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S %Y").to_string();
    writeln!(to, "From {sender} {date}")
}

/// Where in a line the quoting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At its beginning, or behind `>`s at its beginning.
    Beginning,
    /// So many octets of [`SEPARATOR`] are held back.
    Matching(usize),
    /// Behind the point where anything is quoted.
    Rest,
}

/// Quotes content as it flows by; holds back at most four octets.
#[derive(Debug)]
pub(super) struct Quoting {
    at: At,
    last: Option<u8>,
}

impl Quoting {
    pub(super) const fn new() -> Self {
        Self { at: At::Beginning, last: None }
    }

    /// Some content.
    pub(super) fn write(&mut self, to: &mut impl Write, piece: &[u8]) -> io::Result<()> {
        let mut rest = piece;
        while let Some((&octet, behind)) = rest.split_first() {
            if self.at == At::Rest {
                let line = rest.iter().position(|octet| *octet == b'\n').map_or(rest.len(), |end| end + 1);
                to.write_all(&rest[..line])?;
                self.at = if rest[line - 1] == b'\n' { At::Beginning } else { At::Rest };
                rest = &rest[line..];
            } else {
                self.octet(to, octet)?;
                rest = behind;
            }
        }
        self.last = piece.last().copied().or(self.last);
        Ok(())
    }

    /// One octet near the beginning of a line. Where the `>` goes among other `>`s makes no difference, so they need
    /// not be held back.
    fn octet(&mut self, to: &mut impl Write, octet: u8) -> io::Result<()> {
        let matched = if let At::Matching(matched) = self.at { matched } else { 0 };
        if octet == SEPARATOR[matched] {
            if matched + 1 < SEPARATOR.len() {
                self.at = At::Matching(matched + 1);
                return Ok(());
            }
            self.at = At::Rest;
            to.write_all(b">")?;
            return to.write_all(SEPARATOR);
        }
        to.write_all(&SEPARATOR[..matched])?;
        to.write_all(&[octet])?;
        self.at = match octet {
            b'\n' => At::Beginning,
            b'>' if matched == 0 => At::Beginning,
            _ => At::Rest,
        };
        Ok(())
    }

    /// The end of the message: what was held back, a line end where the content has none, and the empty line before the
    /// next message.
    pub(super) fn end(self, to: &mut impl Write) -> io::Result<()> {
        if let At::Matching(matched) = self.at {
            to.write_all(&SEPARATOR[..matched])?;
        }
        if self.last.is_some_and(|octet| octet != b'\n') {
            to.write_all(b"\n")?;
        }
        to.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(content: &[u8], width: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut quoting = Quoting::new();
        for piece in content.chunks(width) {
            quoting.write(&mut out, piece).unwrap();
        }
        quoting.end(&mut out).unwrap();
        out
    }

    /// The reader's side: take one `>` away, and the empty line at the end.
    fn unquoted(mbox: &[u8]) -> Vec<u8> {
        let body = mbox.strip_suffix(b"\n").unwrap();
        let mut out = Vec::new();
        for line in body.split_inclusive(|octet| *octet == b'\n') {
            let bare = &line[line.iter().take_while(|octet| **octet == b'>').count()..];
            let quoted = line.starts_with(b">") && bare.starts_with(b"From ");
            out.extend_from_slice(if quoted { &line[1..] } else { line });
        }
        out
    }

    #[test]
    fn quoting_comes_back_byte_for_byte_wherever_it_is_cut() {
        let content = b"From me\r\n>From you\r\n>>From them\r\nFro\r\nFrom\r\n>\r\n From x\r\nFFrom \r\n>F>From \r\nFrom \r\nFrom";
        let expected = b">From me\r\n>>From you\r\n>>>From them\r\nFro\r\nFrom\r\n>\r\n From x\r\nFFrom \r\n>F>From \r\n>From \r\nFrom\n\n";
        for width in 1..=content.len() {
            let out = quoted(content, width);
            assert_eq!(
                out.escape_ascii().to_string(),
                expected.escape_ascii().to_string(),
                "cut every {width}"
            );
            assert_eq!(unquoted(&out), [content.as_slice(), b"\n"].concat());
        }
    }

    #[test]
    fn content_with_a_line_end_comes_back_exactly() {
        for content in [b"a\r\n".as_slice(), b"", b"\r\n", b"From \r\n", b"\xff\x00>From \r\n.\r\n"] {
            assert_eq!(unquoted(&quoted(content, 3)), content);
        }
    }

    #[test]
    fn the_separator_is_as_readers_expect_it() {
        let at: Timestamp = "2026-01-03T09:05:07Z".parse().unwrap();
        let line = |sender: &str| {
            let mut out = Vec::new();
            begin(&mut out, sender, at).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line("a@example.org"), "From a@example.org Sat Jan  3 09:05:07 2026\n");
        assert_eq!(line(""), "From MAILER-DAEMON Sat Jan  3 09:05:07 2026\n");
        assert_eq!(line("\"a b\"@example.org"), "From \"a_b\"@example.org Sat Jan  3 09:05:07 2026\n");
    }
}
