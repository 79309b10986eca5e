//! What a notice tells of the message it is about: its header, or all of it.

use memchr::memmem;
use restante_queue::{ContentReader, StoreError};

use super::words;

/// Octets of a header section that are looked at and returned; the longest real ones have some 30 KiB.
const MAX_HEADER: usize = 64 * 1024;
/// Octets of a message that is returned as a whole where its sender asked for that (RFC 3461 6.2 leaves the length to
/// us): a notice is held in memory while it is written.
pub(super) const MAX_WHOLE: u64 = 1024 * 1024;
/// Octets of a Message-ID that is repeated.
const MAX_MESSAGE_ID: usize = 250;

/// A message that something became of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Original {
    content: Vec<u8>,
    /// Where the header section ends, its last CRLF included.
    header: usize,
    /// All of it is there.
    pub(super) whole: bool,
}

impl Original {
    /// Reads as much as is needed: all of it, or its header.
    pub(super) async fn read(content: &mut ContentReader, whole: bool) -> Result<Self, StoreError> {
        let whole = whole && content.remaining() <= MAX_WHOLE;
        let mut octets = Vec::new();
        while let Some(piece) = content.next().await? {
            octets.extend_from_slice(&piece);
            if !whole && (octets.len() > MAX_HEADER || end_of_header(&octets).is_some()) {
                break;
            }
        }
        Ok(Self::new(octets, whole))
    }

    /// From the content as far as it was read.
    pub(super) fn new(mut content: Vec<u8>, whole: bool) -> Self {
        let end = end_of_header(&content).filter(|end| *end <= MAX_HEADER);
        let header = end.unwrap_or_else(|| {
            let some = &content[..content.len().min(MAX_HEADER)];
            memmem::rfind(some, b"\r\n").map_or(0, |at| at + 2)
        });
        if !whole {
            content.truncate(header);
        }
        Self { content, header, whole }
    }

    /// Its header section: whole lines, as they are.
    pub(super) fn header(&self) -> &[u8] {
        &self.content[..self.header]
    }

    /// As much of it as there is.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// What a field says, its lines joined; of several, the first.
    fn field(&self, name: &str) -> Option<String> {
        let mut lines = self.header().split(|octet| *octet == b'\n').map(|line| line.trim_ascii_end());
        let is_named = |line: &&[u8]| {
            let named =
                line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
            named && line[name.len()..].trim_ascii_start().starts_with(b":")
        };
        let first = lines.find(is_named)?;
        let colon = first.iter().position(|octet| *octet == b':')?;
        let mut value = first[colon + 1..].to_vec();
        for line in lines.take_while(|line| matches!(line, [b' ' | b'\t', ..])) {
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii_start());
        }
        Some(String::from_utf8_lossy(value.trim_ascii()).into_owned())
    }

    /// Its subject, for people.
    pub(super) fn subject(&self) -> Option<String> {
        self.field("Subject").map(|subject| words::decoded(&subject)).filter(|subject| !subject.is_empty())
    }

    /// [3834-3.1.5] Its Message-ID, where it is one that may stand in a header of ours.
    pub(super) fn message_id(&self) -> Option<String> {
        let id = self.field("Message-ID")?;
        let inside = id.strip_prefix('<')?.strip_suffix('>')?;
        let plain = |octet: u8| matches!(octet, b'!'..=b'~') && !matches!(octet, b'<' | b'>');
        (id.len() <= MAX_MESSAGE_ID && inside.contains('@') && inside.bytes().all(plain)).then_some(id)
    }

    /// Whether no person waits for an answer to it: it was made by a program, or went to many (RFC 3834 2). A notice of
    /// delay would only be noise.
    pub(super) fn is_automatic(&self) -> bool {
        let said = |name: &str| self.field(name).map(|value| value.to_ascii_lowercase());
        let submitted = said("Auto-Submitted").is_some_and(|value| !value.starts_with("no"));
        let precedence = said("Precedence").is_some_and(|value| matches!(&*value, "bulk" | "list" | "junk"));
        submitted || precedence || self.field("List-Id").is_some()
    }
}

/// Where the header section ends, its last CRLF included.
fn end_of_header(content: &[u8]) -> Option<usize> {
    if content.starts_with(b"\r\n") {
        return Some(0);
    }
    memmem::find(content, b"\r\n\r\n").map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(text: &str) -> Original {
        Original::new(text.as_bytes().to_vec(), false)
    }

    #[test]
    fn the_header_is_what_stands_before_the_empty_line() {
        let text = b"A: b\r\n c\r\n\r\nSubject: body\r\n";
        let headers = Original::new(text.to_vec(), false);
        assert_eq!(
            (headers.header(), headers.content(), headers.subject()),
            (&text[..10], &text[..10], None)
        );
        let whole = Original::new(text.to_vec(), true);
        assert_eq!((whole.header(), whole.content()), (&text[..10], &text[..]));
        assert_eq!(original("\r\nSubject: body\r\n").header(), b"");
        assert_eq!(original("A: b\r\nC: no end").header(), b"A: b\r\n");
        assert_eq!(original("").header(), b"");
        let long = "X: y\r\n".repeat(20_000);
        assert_eq!(original(&long).header().len(), MAX_HEADER / 6 * 6);
    }

    #[test]
    fn fields_are_read_whatever_their_case_and_folding() {
        let text = original("received: x\r\nsUbJeCt : a\r\n\tb \r\n c\r\nMessage-Id: <a@b>\r\n\r\n");
        assert_eq!(text.subject().unwrap(), "a b c");
        assert_eq!(text.message_id().unwrap(), "<a@b>");
        assert_eq!(original("Subjects: a\r\nSubject:\r\n\r\n").subject(), None);
    }

    // [3834-3.1.5]
    #[test]
    fn only_a_proper_message_id_is_repeated() {
        for bad in ["a@b", "<a b@c>", "<a@b> <c@d>", "<a@b>\r\n <c@d>", "<ab>", "<a@b\u{7}>", "<ü@b>", "<>"]
        {
            assert_eq!(original(&format!("Message-ID: {bad}\r\n\r\n")).message_id(), None, "{bad:?}");
        }
        let long = format!("Message-ID: <{}@b>\r\n\r\n", "a".repeat(250));
        assert_eq!(original(&long).message_id(), None);
    }

    #[test]
    fn programs_and_lists_are_known() {
        for text in ["Auto-Submitted: auto-replied", "precedence: Bulk", "List-Id: <a.b>"] {
            assert!(original(&format!("{text}\r\n\r\n")).is_automatic(), "{text}");
        }
        for text in ["Auto-Submitted: no", "Precedence: first-class", "X: y"] {
            assert!(!original(&format!("{text}\r\n\r\n")).is_automatic(), "{text}");
        }
    }
}
