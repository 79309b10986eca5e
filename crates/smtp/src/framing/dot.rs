//! DATA: where content ends, and the dots that were put in front of lines.

use memchr::memmem;

/// [smuggling-a] Finds the end of DATA's content, which is CRLF.CRLF and nothing else ([5321-4.1.1.4]), and takes the
/// stuffed dots away ([5321-4.5.2]). Lines are those that end in CRLF: a dot behind a bare LF is content like any other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DotReader {
    place: Place,
}

#[derive(Debug, Clone, Copy, Default)]
enum Place {
    /// At the start of a line; the CRLF of `354`'s command counts as one (RFC 5321 4.1.1.4).
    #[default]
    Start,
    /// Inside a line.
    Inside,
    /// A CR went by inside a line.
    Cr,
    /// A dot stood at the start of the line; it is kept back.
    Dot,
    /// A dot and a CR.
    DotCr,
}

impl DotReader {
    /// Hands the content in `octets` to `out`, its line ends as they came; returns how many octets were looked at,
    /// and whether the content ended there.
    pub(crate) fn feed(&mut self, octets: &[u8], out: &mut impl FnMut(&[u8])) -> (usize, bool) {
        let mut at = 0;
        while let Some(&octet) = octets.get(at) {
            let step = match (self.place, octet) {
                (Place::Start, b'.') => (1, Place::Dot),
                (Place::Dot, b'\r') => (1, Place::DotCr),
                (Place::DotCr, b'\n') => {
                    self.place = Place::Start;
                    return (at + 1, true);
                }
                (Place::DotCr, _) => {
                    out(b"\r");
                    (0, Place::Inside)
                }
                (Place::Cr, b'\n') => {
                    out(&octets[at..=at]);
                    (1, Place::Start)
                }
                (Place::Start | Place::Dot | Place::Cr, _) => (0, Place::Inside),
                (Place::Inside, _) => Self::inside(&octets[at..], out),
            };
            at += step.0;
            self.place = step.1;
        }
        (at, false)
    }

    fn inside(rest: &[u8], out: &mut impl FnMut(&[u8])) -> (usize, Place) {
        if let Some(found) = memmem::find(rest, b"\r\n.") {
            out(&rest[..found + 2]);
            return (found + 3, Place::Dot);
        }
        out(rest);
        let place = match rest {
            [.., b'\r', b'\n'] => Place::Start,
            [.., b'\r'] => Place::Cr,
            _ => Place::Inside,
        };
        (rest.len(), place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The content, how many octets were taken, whether it ended.
    fn read(pieces: &[&[u8]]) -> (Vec<u8>, usize, bool) {
        let (mut out, mut reader, mut taken) = (Vec::new(), DotReader::default(), 0);
        for piece in pieces {
            let (count, ended) = reader.feed(piece, &mut |octets| out.extend_from_slice(octets));
            taken += count;
            if ended {
                return (out, taken, true);
            }
        }
        (out, taken, false)
    }

    /// RFC 5321 4.5.2 as its sender does it, octet by octet.
    fn stuffed(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for octet in content {
            if *octet == b'.' && (out.is_empty() || out.ends_with(b"\r\n")) {
                out.push(b'.');
            }
            out.push(*octet);
        }
        if !out.is_empty() && !out.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        out
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        for (raw, content) in
            [(&b".\r\n"[..], &b""[..]), (b"a\r\n.\r\n", b"a\r\n"), (b"..\r\n.\r\n", b".\r\n")]
        {
            assert_eq!(read(&[raw]), (content.to_vec(), raw.len(), true), "{raw:?}");
        }
        let ends: [&[u8]; 5] = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r"];
        for before in ends {
            for after in ends {
                let raw = [b"a", before, b".", after, b"b"].concat();
                let (_, _, ended) = read(&[&raw]);
                let real = before.ends_with(b"\r\n") && after == b"\r\n";
                assert_eq!(ended, real, "{raw:?}");
            }
        }
    }

    #[test]
    fn a_dot_behind_a_bare_line_end_is_content() {
        assert_eq!(read(&[b"a\n.b\r.c\r\n.\r\n"]).0, b"a\n.b\r.c\r\n");
        assert_eq!(read(&[b"a\r\n.\nb\r\n.\rc\r\n.\r\n"]).0, b"a\r\n\nb\r\n\rc\r\n");
    }

    proptest! {
        #[test]
        fn stuffing_comes_back_under_every_cut(
            content in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..60),
        ) {
            let mut whole = content.clone();
            if !whole.is_empty() && !whole.ends_with(b"\r\n") {
                whole.extend_from_slice(b"\r\n");
            }
            let raw = stuffed(&content);
            for cut in 0..=raw.len() {
                let (left, right) = raw.split_at(cut);
                prop_assert_eq!(read(&[left, right]), (whole.clone(), raw.len(), true));
            }
        }
    }
}
