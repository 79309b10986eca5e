//! Questions to the DNS, behind a small trait so that tests bring their own answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup as Answer;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::events;
use crate::limits::{LOOKUP_TIMEOUT, LOOKUP_TRY, LOOKUPS_KEPT};

/// Which servers are asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// These; none: those of the system's configuration (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
}

/// Looks names up; aliases are followed by whoever fulfils it. A name is ASCII, with or without a dot at its end, and
/// need not be a host's name: SPF and DKIM ask for `_spf.example.org` and `key._domainkey.example.org`.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// TXT records, the strings of each joined.
    ///
    /// # Errors
    /// As [`LookupError`] says; an answer is never empty.
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, LookupError>;

    /// MX records: preference and host, in any order.
    ///
    /// # Errors
    /// As [`txt`](Self::txt).
    async fn mx(&self, name: &str) -> Result<Vec<(u16, String)>, LookupError>;

    /// A records.
    ///
    /// # Errors
    /// As [`txt`](Self::txt).
    async fn a(&self, name: &str) -> Result<Vec<Ipv4Addr>, LookupError>;

    /// AAAA records.
    ///
    /// # Errors
    /// As [`txt`](Self::txt).
    async fn aaaa(&self, name: &str) -> Result<Vec<Ipv6Addr>, LookupError>;

    /// The names of an address.
    ///
    /// # Errors
    /// As [`txt`](Self::txt).
    async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, LookupError>;
}

/// Why there are no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// There are none, or the name does not exist: a void lookup (RFC 7208 4.6.4).
    #[error("there are no such records")]
    Nothing,
    /// The servers answered that they cannot say.
    #[error("the DNS could not say")]
    Temporary,
    /// Nobody answered.
    #[error("the DNS did not answer")]
    Silent,
}

/// The resolver that asks real servers. Must be made inside a tokio runtime.
pub struct Resolver {
    resolver: ArcSwapOption<TokioResolver>,
}

impl Resolver {
    /// Asks these servers. Where the system's configuration is wanted and cannot be read, every answer is
    /// [`LookupError::Silent`].
    #[must_use]
    pub fn new(dns: &Dns) -> Self {
        let resolver = Self { resolver: ArcSwapOption::empty() };
        resolver.reload(dns);
        resolver
    }

    /// Asks other servers from now on; forgets what the earlier ones said.
    pub fn reload(&self, dns: &Dns) {
        match build(dns) {
            Ok(resolver) => self.resolver.store(Some(Arc::new(resolver))),
            // What worked until now goes on working.
            Err(error) => events::no_resolver(&error.to_string()),
        }
    }

    async fn ask(&self, name: &str, what: RecordType) -> Result<Answer, LookupError> {
        // A name that cannot stand in a question has no records.
        let mut name = Name::from_ascii(name).map_err(|_| LookupError::Nothing)?;
        // Fully qualified, so that no search list is walked.
        name.set_fqdn(true);
        let resolver = self.resolver.load_full().ok_or(LookupError::Silent)?;
        match tokio::time::timeout(LOOKUP_TIMEOUT, resolver.lookup(name, what)).await {
            Ok(answer) => answer.map_err(|error| trouble(&error)),
            Err(_) => Err(LookupError::Silent),
        }
    }
}

fn build(dns: &Dns) -> Result<TokioResolver, NetError> {
    let mut builder = if dns.servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = dns.servers.iter().map(|server| {
            let connection = |mut connection: ConnectionConfig| {
                connection.port = server.port();
                connection
            };
            let connections = vec![connection(ConnectionConfig::udp()), connection(ConnectionConfig::tcp())];
            NameServerConfig::new(server.ip(), true, connections)
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = LOOKUP_TRY;
    options.cache_size = LOOKUPS_KEPT;
    builder.build()
}

fn trouble(error: &NetError) -> LookupError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain | ResponseCode::NoError => LookupError::Nothing,
            _ => LookupError::Temporary,
        },
        NetError::Dns(DnsError::ResponseCode(_)) => LookupError::Temporary,
        _ => LookupError::Silent,
    }
}

fn some<T>(records: impl Iterator<Item = T>) -> Result<Vec<T>, LookupError> {
    let records: Vec<T> = records.collect();
    if records.is_empty() { Err(LookupError::Nothing) } else { Ok(records) }
}

#[async_trait]
impl Lookup for Resolver {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, LookupError> {
        let answer = self.ask(name, RecordType::TXT).await?;
        some(answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        }))
    }

    async fn mx(&self, name: &str) -> Result<Vec<(u16, String)>, LookupError> {
        let answer = self.ask(name, RecordType::MX).await?;
        some(answer.answers().iter().filter_map(|record| match &record.data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii())),
            _ => None,
        }))
    }

    async fn a(&self, name: &str) -> Result<Vec<Ipv4Addr>, LookupError> {
        let answer = self.ask(name, RecordType::A).await?;
        some(answer.answers().iter().filter_map(|record| match &record.data {
            RData::A(a) => Some(a.0),
            _ => None,
        }))
    }

    async fn aaaa(&self, name: &str) -> Result<Vec<Ipv6Addr>, LookupError> {
        let answer = self.ask(name, RecordType::AAAA).await?;
        some(answer.answers().iter().filter_map(|record| match &record.data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        }))
    }

    async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, LookupError> {
        let answer = self.ask(&Name::from(address).to_ascii(), RecordType::PTR).await?;
        some(answer.answers().iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Some(name.to_ascii()),
            _ => None,
        }))
    }
}

#[cfg(test)]
mod tests;
