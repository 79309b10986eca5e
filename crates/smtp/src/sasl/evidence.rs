//! What a client showed, for the caller to judge.

use std::fmt;

use super::mechanism::Mechanism;
use super::secret::Secret;

/// The account that a client proved to own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(pub String);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client showed. Names and passwords are prepared by SASLprep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// PLAIN or LOGIN: the password itself.
    Plain {
        /// Which of the two.
        mechanism: Mechanism,
        /// Who it wants to act as, where it said so.
        authzid: Option<String>,
        /// Its account.
        name: String,
        /// Its password.
        password: Secret,
    },
    /// EXTERNAL: its certificate, which is in the [`ClientFacts`](restante_types::ClientFacts).
    External {
        /// Who it wants to act as, where it said so.
        authzid: Option<String>,
    },
    /// CRAM-MD5; [`cram_md5`](super::cram_md5) of the account's secret and the challenge must come to the digest.
    CramMd5 {
        /// Its account.
        name: String,
        /// What we sent.
        challenge: String,
        /// What came back.
        digest: [u8; 16],
    },
    /// SCRAM: the machine found that the client knows the password.
    Scram {
        /// With or without channel binding.
        mechanism: Mechanism,
        /// Who it wants to act as, where it said so.
        authzid: Option<String>,
        /// Its account.
        name: String,
    },
    /// SCRAM: it does not know the password, there is no such account, or somebody stands in between (the channel
    /// binding is another one, or was argued away). To be counted and refused with the same words as any other
    /// failure; a grant changes nothing, the machine refuses it all the same.
    ScramFailed {
        /// With or without channel binding.
        mechanism: Mechanism,
        /// The account that it named.
        name: String,
    },
}

impl Evidence {
    /// The mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        match self {
            Self::Plain { mechanism, .. }
            | Self::Scram { mechanism, .. }
            | Self::ScramFailed { mechanism, .. } => *mechanism,
            Self::External { .. } => Mechanism::External,
            Self::CramMd5 { .. } => Mechanism::CramMd5,
        }
    }

    /// The account that was named; EXTERNAL names none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Plain { name, .. }
            | Self::CramMd5 { name, .. }
            | Self::Scram { name, .. }
            | Self::ScramFailed { name, .. } => Some(name),
            Self::External { .. } => None,
        }
    }

    /// Who the client wants to act as, where it said so.
    #[must_use]
    pub fn authzid(&self) -> Option<&str> {
        match self {
            Self::Plain { authzid, .. } | Self::External { authzid } | Self::Scram { authzid, .. } => {
                authzid.as_deref()
            }
            Self::CramMd5 { .. } | Self::ScramFailed { .. } => None,
        }
    }
}
