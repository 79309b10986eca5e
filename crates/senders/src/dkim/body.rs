//! The hash of a body, taken while it goes by.

use mail_auth::dkim::Canonicalization;
use memchr::memchr3;
use sha2::{Digest, Sha256};

/// [6376-3.4] SHA-256 over a body in one of the two canonical forms. Empty lines at the end do not count, so that a
/// run of them is only counted until something follows; no octet of the body is kept.
pub(crate) struct BodyHash {
    form: Canonicalization,
    hash: Sha256,
    /// Line ends that were not hashed yet.
    ends: u64,
    /// Relaxed: white space that came since, for which one space stands if something follows on the line.
    space: bool,
    /// A CR that may be half of a line end.
    cr: bool,
    /// Something of the body was hashed.
    begun: bool,
}

const ENDS: [[u8; 2]; 64] = [*b"\r\n"; 64];

impl BodyHash {
    pub(crate) fn new(form: Canonicalization) -> Self {
        Self { form, hash: Sha256::new(), ends: 0, space: false, cr: false, begun: false }
    }

    pub(crate) const fn form(&self) -> Canonicalization {
        self.form
    }

    /// Takes the next octets of the body.
    pub(crate) fn pass(&mut self, mut octets: &[u8]) {
        let relaxed = self.form == Canonicalization::Relaxed;
        while let Some((first, rest)) = octets.split_first() {
            match first {
                b'\n' if self.cr => {
                    // [6376-3.4.4] White space at the end of a line does not count.
                    (self.cr, self.space) = (false, false);
                    self.ends += 1;
                    octets = rest;
                }
                b'\r' if !self.cr => {
                    self.cr = true;
                    octets = rest;
                }
                b' ' | b'\t' if relaxed && !self.cr => {
                    self.space = true;
                    octets = rest;
                }
                _ => {
                    self.catch_up();
                    octets = self.text(octets, relaxed);
                }
            }
        }
    }

    /// Hashes text up to what needs a look of its own.
    fn text<'a>(&mut self, octets: &'a [u8], relaxed: bool) -> &'a [u8] {
        // The first octet is text whatever it is: an LF or CR alone counts as any other octet.
        let (first, rest) = octets.split_at(usize::from(octets[0] == b'\n'));
        let end = if relaxed { memchr3(b'\r', b' ', b'\t', rest) } else { memchr::memchr(b'\r', rest) };
        let (text, behind) = rest.split_at(end.unwrap_or(rest.len()));
        self.hash.update(first);
        self.hash.update(text);
        behind
    }

    /// What was held back counts, for something follows.
    fn catch_up(&mut self) {
        let mut ends = self.ends;
        while ends > 0 {
            let some = ends.min(64);
            self.hash.update(ENDS[..some as usize].as_flattened());
            ends -= some;
        }
        if self.space {
            self.hash.update(b" ");
        }
        if self.cr {
            self.hash.update(b"\r");
        }
        (self.ends, self.space, self.cr, self.begun) = (0, false, false, true);
    }

    /// The hash of all of it.
    pub(crate) fn finish(mut self) -> [u8; 32] {
        if self.cr {
            // No line end came behind it.
            self.catch_up();
        }
        match self.form {
            // [6376-3.4.3] An empty body is one line end.
            Canonicalization::Simple => self.hash.update(b"\r\n"),
            // [6376-3.4.4] Here it is nothing. A body that ends within a line gets an end.
            Canonicalization::Relaxed if self.begun => self.hash.update(b"\r\n"),
            Canonicalization::Relaxed => {}
        }
        self.hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(form: Canonicalization, body: &[u8], step: usize) -> [u8; 32] {
        let mut hash = BodyHash::new(form);
        body.chunks(step).for_each(|piece| hash.pass(piece));
        hash.finish()
    }

    fn sha(text: &[u8]) -> [u8; 32] {
        Sha256::digest(text).into()
    }

    /// The canonical form by the letter of RFC 6376 3.4, for bodies of whole lines.
    fn canonical(form: Canonicalization, body: &str) -> String {
        let mut lines: Vec<String> = body.split("\r\n").map(str::to_owned).collect();
        if form == Canonicalization::Relaxed {
            for line in &mut lines {
                let mut reduced = String::new();
                for c in line.chars() {
                    let space = matches!(c, ' ' | '\t');
                    if !space {
                        reduced.push(c);
                    } else if !reduced.ends_with(' ') {
                        reduced.push(' ');
                    }
                }
                *line = reduced.trim_end_matches(' ').to_owned();
            }
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        if text.is_empty() && form == Canonicalization::Simple { "\r\n".to_owned() } else { text }
    }

    // [6376-3.4] [6376-3.4.3] [6376-3.4.4]
    #[test]
    fn the_rfcs_examples_have_its_forms() {
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        for step in 1..=body.len() {
            assert_eq!(hash(Canonicalization::Relaxed, body, step), sha(b" C\r\nD E\r\n"));
            assert_eq!(hash(Canonicalization::Simple, body, step), sha(b" C \r\nD \t E\r\n"));
        }
        assert_eq!(hash(Canonicalization::Simple, b"", 1), sha(b"\r\n"));
        assert_eq!(hash(Canonicalization::Relaxed, b"", 1), sha(b""));
        assert_eq!(
            hash(Canonicalization::Relaxed, b"a\r\n \t\r\n  \r\n", 2),
            sha(b"a\r\n"),
            "lines of white space"
        );
        assert_eq!(hash(Canonicalization::Relaxed, b"no end", 2), sha(b"no end\r\n"));
        let far = [b"a".as_slice(), "\r\n".repeat(1000).as_bytes(), b"b\r\n"].concat();
        assert_eq!(hash(Canonicalization::Simple, &far, 7), sha(&far));
    }

    proptest! {
        #[test]
        fn any_body_has_the_form_of_the_letter(body in "([a-c \t]|\r\n){0,40}", step in 1_usize..9) {
            for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
                prop_assert_eq!(hash(form, body.as_bytes(), step), sha(canonical(form, &body).as_bytes()));
            }
        }

        #[test]
        fn any_octets_hash_alike_however_they_are_cut(body in prop::collection::vec(prop::sample::select(b"\r\n \ta".to_vec()), 0..40)) {
            for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
                let whole = hash(form, &body, 64);
                for step in 1..8 {
                    prop_assert_eq!(hash(form, &body, step), whole);
                }
            }
        }
    }
}
