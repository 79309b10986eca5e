//! Canonical line ends: CRLF and nothing else.

use memchr::memchr2;

/// [smuggling-b] Makes line ends canonical: a bare LF becomes CRLF, a bare CR a space (never a line end: that would forge header
/// lines). Clean content goes through as slices of the input. It remembers a CR at the end of a piece, so that the
/// pieces, [smuggling-c] chunks of BDAT included, may be cut anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Canon {
    cr: bool,
}

impl Canon {
    /// Hands the canonical form of `octets` to `out`, with whether it stands for something that had to be changed.
    pub(crate) fn feed(&mut self, octets: &[u8], out: &mut impl FnMut(&[u8], bool)) {
        let Some(&first) = octets.first() else { return };
        if !self.cr && is_canonical(octets) {
            return out(octets, false);
        }
        // What lies before `start` went out; what lies before `at` was looked at.
        let (mut start, mut at) = (0, 0);
        if std::mem::take(&mut self.cr) {
            if first == b'\n' {
                out(b"\r\n", false);
                (start, at) = (1, 1);
            } else {
                out(b" ", true);
            }
        }
        while let Some(found) = memchr2(b'\r', b'\n', &octets[at..]) {
            let position = at + found;
            let next = octets.get(position + 1);
            if octets[position] == b'\r' && next == Some(&b'\n') {
                at = position + 2;
                continue;
            }
            if start < position {
                out(&octets[start..position], false);
            }
            (start, at) = (position + 1, position + 1);
            match (octets[position], next) {
                (b'\n', _) => out(b"\r\n", true),
                (_, None) => self.cr = true,
                _ => out(b" ", true),
            }
        }
        if start < octets.len() {
            out(&octets[start..], false);
        }
    }

    /// The content ends here; a CR that was left over had to be changed.
    pub(crate) fn finish(&mut self, out: &mut impl FnMut(&[u8], bool)) {
        if std::mem::take(&mut self.cr) {
            out(b" ", true);
        }
    }
}

/// Whether these octets hold line ends that are whole and canonical, and no others. Without a branch in it, so that
/// the compiler compares many octets at once: nearly all mail is canonical, and its lines are short.
fn is_canonical(octets: &[u8]) -> bool {
    let [first, behind @ ..] = octets else { return true };
    let torn = octets
        .iter()
        .zip(behind)
        .fold(false, |torn, (one, next)| torn | ((*one == b'\r') != (*next == b'\n')));
    !torn && *first != b'\n' && octets.last() != Some(&b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let (mut out, mut canon, mut changed) = (Vec::new(), Canon::default(), false);
        let mut take = |octets: &[u8], changes| {
            out.extend_from_slice(octets);
            changed |= changes;
        };
        pieces.iter().for_each(|piece| canon.feed(piece, &mut take));
        canon.finish(&mut take);
        (out, changed)
    }

    #[test]
    fn bare_line_ends_are_made_canonical() {
        for (raw, want, changed) in [
            (&b"a\r\nb\r\n"[..], &b"a\r\nb\r\n"[..], false),
            (b"a\nb", b"a\r\nb", true),
            (b"a\rb", b"a b", true),
            (b"\r", b" ", true),
            (b"\r\r\n", b" \r\n", true),
            (b"\n\r", b"\r\n ", true),
            (b"\n\n", b"\r\n\r\n", true),
            (b"", b"", false),
        ] {
            assert_eq!(canonical(&[raw]), (want.to_vec(), changed), "{raw:?}");
        }
    }

    #[test]
    fn clean_content_goes_through_in_one_slice() {
        let mut calls = 0;
        let clean = b"Subject: a\r\n\r\nb\r\n.c\r\n".as_slice();
        Canon::default().feed(clean, &mut |octets, changes| {
            calls += 1;
            assert_eq!((octets, changes), (clean, false));
        });
        assert_eq!(calls, 1);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing_and_the_result_is_canonical(
            raw in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..60),
            cut in 0usize..60,
        ) {
            let (whole, changed) = canonical(&[&raw]);
            let (left, right) = raw.split_at(cut.min(raw.len()));
            prop_assert_eq!(&canonical(&[left, right]), &(whole.clone(), changed));
            prop_assert_eq!(canonical(&[&whole]), (whole.clone(), false));
            prop_assert_eq!(changed, whole != raw);
        }
    }
}
