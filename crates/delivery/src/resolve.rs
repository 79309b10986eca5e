//! Questions to the DNS, behind a small trait so that tests bring their own answers.
//!
//! Answers are checked here, never taken on trust: the AD bit of a response is not looked at, not even on loopback.
//! Whoever needs proof ([`Lookup::proving`], and always for TLSA) asks for the signatures and follows them to the trust
//! anchor. Everybody else asks without, so that no domain depends on DNSSEC that did not ask for it.

mod anchors;
mod cache;
mod client;
mod dname;
mod judge;
mod narrow;
mod settings;
mod system;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use restante_types::Domain;

pub use settings::{DnsSettings, DnsSettingsError};
pub use system::SystemLookup;

/// Looks names up. [5321-5.1-cname] CNAMEs are followed by whoever fulfils it: the name at their end stands for the
/// first.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// MX records, in any order.
    ///
    /// # Errors
    /// [`LookupError::NoRecords`] when the name exists and has none.
    async fn mx(&self, name: &Domain) -> Result<Found<Mx>, LookupError>;

    /// A and AAAA records, in any order.
    ///
    /// # Errors
    /// [`LookupError::NoRecords`] when the name exists and has neither.
    async fn addresses(&self, name: &Domain) -> Result<Found<IpAddr>, LookupError>;

    /// The TLSA records of a host's port (RFC 6698 3), usable or not.
    ///
    /// # Errors
    /// [`LookupError::NoRecords`] and [`LookupError::NoName`] only where that may be believed: in a signed zone it was
    /// proven, or the zone is proven not to be signed. What is neither is [`LookupError::Bogus`].
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Found<Tlsa>, LookupError>;

    /// TXT records, the strings of each joined.
    ///
    /// # Errors
    /// [`LookupError::NoRecords`] when the name exists and has none.
    async fn txt(&self, name: &Domain) -> Result<Found<String>, LookupError>;

    /// The same questions to these servers instead; `None` where that is not possible.
    fn with_servers(&self, servers: &[SocketAddr]) -> Option<Arc<dyn Lookup>>;

    /// The same questions, and no answer without proof: each is proven by DNSSEC or known to be unsigned, what is
    /// neither is [`LookupError::Bogus`]. `None` where the answers of this one say themselves whether they are proven.
    fn proving(&self) -> Option<Arc<dyn Lookup>> {
        None
    }

    /// Reads its own configuration again, where it has one. Called on reload.
    fn reload(&self) {}
}

/// Records, and how long they may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// At least one.
    pub records: Vec<T>,
    /// The shortest time to live among them.
    pub ttl: Duration,
    /// Whether DNSSEC proves all of it: the records, and the aliases on the way to them.
    pub secure: bool,
    /// Whether DNSSEC proves the first step: the records, or the alias where the name asked for is one.
    pub first_secure: bool,
    /// Whose records they are: the name at the end of its aliases.
    pub name: Domain,
}

/// One TLSA record as it came (RFC 6698 2.1); what the numbers mean is for who uses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

/// One MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// The lower, the better.
    pub preference: u16,
    /// Where it points.
    pub exchange: Exchange,
}

/// What an MX record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// A host.
    Host(Domain),
    /// The root: on its own it says that this domain takes no mail (RFC 7505 3).
    Null,
    /// Something that is no host name.
    Unusable,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The name does not exist.
    #[error("the name does not exist")]
    NoName,
    /// The name exists, but has no such records.
    #[error("there are no such records")]
    NoRecords,
    /// The DNS could not be asked, or could not say.
    #[error("the DNS did not answer: {0}")]
    Temporary(String),
    /// DNSSEC should prove the answer and does not.
    #[error("the DNS answer is bogus: {0}")]
    Bogus(String),
}
