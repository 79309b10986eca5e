//! Counting Received lines while content goes by.

use memchr::memchr;

/// Counts the `Received` fields of a header section that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    place: Place,
    count: usize,
}

/// Where in the header section the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// This many octets of `received` have matched since the line began.
    Name(usize),
    /// Between the whole name and its colon (RFC 5322 4.5.8 lets white space stand there).
    BeforeColon,
    /// Somewhere in a line that does not matter.
    Rest,
    /// Behind a CR that stands at the beginning of a line.
    EmptyLine,
    /// Behind the header section.
    Body,
}

impl Default for Place {
    fn default() -> Self {
        Self::Name(0)
    }
}

const NAME: &[u8] = b"received";

impl Hops {
    /// [5321-6.3] Takes the next octets and returns how many Received fields there were so far. Content is canonical:
    /// every line ends in CRLF.
    pub(crate) fn pass(&mut self, mut octets: &[u8]) -> usize {
        while let ([first, rest @ ..], true) = (octets, self.place != Place::Body) {
            octets = rest;
            self.place = match self.place {
                Place::Name(0) if *first == b'\r' => Place::EmptyLine,
                Place::Name(matched) if NAME[matched] == first.to_ascii_lowercase() => match matched + 1 {
                    all if all == NAME.len() => Place::BeforeColon,
                    some => Place::Name(some),
                },
                Place::BeforeColon if matches!(first, b' ' | b'\t') => Place::BeforeColon,
                Place::BeforeColon if *first == b':' => {
                    self.count += 1;
                    Place::Rest
                }
                Place::EmptyLine if *first == b'\n' => Place::Body,
                _ if *first == b'\n' => Place::Name(0),
                _ => match memchr(b'\n', octets) {
                    Some(end) => {
                        octets = &octets[end + 1..];
                        Place::Name(0)
                    }
                    None => return self.in_the_rest(),
                },
            };
        }
        self.count
    }

    fn in_the_rest(&mut self) -> usize {
        self.place = Place::Rest;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(content: &str, step: usize) -> usize {
        let mut hops = Hops::default();
        content.as_bytes().chunks(step).fold(0, |_, piece| hops.pass(piece))
    }

    // [5321-6.3]
    #[test]
    fn received_fields_count_however_the_octets_are_cut() {
        let cases = [
            ("", 0),
            ("Received: a\r\n\r\n", 1),
            (
                "Received: a\r\n\tfolded Received: b\r\nRECEIVED : c\r\nX-Received: d\r\nReceivedx: e\r\n\r\nReceived: f\r\n",
                2,
            ),
            ("Subject: x\r\nreceived:y\r\nReceiv\r\nReceived\r\n\r\n", 1),
            ("\r\nReceived: only in the body\r\n", 0),
            (" Received: a continuation\r\nReceived: b", 1),
            ("Receive\r\rReceived: x\r\nReceived:\r\n", 1),
        ];
        for (content, expected) in cases {
            for step in 1..=content.len().max(1) {
                assert_eq!(count(content, step), expected, "{content:?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn a_body_is_not_looked_at() {
        let mut hops = Hops::default();
        assert_eq!(hops.pass(b"A: b\r\n\r\n"), 0);
        assert_eq!(hops.pass(b"Received: x\r\nReceived: y\r\n"), 0);
        assert_eq!(hops.place, Place::Body);
    }
}
