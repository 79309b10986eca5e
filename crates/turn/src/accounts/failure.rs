//! Why somebody is not let in: little to the client, more to the log.

use std::fmt;
use std::time::Duration;

use restante_types::Reply;

use super::failures::Limited;

/// What a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// Not enough, whatever is wrong with it.
    Refused,
    /// Too many failures at this account; to be tried again after so long.
    Wait(Duration),
    /// Too many failures at any accounts; the connection ends.
    Close(Duration),
}

impl AuthFailure {
    /// [4954-6-replies] The reply.
    #[must_use]
    pub fn reply(self) -> Reply {
        match self {
            // [4954-4-alike] One text.
            Self::Refused => Reply::new(535, (5, 7, 8), "Authentication credentials invalid"),
            Self::Wait(_) => Reply::new(454, (4, 7, 0), "Too many failed attempts, try again later"),
            Self::Close(_) => Reply::new(421, (4, 7, 0), "Too many failed attempts, closing connection"),
        }
    }
}

impl From<Limited> for AuthFailure {
    fn from(limited: Limited) -> Self {
        match limited {
            Limited::Account(rest) => Self::Wait(rest),
            Limited::Network(rest) => Self::Close(rest),
        }
    }
}

/// What the log is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No such account, a wrong password, or a mechanism or a connection in clear that it may not use.
    Credentials,
    /// It proved to be one account and wanted to act as another.
    OtherIdentity,
    /// EXTERNAL without a certificate.
    NoCertificate,
    /// EXTERNAL with a certificate that belongs to no account.
    UnknownCertificate,
    /// It was not looked at: too many failures before.
    TooMany,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "credentials",
            Self::OtherIdentity => "other identity",
            Self::NoCertificate => "no certificate",
            Self::UnknownCertificate => "unknown certificate",
            Self::TooMany => "too many failures",
        })
    }
}
