//! What the configuration says about asking.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use restante_types::{Domain, DomainMap, Network};

/// One item of `etrn-from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtrnFrom {
    /// Askers of this network.
    Network(Network),
    /// The addresses of the domain's own primary, as last resolved.
    Primary,
    /// Everybody; such an asker is told nothing but 250.
    Any,
}

/// A text that is no item of `etrn-from`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither \"primary\" nor \"any\" nor a network like \"192.0.2.7\" or \"2001:db8::/32\"")]
pub struct EtrnFromError;

impl FromStr for EtrnFrom {
    type Err = EtrnFromError;
    fn from_str(text: &str) -> Result<Self, EtrnFromError> {
        match text {
            "primary" => Ok(Self::Primary),
            "any" => Ok(Self::Any),
            _ => text.parse().map(Self::Network).map_err(|_| EtrnFromError),
        }
    }
}

impl fmt::Display for EtrnFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Primary => f.write_str("primary"),
            Self::Any => f.write_str("any"),
        }
    }
}

/// `etrn-reply`: how much the success replies tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EtrnReply {
    /// 253 with the count when mail waits; when none does, 251 to authenticated askers and 250 to the others, because
    /// fetchmail stops at the first 251 and never asks for its other domains.
    #[default]
    Auto,
    /// 251 or 253 to everybody.
    Truthful,
    /// As `Auto`, but 252 in place of 253: the count is withheld.
    Uncounted,
    /// 250 always.
    Plain,
}

/// What one configured domain says about asking for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainTurn {
    /// Names below it have queues of their own and the same rules (the same as given to the [`DomainMap`]).
    pub subdomains: bool,
    /// `etrn-from`.
    pub etrn_from: Vec<EtrnFrom>,
    /// `etrn-reply`.
    pub etrn_reply: EtrnReply,
    /// `etrn-interval`: least time between two requests of one unauthenticated network; zero switches it off.
    pub etrn_interval: Duration,
    /// Accounts that own the domain.
    pub identities: BTreeSet<String>,
    /// SHA-256 of client certificates that own the domain.
    pub certificates: BTreeSet<[u8; 32]>,
}

/// The configuration of the desk; replaced as a whole on reload.
#[derive(Debug, Clone, Default)]
pub struct TurnSettings {
    /// Per domain.
    pub domains: DomainMap<DomainTurn>,
    /// `[[group]]`: configured domains by the group's name in lower case.
    pub groups: BTreeMap<String, Vec<Domain>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_etrn_from_read_back() {
        for text in ["primary", "any", "192.0.2.0/24", "2001:db8::/32"] {
            assert_eq!(text.parse::<EtrnFrom>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.7".parse::<EtrnFrom>().unwrap().to_string(), "192.0.2.7/32");
        for text in ["", "Primary", "example.org", "192.0.2.1/24"] {
            assert_eq!(text.parse::<EtrnFrom>(), Err(EtrnFromError), "{text}");
        }
    }
}
