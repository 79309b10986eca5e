//! Sender Policy Framework, RFC 7208.

mod evaluation;
mod record;
mod target;

use std::fmt;

use restante_types::Domain;

pub(crate) use evaluation::{Asked, evaluate};

/// What came out, [7208-2.6].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpfResult {
    /// There is no record, or no domain that could have one.
    None,
    /// The domain says nothing about this address.
    Neutral,
    /// The address may send for the domain.
    Pass,
    /// It may not.
    Fail,
    /// Probably not.
    SoftFail,
    /// The DNS could not say now, or we do not ask it now.
    TempError,
    /// The record is no good.
    PermError,
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        })
    }
}

/// Whose record was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SpfIdentity {
    /// [7208-2.4] The domain of MAIL FROM.
    MailFrom(Domain),
    /// [7208-2.3] The name in HELO or EHLO, where MAIL FROM is `<>`.
    Helo(Domain),
}

impl SpfIdentity {
    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        match self {
            Self::MailFrom(domain) | Self::Helo(domain) => domain,
        }
    }
}

/// A result and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfFinding {
    /// What came out.
    pub result: SpfResult,
    /// For whom.
    pub identity: SpfIdentity,
}
