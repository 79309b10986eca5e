//! Taking results out of a message that somebody else wrote in our name.

use memchr::memchr;
use restante_types::Domain;

use crate::limits::FIELD_KEPT;

const NAME: &[u8] = b"authentication-results";

/// [8601-5] Lets a message through in pieces, without the Authentication-Results fields of its header section that claim
/// to be ours. Whoever trusts us believes such a field, so that it goes whether or not we add one ourselves.
///
/// Content is canonical: every line ends in CRLF. Everything else passes as it came; nothing is kept but the beginning of
/// a field of that name until it is known whose it is.
#[derive(Debug)]
pub struct Unforged {
    ours: Domain,
    place: Place,
    /// Octets of earlier pieces that are not decided yet.
    held: Vec<u8>,
    /// How many octets of the field were seen.
    seen: usize,
    id: Vec<u8>,
    removed: u32,
}

/// Where in the header section the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line.
    Start,
    /// Behind a CR at the beginning of a line.
    Cr,
    /// In a line that passes.
    Text,
    /// This many octets of the name have matched.
    Name(usize),
    /// Between the name and its colon (RFC 5322 4.5.8 lets white space stand there).
    BeforeColon,
    /// In the field, before or in the name of its author.
    Author(Author),
    /// The same, at the beginning of a line.
    AuthorStart(Author),
    /// In a field that goes.
    Gone,
    /// The same, at the beginning of a line.
    GoneStart,
    /// Behind the header section.
    Body,
}

/// Where in `[CFWS] authserv-id` (RFC 8601 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    /// Before it.
    Space,
    /// In this many comments.
    Comment(u32),
    /// Behind a backslash in a comment.
    CommentPair(u32),
    /// In a token.
    Token,
    /// In a quoted string.
    Quoted,
    /// Behind a backslash in one.
    QuotedPair,
}

/// One step further.
enum Step {
    On(Author),
    /// The name is complete, and what follows it was reached.
    Complete,
}

impl Unforged {
    /// Fields in this name are taken out.
    #[must_use]
    pub const fn new(ours: Domain) -> Self {
        Self { ours, place: Place::Start, held: Vec::new(), seen: 0, id: Vec::new(), removed: 0 }
    }

    /// Takes the next octets, and hands on what passes.
    pub fn pass(&mut self, octets: &[u8], mut on: impl FnMut(&[u8])) {
        // Up to `sent` all is handed on or gone; at `begun` the field begins that is not decided.
        let (mut sent, mut begun, mut at) = (0, 0, 0);
        while let Some(octet) = octets.get(at).copied() {
            let (before, mut taken) = (self.place, 1);
            self.place = match self.place {
                Place::Body => break,
                Place::Text | Place::Gone => {
                    let line = memchr(b'\n', &octets[at..]);
                    taken = line.map_or(octets.len() - at, |end| end + 1);
                    match (before, line) {
                        (_, None) => before,
                        (Place::Text, _) => Place::Start,
                        _ => Place::GoneStart,
                    }
                }
                Place::Start => {
                    begun = at;
                    self.seen = 0;
                    if octet.eq_ignore_ascii_case(&NAME[0]) { Place::Name(1) } else { passing(octet) }
                }
                Place::Cr => {
                    if octet == b'\n' {
                        Place::Body
                    } else {
                        passing(octet)
                    }
                }
                Place::GoneStart if is_space(octet) => Place::Gone,
                Place::GoneStart => {
                    (sent, taken) = (at, 0);
                    Place::Start
                }
                _ => self.field(octet, &mut taken),
            };
            self.seen += taken;
            if before.is_open() && !self.place.is_open() {
                self.decided(&octets[sent..begun.max(sent)], &mut on);
            }
            at += taken;
        }
        match self.place {
            Place::Gone | Place::GoneStart => {}
            place if place.is_open() => {
                on(&octets[sent..begun]);
                self.held.extend_from_slice(&octets[begun..]);
            }
            _ => on(&octets[sent..]),
        }
    }

    /// Hands on what was held back, where the message ends within a field.
    pub fn end(&mut self, mut on: impl FnMut(&[u8])) {
        if let Place::Author(author) | Place::AuthorStart(author) = self.place
            && matches!(author, Author::Token | Author::Quoted)
            && self.is_ours()
        {
            self.place = Place::Gone;
            self.decided(&[], &mut on);
        }
        on(&std::mem::take(&mut self.held));
        self.place = Place::Body;
    }

