//! What the configuration says about asking.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
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
    /// Nobody by itself: who may not ask, and has not authenticated, is told to do so (530), which tells that the domain is
    /// held here.
    Auth,
}

/// A text that is no item of `etrn-from`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither \"primary\" nor \"any\" nor \"auth\" nor a network like \"192.0.2.7\" or \"2001:db8::/32\"")]
pub struct EtrnFromError;

impl FromStr for EtrnFrom {
    type Err = EtrnFromError;
    fn from_str(text: &str) -> Result<Self, EtrnFromError> {
        match text {
            "primary" => Ok(Self::Primary),
            "any" => Ok(Self::Any),
            "auth" => Ok(Self::Auth),
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
            Self::Auth => f.write_str("auth"),
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
    /// `deliver-to = "requester"`: what an owner asks for goes to the address that asked, at this port.
    pub requester_port: Option<u16>,
}

/// What the desk knows of an account. The domains it owns are in [`DomainTurn::identities`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountTurn {
    /// `turn`: RFC 821's TURN is served.
    pub turn: bool,
    /// `allow-cleartext`: ATRN and TURN without TLS.
    pub allow_cleartext: bool,
    /// SHA-256 of its certificates.
    pub certificates: BTreeSet<[u8; 32]>,
}

/// The configuration of the desk; replaced as a whole on reload.
#[derive(Debug, Clone, Default)]
pub struct TurnSettings {
    /// Per domain.
    pub domains: DomainMap<DomainTurn>,
    /// `[[group]]`: configured domains by the group's name in lower case.
    pub groups: BTreeMap<String, Vec<Domain>>,
    /// Accounts by their names.
    pub accounts: BTreeMap<String, AccountTurn>,
    /// Outside addresses that are us: mail is never delivered there on request.
    pub own_addresses: Vec<IpAddr>,
    /// Whether an address is one of this machine's.
    pub is_local: Option<fn(IpAddr) -> bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_etrn_from_read_back() {
        for text in ["primary", "any", "auth", "192.0.2.0/24", "2001:db8::/32"] {
            assert_eq!(text.parse::<EtrnFrom>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.7".parse::<EtrnFrom>().unwrap().to_string(), "192.0.2.7/32");
        for text in ["", "Primary", "example.org", "192.0.2.1/24"] {
            assert_eq!(text.parse::<EtrnFrom>(), Err(EtrnFromError), "{text}");
        }
    }
}
