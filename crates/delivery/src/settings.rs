//! What delivery is told by the configuration. Replaced as a whole on reload; a drain keeps what it started with, and ends
//! where the rules of its domain change.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use restante_types::{Domain, DomainMap, canonical};

use crate::notice::NoticeSettings;
use crate::retry::RetryList;

/// The port of SMTP, RFC 5321 4.5.4.2.
pub const SMTP_PORT: u16 = 25;

/// Everything delivery knows about itself and the domains it holds mail for.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// Our name: in EHLO, and to know ourselves by.
    pub hostname: Domain,
    /// Outside (NAT) addresses that are also us; the addresses of this machine's interfaces are known without.
    pub own_addresses: Vec<IpAddr>,
    /// Where we listen: a next hop that is one of these is a loop.
    pub listeners: Vec<SocketAddr>,
    /// Addresses to connect from, at most one of each family is used; none leaves it to the kernel.
    pub source_addresses: Vec<IpAddr>,
    /// Whether an interface of this machine has an address: [`is_local_address`](crate::is_local_address).
    pub is_local: fn(IpAddr) -> bool,
    /// How notices to senders are written.
    pub notices: NoticeSettings,
    /// The domains.
    pub domains: DomainMap<DomainDelivery>,
}

impl DeliverySettings {
    /// The address to connect to `target` from.
    #[must_use]
    pub fn source_for(&self, target: IpAddr) -> Option<IpAddr> {
        self.source_addresses.iter().copied().find(|source| source.is_ipv4() == target.is_ipv4())
    }
}

/// How one domain's mail leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainDelivery {
    /// Only when asked for, or on our own as well.
    pub mode: Mode,
    /// Where to.
    pub primary: NextHop,
    /// Addresses to connect from, before those of [`DeliverySettings`]; at most one of each family is used.
    pub source_addresses: Vec<IpAddr>,
    /// DNS servers of its own (split DNS); none means the general ones.
    pub resolvers: Vec<SocketAddr>,
    /// What TLS must be.
    pub tls: TlsPolicy,
    /// Whom we take for the primary, and what we show it.
    pub trust: TlsTrust,
    /// How much the primary is told about the client that handed a message in.
    pub forward_client: ForwardClient,
    /// How long mail waits to be collected before it is parked as expired.
    pub retention: Duration,
    /// The waits between attempts of our own.
    pub retry: RetryList,
    /// Connections of one drain at most; at least one is used.
    pub connections: usize,
    /// How long parked mail (failed, expired, dead) is kept.
    pub parked_retention: Duration,
    /// When the sender is told that a message still waits; `None`: never.
    pub delay_notice: Option<Duration>,
    /// Which senders are sent notices.
    pub notices: Notices,
    /// What becomes of mail that the primary refuses for good.
    pub on_5xx: On5xx,
    /// After an outage the first message goes alone.
    pub canary: bool,
    /// Messages per minute at most.
    pub rate: Option<NonZeroU32>,
    /// When refusals stop the domain.
    pub circuit: Circuit,
}

impl Default for DomainDelivery {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self {
            mode: Mode::OnDemand,
            primary: NextHop::Mx,
            source_addresses: Vec::new(),
            resolvers: Vec::new(),
            tls: TlsPolicy::Opportunistic,
            trust: TlsTrust::default(),
            forward_client: ForwardClient::Off,
            retention: days(14),
            retry: RetryList::default(),
            connections: 8,
            parked_retention: days(30),
            delay_notice: None,
            notices: Notices::Verified,
            on_5xx: On5xx::Notice,
            canary: true,
            rate: None,
            circuit: Circuit::default(),
        }
    }
}

/// When a domain's mail leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Only when somebody asks: ETRN, ATRN, TURN, the operator.
    #[default]
    OnDemand,
    /// As it comes, and retried on our own.
    Push,
}

/// What TLS towards the primary must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsPolicy {
    /// Used when offered; one retry in clear after a failed handshake, logged.
    #[default]
    Opportunistic,
    /// Without TLS nothing goes; any certificate will do.
    Require,
    /// The certificate must be valid for the name.
    Verify,
    /// RFC 7672.
    Dane,
    /// RFC 8461.
    MtaSts,
}

/// Whom we take for the primary where certificates are looked at, and what we show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsTrust {
    /// Certificates of the authorities that count, PEM; `None`: those of this system.
    pub authorities: Option<PathBuf>,
    /// The name that its certificate must have; `None`: that of the next hop.
    pub name: Option<Domain>,
    /// SHA-256 of certificates: where there are any, one of them must be shown, and that is enough.
    pub fingerprints: BTreeSet<[u8; 32]>,
    /// Our own certificate with its chain, and its key, both PEM.
    pub shown: Option<(PathBuf, PathBuf)>,
}

/// How much the primary is told about the client that handed a message in, where it offers to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardClient {
    /// Nothing.
    #[default]
    Off,
    /// XCLIENT: the primary treats the session as that client's.
    Xclient,
    /// XFORWARD: for the primary's log only.
    Xforward,
}