    /// How many fields were taken out.
    #[must_use]
    pub const fn removed(&self) -> u32 {
        self.removed
    }

    /// Within a field that may go.
    fn field(&mut self, octet: u8, taken: &mut usize) -> Place {
        match self.place {
            Place::Name(matched) if octet.eq_ignore_ascii_case(&NAME[matched]) => {
                if matched + 1 == NAME.len() { Place::BeforeColon } else { Place::Name(matched + 1) }
            }
            // As below: no honest field looks like this.
            Place::BeforeColon if is_space(octet) && self.seen >= FIELD_KEPT => Place::Gone,
            Place::BeforeColon if is_space(octet) => Place::BeforeColon,
            Place::BeforeColon if octet == b':' => {
                self.id.clear();
                Place::Author(Author::Space)
            }
            Place::AuthorStart(author) if is_space(octet) => self.author(author, octet),
            Place::AuthorStart(author) => {
                // The field is over.
                *taken = 0;
                let named = matches!(author, Author::Token | Author::Quoted);
                if named && self.is_ours() { Place::GoneStart } else { Place::Start }
            }
            Place::Author(author) => self.author(author, octet),
            _ if octet == b'\n' => Place::Start,
            _ => Place::Text,
        }
    }

    fn author(&mut self, author: Author, octet: u8) -> Place {
        // What is longer than any honest field before the name is not left to somebody else's reading.
        if self.seen >= FIELD_KEPT {
            return if octet == b'\n' { Place::GoneStart } else { Place::Gone };
        }
        match self.step(author, octet) {
            Step::On(author) if octet == b'\n' => Place::AuthorStart(author),
            Step::On(author) => Place::Author(author),
            Step::Complete => match (self.is_ours(), octet) {
                (true, b'\n') => Place::GoneStart,
                (true, _) => Place::Gone,
                (false, b'\n') => Place::Start,
                (false, _) => Place::Text,
            },
        }
    }

    fn step(&mut self, author: Author, octet: u8) -> Step {
        let next = match (author, octet) {
            // Not in the grammar, but white space to many who would read it.
            (Author::Space, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c) => Author::Space,
            (Author::Space, b'(') => Author::Comment(1),
            (Author::Space, b'"') => Author::Quoted,
            (Author::Comment(1), b')') => Author::Space,
            (Author::Comment(depth), b')') => Author::Comment(depth - 1),
            (Author::Comment(depth), b'(') => Author::Comment(depth + 1),
            (Author::Comment(depth), b'\\') => Author::CommentPair(depth),
            (Author::Comment(depth) | Author::CommentPair(depth), _) => Author::Comment(depth),
            // A slash and an equals sign end it as well: some write and read a version behind the former.
            (
                Author::Token,
                b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | b';' | b'(' | b'/' | b'=' | b',',
            ) => {
                return Step::Complete;
            }
            (Author::Quoted, b'"') => return Step::Complete,
            (Author::Quoted, b'\\') => Author::QuotedPair,
            (Author::Quoted, b'\r' | b'\n') => Author::Quoted,
            (Author::Quoted | Author::QuotedPair, _) => {
                self.id.push(octet);
                Author::Quoted
            }
            (Author::Space | Author::Token, _) => {
                self.id.push(octet);
                Author::Token
            }
        };
        Step::On(next)
    }

    /// Whether the name that was read is ours: in any case, with a dot at its end, in U-labels.
    fn is_ours(&self) -> bool {
        let id = self.id.trim_ascii();
        std::str::from_utf8(id).is_ok_and(|id| Domain::parse(id).as_ref() == Ok(&self.ours))
    }

    /// The field that was held back goes, or passes.
    fn decided(&mut self, before: &[u8], on: &mut impl FnMut(&[u8])) {
        let held = std::mem::take(&mut self.held);
        if matches!(self.place, Place::Gone | Place::GoneStart) {
            on(before);
            self.removed = self.removed.saturating_add(1);
        } else {
            on(&held);
        }
    }
}

impl Place {
    /// Whether what was seen of the field may still go.
    const fn is_open(self) -> bool {
        matches!(self, Self::Name(_) | Self::BeforeColon | Self::Author(_) | Self::AuthorStart(_))
    }
}

/// Where an octet leads at the beginning of a line that is not ours.
const fn passing(octet: u8) -> Place {
    match octet {
        b'\r' => Place::Cr,
        b'\n' => Place::Start,
        _ => Place::Text,
    }
}

const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests;
