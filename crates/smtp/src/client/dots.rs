//! Transparency of DATA, RFC 5321 4.5.2, over content that comes in pieces.

use memchr::memchr;

/// Puts a dot in front of each line that begins with one, wherever the pieces are cut.
///
/// The content is canonical: a line ends with CRLF and nothing else, so LF alone decides where one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DotStuffer {
    at_line_start: bool,
}

impl DotStuffer {
    pub(crate) const fn new() -> Self {
        Self { at_line_start: true }
    }

    /// [5321-4.5.2-client]
    pub(crate) fn stuff(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while let Some(first) = octets.first() {
            if self.at_line_start && *first == b'.' {
                out.push(b'.');
            }
            let end = memchr(b'\n', octets);
            let (line, rest) = octets.split_at(end.map_or(octets.len(), |at| at + 1));
            out.extend_from_slice(line);
            self.at_line_start = end.is_some();
            octets = rest;
        }
    }

    /// [5321-4.1.1.4-client]: the final dot stands on a line of its own, so content that does not end a line gets an end.
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.at_line_start { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuffed(content: &[u8], cut: usize) -> Vec<u8> {
        let (mut dots, mut out) = (DotStuffer::new(), Vec::new());
        for piece in content.chunks(cut) {
            dots.stuff(piece, &mut out);
        }
        dots.finish(&mut out);
        out
    }

    /// [5321-4.5.2-client] [5321-4.1.1.4-client]
    #[test]
    fn dots_are_doubled_under_every_cut() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"", b".\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"..a\r\n", b"...a\r\n.\r\n"),
            (b"a.b\r\n", b"a.b\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
        ];
        for (content, wire) in table {
            for cut in 1..=content.len().max(1) {
                assert_eq!(stuffed(content, cut), wire, "{content:?} cut {cut}");
            }
        }
    }
}
