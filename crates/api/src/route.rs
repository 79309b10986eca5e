//! Where a domain's mail would go, and why it did not go there last time.

use std::net::IpAddr;

use jiff::Timestamp;
use restante_types::Domain;
use serde::{Deserialize, Serialize};

use crate::status::HoldView;

/// Where a domain's mail would go now. The names were looked up for this answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    /// Whose mail.
    pub domain: Domain,
    /// What the configuration says: `mx`, a host or an address.
    pub primary: String,
    /// The DNS servers that were asked; empty means those of the system.
    pub resolvers: Vec<String>,
    /// What TLS must be, as the configuration spells it.
    pub tls_policy: String,
    /// In the order in which they would be tried; none where there is no way.
    pub hops: Vec<HopView>,
    /// Seconds for which this may be believed; `null` where nothing was looked up.
    pub ttl: Option<u64>,
    /// Whether DNSSEC proves the MX records, or that there are none.
    pub secure: bool,
    /// What the DNS names and is not tried.
    pub left_out: Vec<LeftOutView>,
    /// Why there is no way.
    pub problem: Option<ProblemView>,
    /// The stop, if there is one: nothing leaves before it is released.
    pub hold: Option<HoldView>,
}

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopView {
    /// The host; `null` for an address that nobody looked up.
    pub name: Option<Domain>,
    /// Where it is: `192.0.2.1:25`, `[2001:db8::1]:25`.
    pub address: String,
    /// Its MX's preference; 0 where there is none.
    pub preference: u16,
    /// The address to connect from; `null` leaves it to the system.
    pub source: Option<IpAddr>,
    /// Whether DNSSEC proves the way to it.
    pub secure: bool,
    /// What TLS must be there, or why nothing may be sent there; one line for people.
    pub tls: String,
    /// Whether the policy can be met there at all.
    pub tls_possible: bool,
}

/// Something that is not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutView {
    /// An MX record, a host or an address, as the DNS names it.
    pub what: String,
    /// One line for people.
    pub why: String,
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// `misrouted`: it leads to ourselves, or the domain takes no mail; somebody has to change something. `later`: the
    /// DNS has no answer now.
    pub kind: String,
    /// One line for people.
    pub reason: String,
}

/// The last attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyReport {
    /// Whose mail.
    pub domain: Domain,
    /// When it ended.
    pub at: Timestamp,
    /// The next hop; `null` where none was found.
    pub hop: Option<String>,
    /// What was wrong, in one sentence.
    pub verdict: String,
    /// What was said, in order; no content of messages, no secret.
    pub dialogue: Vec<SaidView>,
}

/// One line that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidView {
    /// Who said it.
    pub by: SpeakerView,
    /// What.
    pub text: String,
}

/// A side of a dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpeakerView {
    /// This server.
    Client,
    /// The next hop.
    Server,
}
