//! Text from the network, made safe to show.

use std::fmt;

/// Shows text from the network with everything escaped that could steer a terminal, forge a log line or turn the
/// direction of writing: C0, DEL, C1, line and paragraph separators, bidirectional controls, the byte-order mark,
/// the backslash itself and octets that are not UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a [u8]);

impl<'a> From<&'a str> for Printable<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\\')
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some((at, c)) = rest.char_indices().find(|(_, c)| steers(*c)) {
                write!(f, "{}{}", &rest[..at], c.escape_default())?;
                rest = &rest[at + c.len_utf8()..];
            }
            f.write_str(rest)?;
            for octet in chunk.invalid() {
                write!(f, "\\x{octet:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_gets_through() {
        assert_eq!(Printable::from("plain ü 漢").to_string(), "plain ü 漢");
        assert_eq!(Printable(b"a\r\n\x1b[31m\xff\\").to_string(), "a\\r\\n\\u{1b}[31m\\xff\\\\");
        assert_eq!(Printable::from("\u{202e}\u{85}").to_string(), "\\u{202e}\\u{85}");
    }
}
