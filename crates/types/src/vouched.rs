//! Whether somebody vouches for the sender of a message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was found, when a message came in, about the identity in its MAIL FROM. A notice about a message goes only to
/// a sender that is not likely to be forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub enum Vouched {
    /// Nobody looked: nobody needed to know, or it came in before anybody looked.
    #[default]
    Unchecked,
    /// Looked at, and nobody does.
    No,
    /// SPF passed for the MAIL FROM identity (RFC 7208 2.4).
    Spf,
    /// A DKIM signature passed whose domain is aligned with that of MAIL FROM (RFC 6376).
    Dkim,
}

impl Vouched {
    /// Whether somebody does.
    #[must_use]
    pub const fn is_vouched(self) -> bool {
        matches!(self, Self::Spf | Self::Dkim)
    }
}

impl fmt::Display for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchecked => "unchecked",
            Self::No => "no",
            Self::Spf => "spf",
            Self::Dkim => "dkim",
        })
    }
}
