//! Replies, RFC 5321 4.2 with the enhanced codes of RFC 2034 and 3463. Refusing mail is a value, not an error.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What the first digit of a reply says (RFC 5321 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// 2yz
    Completed,
    /// 3yz
    Intermediate,
    /// 4yz
    Transient,
    /// 5yz
    Permanent,
}

/// A three-digit reply code, 200 to 559.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// A code of the grammar: first digit 2 to 5, second 0 to 5 (RFC 5321 4.2), third any.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 200 && code <= 559 && (code / 10) % 10 <= 5 { Some(Self(code)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// What its first digit says.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self.0 / 100 {
            2 => Severity::Completed,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }
}

impl TryFrom<u16> for ReplyCode {
    type Error = &'static str;
    fn try_from(code: u16) -> Result<Self, Self::Error> {
        Self::new(code).ok_or("a reply code is 200 to 559")
    }
}

impl From<ReplyCode> for u16 {
    fn from(code: ReplyCode) -> Self {
        code.0
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

/// `class.subject.detail` of RFC 3463.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedStatusCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedStatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply: a code, an enhanced code where the reply has one, and text without line ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The three digits.
    pub code: ReplyCode,
    /// The enhanced code; greetings, 3yz, HELO and EHLO have none (RFC 2034 3).
    pub enhanced: Option<EnhancedStatusCode>,
    /// The text; several lines are separated by LF here and written as a multi-line reply.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply of our own with an enhanced code, from literals.
    ///
    /// # Panics
    /// When `code` is no reply code; only literals are passed, and a test walks over all of them.
    #[must_use]
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<Cow<'static, str>>) -> Self {
        let enhanced = EnhancedStatusCode(enhanced.0, enhanced.1, enhanced.2);
        Self { enhanced: Some(enhanced), ..Self::bare(code, text) }
    }

    /// A reply of our own without an enhanced code.
    ///
    /// # Panics
    /// As [`Reply::new`].
    #[must_use]
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let code = ReplyCode::new(code).expect("reply codes of our own are literals of the grammar");
        Self { code, enhanced: None, text: text.into() }
    }

    /// What its first digit says.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Appends the wire form: every line with the code, the last with a space behind it, CRLF at each end. Octets
    /// that may not stand in a reply become `?`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            out.extend(line.bytes().map(|octet| if octet < b' ' || octet == 0x7f { b'?' } else { octet }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// One line for logs and lists: `451 4.3.0 text`, lines joined by ` / `, escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        for (index, line) in self.text.split('\n').enumerate() {
            let between = if index == 0 { "" } else { " / " };
            write!(f, "{between}{}", crate::Printable::from(line))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_has_a_code_on_each_line() {
        let mut out = Vec::new();
        Reply::new(250, (2, 0, 0), "one\ntwo").write(&mut out);
        Reply::bare(220, "mx2.example.net\x07").write(&mut out);
        assert_eq!(out, b"250-2.0.0 one\r\n250 2.0.0 two\r\n220 mx2.example.net?\r\n");
    }

    #[test]
    fn codes_are_those_of_the_grammar() {
        assert!(
            ReplyCode::new(199).is_none() && ReplyCode::new(560).is_none() && ReplyCode::new(290).is_none()
        );
        assert_eq!(ReplyCode::new(421).map(ReplyCode::severity), Some(Severity::Transient));
    }
}
