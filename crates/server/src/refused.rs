//! Why a recipient is not taken: one rule each, with the reply for the wire and the words for the operator.

use std::fmt;

use restante_queue::StoreError;
use restante_types::{Domain, Reply};

use crate::replies;

/// The rule by which a recipient is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its domain is not configured.
    NotHeld(Domain),
    /// Its host is an address.
    Literal,
    /// Its local part names another host.
    RoutesOnward,
    /// Its domain was configured at the last good start.
    Lost(Domain),
    /// Bare `postmaster`, and no domain is configured.
    NoPostmaster,
    /// It, or its sender, is internationalised, and the primary is not known to take that.
    International(Domain),
    /// The store cannot take mail.
    Store(StoreError),
    /// The domain holds as much as it may.
    OverQuota {
        /// Which.
        domain: Domain,
        /// Octets held.
        held: u64,
        /// Octets at most.
        quota: u64,
    },
    /// As many names below the domain have mail as may.
    TooManyQueues {
        /// Which.
        domain: Domain,
        /// Names at most.
        most: usize,
    },
}

impl Refused {
    /// What the client hears. Bland on purpose.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::NotHeld(_) | Self::Literal | Self::RoutesOnward => replies::relaying(),
            Self::Lost(_) => replies::lost_domain(),
            Self::NoPostmaster => replies::no_postmaster(),
            Self::International(_) => replies::not_international(),
            Self::Store(error) => replies::store(error),
            Self::OverQuota { .. } => replies::over_quota(),
            Self::TooManyQueues { .. } => replies::too_many_queues(),
        }
    }

    /// A word for scripts.
    pub(crate) const fn rule(&self) -> &'static str {
        match self {
            Self::NotHeld(_) => "not-held",
            Self::Literal => "literal",
            Self::RoutesOnward => "routes-onward",
            Self::Lost(_) => "lost",
            Self::NoPostmaster => "no-postmaster",
            Self::International(_) => "smtputf8",
            Self::Store(StoreError::Full) => "disk",
            Self::Store(_) => "store",
            Self::OverQuota { .. } => "quota",
            Self::TooManyQueues { .. } => "max-subdomains",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld(domain) => write!(f, "no mail is held for {domain}: no [[domain]] covers it"),
            Self::Literal => f.write_str("mail is held for domains, not for addresses of hosts"),
            Self::RoutesOnward => f.write_str(
                "its local part names another host (%, ! or @), and mail is not relayed through us",
            ),
            Self::Lost(domain) => write!(
                f,
                "{domain} was configured at the last good start and is not any more: senders are asked to come again, \
                 for 7 days"
            ),
            Self::NoPostmaster => {
                f.write_str("bare postmaster belongs to the first domain, and none is configured")
            }
            Self::International(domain) => write!(
                f,
                "internationalised mail (SMTPUTF8), and the primary of {domain} is not known to take it: smtputf8 is false"
            ),
            Self::Store(StoreError::Full) => {
                f.write_str("there is less room on the disk than disk-low-water wants, or none")
            }
            Self::Store(error) => write!(f, "no mail can be stored now: {error}"),
            Self::OverQuota { domain, held, quota } => {
                write!(f, "{domain} holds {held} of {quota} octets, its quota")
            }
            Self::TooManyQueues { domain, most } => {
                write!(f, "{most} names below {domain} have mail already: max-subdomains")
            }
        }
    }
}