/// Which senders are sent notices about their mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notices {
    /// Every sender.
    All,
    /// Senders that SPF or DKIM vouched for when the message came in.
    #[default]
    Verified,
    /// Nobody.
    None,
}

/// What becomes of mail that the primary refuses for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum On5xx {
    /// The sender is told, where `notices` allows it; otherwise it is kept as a dead letter.
    #[default]
    Notice,
    /// It is parked for the operator; nobody is told.
    Hold,
}

/// So many recipients refused for good, of so many that were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Refused; at least 1, at most `of`.
    pub refused: u32,
    /// Answered.
    pub of: u32,
}

/// When refusals stop a domain: a primary that came back half-configured must not cost its owner mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// Of the first recipients after an outage; `None`: these are not looked at on their own.
    pub first: Option<Share>,
    /// Of every so many after that; `None`: never.
    pub steady: Option<Share>,
}

impl Default for Circuit {
    /// 5 of the first 10, 20 of every 100.
    fn default() -> Self {
        Self { first: Some(Share { refused: 5, of: 10 }), steady: Some(Share { refused: 20, of: 100 }) }
    }
}

/// A domain's primary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NextHop {
    /// By the domain's MX records, leaving ourselves out.
    #[default]
    Mx,
    /// A host by name; its addresses are looked up, its MX records are not.
    Host {
        /// The host.
        name: Domain,
        /// The port.
        port: u16,
    },
    /// An address.
    Literal(SocketAddr),
}

/// A text that is no next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a primary is \"mx\", \"host.example.org\", \"host.example.org:2525\", \"[192.0.2.1]\" or \"[192.0.2.1]:2525\""
)]
pub struct NextHopError;

impl FromStr for NextHop {
    type Err = NextHopError;
    fn from_str(text: &str) -> Result<Self, NextHopError> {
        if text.eq_ignore_ascii_case("mx") {
            return Ok(Self::Mx);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (literal, port) = rest.split_once(']').ok_or(NextHopError)?;
            return Ok(Self::Literal(SocketAddr::new(parse_literal(literal)?, parse_port(port)?)));
        }
        let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        // An address without brackets is a slip, not the name of a host.
        if name.parse::<IpAddr>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
            return Err(NextHopError);
        }
        Ok(Self::Host { name: name.parse().map_err(|_| NextHopError)?, port: parse_port(port)? })
    }
}

fn parse_literal(text: &str) -> Result<IpAddr, NextHopError> {
    let tagged = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    let address = if tagged { text[5..].parse().map(IpAddr::V6) } else { text.parse() };
    address.map(canonical).map_err(|_| NextHopError)
}

/// `""` or `":port"`.
fn parse_port(text: &str) -> Result<u16, NextHopError> {
    if text.is_empty() {
        return Ok(SMTP_PORT);
    }
    let port = text.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    port.ok_or(NextHopError)
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx => f.write_str("mx"),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Literal(address) => write!(f, "[{}]:{}", address.ip(), address.port()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_are_read_as_the_manual_writes_them() {
        for (text, shown) in [
            ("mx", "mx"),
            ("MX", "mx"),
            ("Mail.Example.org", "mail.example.org:25"),
            ("mail.example.org:2525", "mail.example.org:2525"),
            ("[192.0.2.1]", "[192.0.2.1]:25"),
            ("[192.0.2.1]:2525", "[192.0.2.1]:2525"),
            ("[2001:db8::1]:2525", "[2001:db8::1]:2525"),
            ("[IPv6:2001:db8::1]", "[2001:db8::1]:25"),
            ("[::ffff:192.0.2.1]:26", "[192.0.2.1]:26"),
        ] {
            let hop: NextHop = text.parse().unwrap();
            assert_eq!(hop.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<NextHop>().unwrap(), hop, "{text}");
        }
    }

    #[test]
    fn slips_are_refused() {
        for text in [
            "",
            "[192.0.2.1",
            "[]",
            "[192.0.2.1]25",
            "host:",
            "host:0",
            "host:65536",
            "192.0.2.1",
            "2001:db8::1",
            "a b",
            "[192.0.2.1]:25x",
            "192.0.2.1:25",
        ] {
            assert_eq!(text.parse::<NextHop>(), Err(NextHopError), "{text:?}");
        }
    }

    #[test]
    fn the_source_is_of_the_targets_family() {
        let settings = DeliverySettings {
            hostname: "mx2.example.net".parse().unwrap(),
            own_addresses: Vec::new(),
            listeners: Vec::new(),
            is_local: |_| false,
            source_addresses: vec!["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
            notices: NoticeSettings::default(),
            domains: DomainMap::default(),
        };
        assert_eq!(settings.source_for("2001:db8::1".parse().unwrap()), Some("2001:db8::9".parse().unwrap()));
        assert_eq!(settings.source_for("192.0.2.1".parse().unwrap()), Some("192.0.2.9".parse().unwrap()));
    }
}
