//! Domain names as mail uses them: A-labels, lower case, no trailing dot.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::limits::{MAX_DOMAIN, MAX_LABEL};

/// A domain name in A-label form, lower case, without a trailing dot (RFC 5321 2.3.5, RFC 5890).
///
/// U-labels are converted when it is parsed, so two spellings of one name are one value. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Domain(Arc<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing was there.
    #[error("a domain name is missing")]
    Empty,
    /// Longer than RFC 1035 allows.
    #[error("a domain name has at most {MAX_DOMAIN} characters, a label at most {MAX_LABEL}")]
    TooLong,
    /// A label is empty, starts or ends with a hyphen, or holds something but letters, digits and hyphens.
    #[error("not a domain name: labels are letters, digits and inner hyphens, separated by single dots")]
    Malformed,
}

impl Domain {
    /// Parses a name: any case, one trailing dot tolerated, U-labels become A-labels.
    ///
    /// # Errors
    /// [`DomainError`] says what is wrong; the input is never echoed.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if is_lower_ldh(text) {
            return Self::checked(text);
        }
        // A bound before IDNA, whose work grows with the input; a U-label is never longer than four octets a letter.
        if text.len() > 4 * MAX_DOMAIN {
            return Err(DomainError::TooLong);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainError::Malformed)?
        };
        Self::checked(ascii.strip_suffix('.').unwrap_or(&ascii))
    }

    fn checked(ascii: &str) -> Result<Self, DomainError> {
        if ascii.len() > MAX_DOMAIN {
            return Err(DomainError::TooLong);
        }
        for label in ascii.split('.') {
            check_label(label)?;
        }
        Ok(Self(ascii.into()))
    }

    /// The name as it goes over the wire and into keys.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether it has at least two labels and a last label that is not a number (RFC 1985 5.2 wants a fully
    /// qualified name).
    #[must_use]
    pub fn is_fully_qualified(&self) -> bool {
        let mut labels = self.labels().rev();
        let top = labels.next().unwrap_or_default();
        labels.next().is_some() && !top.bytes().all(|octet| octet.is_ascii_digit())
    }

    /// Whether this name lies strictly below `parent`.
    #[must_use]
    pub fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    /// The name without its first label, if anything is left.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, rest)| Self(rest.into()))
    }
}

fn is_lower_ldh(text: &str) -> bool {
    text.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

fn check_label(label: &str) -> Result<(), DomainError> {
    if label.len() > MAX_LABEL {
        return Err(DomainError::TooLong);
    }
    // Underscore is no host name, but names with it hold mail in practice (RFC 2181 11).
    let legal = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if label.is_empty() || label.starts_with('-') || label.ends_with('-') || !label.bytes().all(legal) {
        return Err(DomainError::Malformed);
    }
    Ok(())
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

impl FromStr for Domain {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, DomainError> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0.as_ref().to_owned()
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_name_are_one_value() {
        let domain = Domain::parse("example.org").unwrap();
        for text in ["EXAMPLE.org", "example.org.", "Example.Org"] {
            assert_eq!(Domain::parse(text).unwrap(), domain);
        }
        assert_eq!(Domain::parse("bücher.example").unwrap().as_str(), "xn--bcher-kva.example");
        assert_eq!(Domain::parse("BÜCHER。example").unwrap().as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["", ".", "..", "a..b", ".a", "-a.b", "a-.b", "a b", "a\0b", "[192.0.2.1]", "a/b", "a\u{202e}.b "]
        {
            assert!(Domain::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Domain::parse(&"a".repeat(64)), Err(DomainError::TooLong));
        assert_eq!(Domain::parse(&"a.".repeat(200)), Err(DomainError::TooLong));
        assert!(Domain::parse(&format!("{}.org", "ü".repeat(100_000))).is_err());
    }

    #[test]
    fn below_means_a_whole_label() {
        let parent = Domain::parse("example.org").unwrap();
        assert!(Domain::parse("a.example.org").unwrap().is_below(&parent));
        assert!(!Domain::parse("aexample.org").unwrap().is_below(&parent));
        assert!(!parent.is_below(&parent));
        assert!(parent.is_fully_qualified());
        assert!(!Domain::parse("localhost").unwrap().is_fully_qualified());
        assert!(!Domain::parse("192.0.2.1").unwrap().is_fully_qualified());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_idempotent(text in "\\PC{0,40}") {
            if let Ok(domain) = Domain::parse(&text) {
                prop_assert_eq!(Domain::parse(domain.as_str()).unwrap(), domain);
            }
        }
    }
}
