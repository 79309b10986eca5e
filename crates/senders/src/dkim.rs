//! DomainKeys Identified Mail, RFC 6376, as far as a verifier goes.

mod body;
mod header;
mod key;
mod signature;
mod tags;

use std::fmt;

use restante_types::Domain;

pub(crate) use body::BodyHash;
pub(crate) use header::{Budget, Header, fields};
pub(crate) use key::Key;
pub(crate) use signature::{Fields, Signature};

/// What came out for one signature, RFC 8601 2.7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DkimResult {
    /// It is good.
    Pass,
    /// It is not: the message is another one than was signed.
    Fail,
    /// It may be good, but covers too little, is out of date, or is made in a way that proves nothing.
    Policy,
    /// Its domain says that it is only trying.
    Neutral,
    /// Its key could not be had now.
    TempError,
    /// It or its key is no good.
    PermError,
}

impl fmt::Display for DkimResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        })
    }
}

/// A result and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimFinding {
    /// What came out.
    pub result: DkimResult,
    /// `d=`, whose signature it is; `None` where it cannot be read.
    pub domain: Option<Domain>,
    /// `s=`, which of its keys.
    pub selector: Option<Domain>,
    /// The beginning of `b=`, which tells it from another of the same key (RFC 6008).
    pub start: String,
}

/// Whether a signature of `signer` says something about `sender`: the same domain, or a parent of it with two labels at
/// least. Who signs for a parent has the DNS of its children in hand anyway. Not the other way round: a child of a
/// domain may belong to anybody (`customer.provider.example`), and which domains are so only a list of public suffixes
/// would tell, which we do not have.
pub(crate) fn is_aligned(signer: &Domain, sender: &Domain) -> bool {
    signer == sender || signer.is_fully_qualified() && sender.is_below(signer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_and_its_parents_speak_for_a_sender() {
        let aligned =
            |signer: &str, sender: &str| is_aligned(&signer.parse().unwrap(), &sender.parse().unwrap());
        assert!(aligned("example.org", "example.org"));
        assert!(aligned("Example.ORG", "bounces.mail.example.org"));
        assert!(!aligned("mail.example.org", "example.org"), "a child may be anybody's");
        assert!(!aligned("evil.co.uk", "victim.co.uk"), "neither may a neighbour's");
        assert!(!aligned("org", "example.org"), "a single label is nobody's");
        assert!(!aligned("ample.org", "example.org"));
        assert!(aligned("org", "org"));
    }
}
