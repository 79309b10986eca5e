//! Mailboxes and paths of RFC 5321 (4.1.2) and RFC 6531 (3.3), without their grammar: parsing the wire form is
//! the smtp crate's work, these types only hold what is legal and write it back.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::Domain;
use crate::limits::MAX_LOCAL_PART;

/// Why something is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Empty, or longer than a path may be.
    #[error("a local part has 1 to {MAX_LOCAL_PART} octets")]
    LocalPartLength,
    /// A control character, which no form of quoting may carry.
    #[error("a local part holds no control characters")]
    LocalPartOctet,
    /// No `@`, or no host behind it.
    #[error("an address is local-part@domain")]
    NoDomain,
    /// The host is neither a domain nor an address literal.
    #[error("the part behind @ is neither a domain nor an address literal")]
    Host,
}

/// The part before `@`, unquoted. Its case is kept and matters (RFC 5321 2.4), except for `postmaster`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// Takes the unquoted text.
    ///
    /// # Errors
    /// When it is empty, too long or holds a control character.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() || text.len() > MAX_LOCAL_PART {
            return Err(AddressError::LocalPartLength);
        }
        if text.chars().any(char::is_control) {
            return Err(AddressError::LocalPartOctet);
        }
        Ok(Self(text.into()))
    }

    /// The unquoted text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it needs SMTPUTF8 on the wire.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    fn is_dot_string(&self) -> bool {
        let octets = self.0.as_bytes();
        let atext = |octet: &u8| {
            octet.is_ascii_alphanumeric() || !octet.is_ascii() || b"!#$%&'*+-/=?^_`{|}~.".contains(octet)
        };
        let empty_atom =
            self.0.starts_with('.') || self.0.ends_with('.') || octets.windows(2).any(|two| two == b"..");
        !empty_atom && octets.iter().all(atext)
    }
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_dot_string() {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            f.write_char(c)?;
        }
        f.write_str("\"")
    }
}

/// What stands behind the `@`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailboxHost {
    /// A domain name.
    Domain(Domain),
    /// An address literal, RFC 5321 4.1.3.
    Literal(IpAddr),
}

impl fmt::Display for MailboxHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

impl FromStr for MailboxHost {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            return Domain::parse(text).map(Self::Domain).map_err(|_| AddressError::Host);
        };
        let address = match literal.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => literal[5..].parse().map(IpAddr::V6),
            _ => literal.parse().map(IpAddr::V4),
        };
        address.map(Self::Literal).map_err(|_| AddressError::Host)
    }
}

/// `local-part@host`; its `Display` is the wire form without brackets, quoted where it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Mailbox {
    /// Before the `@`.
    pub local: LocalPart,
    /// Behind it.
    pub host: MailboxHost,
}

impl Mailbox {
    /// The domain, unless the host is an address literal.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        match &self.host {
            MailboxHost::Domain(domain) => Some(domain),
            MailboxHost::Literal(_) => None,
        }
    }

    /// Octets of its wire form.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        let mut octets = Octets(0);
        write!(octets, "{self}").expect("counting does not fail");
        octets.0
    }
}

/// Counts what is written.
struct Octets(usize);

impl fmt::Write for Octets {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.local.fmt(f)?;
        f.write_str("@")?;
        self.host.fmt(f)
    }
}

/// As its wire form: what is stored, for every message, is written without a copy of it.
impl Serialize for Mailbox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;
    /// Reads what `Display` writes; the host is what follows the last `@`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (local, host) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        let local = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(quoted) => unquote(quoted),
            None => local.to_owned(),
        };
        Ok(Self { local: LocalPart::new(&local)?, host: host.parse()? })
    }
}

fn unquote(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

impl TryFrom<String> for Mailbox {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.to_string()
    }
}

/// Where notices about a message go: `MAIL FROM`. Its `Display` is without brackets, so the null path is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`: nobody wants to hear of it.
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Where a message goes: `RCPT TO`, source route already stripped (RFC 5321 appendix C).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// Bare `<Postmaster>`, RFC 5321 4.5.1.
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_comes_back_where_it_is_needed() {
        for text in [
            "a@example.org",
            "a.b+c@example.org",
            "\"a b\"@example.org",
            "\"a\\\"b\\\\\"@[192.0.2.1]",
            "ü@[IPv6:2001:db8::1]",
        ] {
            assert_eq!(text.parse::<Mailbox>().unwrap().to_string(), text);
        }
        assert_eq!("\"ab\"@EXAMPLE.org".parse::<Mailbox>().unwrap().to_string(), "ab@example.org");
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for text in ["", "@", "a", "a@", "@b.org", "a\r\nb@b.org", "a@[1.2.3]", "a@b..c"] {
            assert!(text.parse::<Mailbox>().is_err(), "{text:?}");
        }
        assert!(LocalPart::new(&"a".repeat(257)).is_err());
    }
}
