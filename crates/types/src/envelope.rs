//! The envelope with the parameters that must survive the hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::{Mailbox, ReversePath};

/// `BODY=` of RFC 6152 (BINARYMIME is not offered).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Body {
    /// Not said, or `7BIT`.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// `RET=` of RFC 3461 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header section.
    Headers,
}

/// `NOTIFY=` of RFC 3461 4.1; `NEVER` is all three false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// SUCCESS
    pub success: bool,
    /// FAILURE
    pub failure: bool,
    /// DELAY
    pub delay: bool,
}

impl Notify {
    /// `NEVER`.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut said = words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word);
        let Some(first) = said.next() else { return f.write_str("NEVER") };
        f.write_str(first)?;
        said.try_for_each(|word| write!(f, ",{word}"))
    }
}

/// A value in xtext (RFC 3461 4), kept in its encoded form, as it came and as it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xtext(Box<str>);

/// A text that is no xtext, or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not xtext: printable characters without + and =, others as +HH")]
pub struct XtextError;

impl Xtext {
    /// Takes the encoded form, at most `max` octets.
    ///
    /// # Errors
    /// When a character must have been encoded and is not, or when it is empty or too long.
    pub fn new(encoded: &str, max: usize) -> Result<Self, XtextError> {
        let bytes = encoded.as_bytes();
        if bytes.is_empty() || bytes.len() > max {
            return Err(XtextError);
        }
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            rest = match (first, tail) {
                (b'+', [b'0'..=b'9' | b'A'..=b'F', b'0'..=b'9' | b'A'..=b'F', tail @ ..]) => tail,
                (b'!'..=b'~', _) if !matches!(first, b'+' | b'=') => tail,
                _ => return Err(XtextError),
            };
        }
        Ok(Self(encoded.into()))
    }

    /// The encoded form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One recipient with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Where it goes.
    pub mailbox: Mailbox,
    /// `NOTIFY=`, where it was said.
    pub notify: Option<Notify>,
    /// `ORCPT=`: address type and encoded address, `rfc822;user@example.org`.
    pub original: Option<Xtext>,
}

impl From<Mailbox> for Recipient {
    fn from(mailbox: Mailbox) -> Self {
        Self { mailbox, notify: None, original: None }
    }
}

/// The envelope of a message: everything that SMTP said about it besides its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// MAIL FROM.
    pub sender: ReversePath,
    /// RCPT TO, in the order they came; at least one once content is there.
    pub recipients: Vec<Recipient>,
    /// `BODY=`.
    pub body: Body,
    /// `SMTPUTF8` was said.
    pub smtputf8: bool,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `ENVID=`.
    pub envid: Option<Xtext>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_checked_and_kept_as_it_came() {
        assert_eq!(Xtext::new("a+2Bb", 100).unwrap().as_str(), "a+2Bb");
        for text in ["", "a b", "a=b", "a+2b", "a+", "ü", "a\r"] {
            assert!(Xtext::new(text, 100).is_err(), "{text:?}");
        }
        assert!(Xtext::new("abc", 2).is_err());
    }

    #[test]
    fn notify_is_written_as_rfc_3461_wants_it() {
        assert_eq!(Notify::NEVER.to_string(), "NEVER");
        assert_eq!(Notify { success: true, failure: false, delay: true }.to_string(), "SUCCESS,DELAY");
    }
}
