//! Questions to the DNS, behind a small trait so that tests bring their own answers.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};
use restante_types::{Domain, canonical};

use crate::events;
use crate::limits::LOOKUP_TIMEOUT;

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

/// Whom to ask, and what to believe. The default is the system's own configuration and the key of the root that is
/// built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DnsSettings {
    /// The servers to ask instead of the system's.
    pub servers: Vec<SocketAddr>,
    /// A file of DNSKEY or DS records, as zone files write them, that are trusted instead of the root's.
    pub trust_anchor: Option<PathBuf>,
}

/// Why DNS settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsSettingsError {
    /// The file of trust anchors.
    #[error("{}: {why}", file.display())]
    TrustAnchor {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl DnsSettings {
    /// Reads what they name, and does nothing with it.
    ///
    /// # Errors
    /// [`DnsSettingsError`]: the file cannot be read, or holds no key.
    pub fn check(&self) -> Result<(), DnsSettingsError> {
        Ok(())
    }
}

/// The resolver of the system's configuration (`/etc/resolv.conf`, `/etc/hosts`).
///
/// Where that cannot be read every answer is [`LookupError::Temporary`]: a server whose primaries are all pinned by
/// address needs no DNS, and one that needs it says so in its log.
pub struct SystemLookup {
    resolver: ArcSwapOption<TokioResolver>,
}

impl SystemLookup {
    /// Reads the system's configuration. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let lookup = Self { resolver: ArcSwapOption::empty() };
        lookup.reload();
        lookup
    }

    /// Takes up other settings, and forgets what was looked up by the old ones.
    ///
    /// # Errors
    /// [`DnsSettingsError`]; all stays as it was.
    pub fn configure(&self, settings: DnsSettings) -> Result<(), DnsSettingsError> {
        settings.check()?;
        self.reload();
        Ok(())
    }

    fn resolver(&self) -> Result<Arc<TokioResolver>, LookupError> {
        let missing = || LookupError::Temporary("no resolver is configured on this machine".to_owned());
        self.resolver.load_full().ok_or_else(missing)
    }
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self::new()
    }
}

fn system_resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build()
}

/// Fully qualified, so that no search list is walked.
fn absolute(name: &Domain) -> Result<Name, LookupError> {
    let mut name =
        Name::from_ascii(name.as_str()).map_err(|error| LookupError::Temporary(error.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
}

fn trouble(error: &NetError) -> LookupError {
    if let NetError::Dns(DnsError::NoRecordsFound(none)) = error {
        match none.response_code {
            ResponseCode::NXDomain => return LookupError::NoName,
            ResponseCode::NoError => return LookupError::NoRecords,
            _ => {}
        }
    }
    LookupError::Temporary(error.to_string())
}

async fn in_time<T>(question: impl Future<Output = Result<T, NetError>>) -> Result<T, LookupError> {
    match tokio::time::timeout(LOOKUP_TIMEOUT, question).await {
        Ok(answer) => answer.map_err(|error| trouble(&error)),
        Err(_) => Err(LookupError::Temporary("timed out".to_owned())),
    }
}

fn found<T>(name: &Domain, records: Vec<T>, valid_until: Instant) -> Result<Found<T>, LookupError> {
    if records.is_empty() {
        return Err(LookupError::NoRecords);
    }
    let ttl = valid_until.saturating_duration_since(Instant::now());
    Ok(Found { records, ttl, secure: false, name: name.clone() })
}

fn exchange(name: &Name) -> Exchange {
    if name.is_root() {
        return Exchange::Null;
    }
    Domain::parse(&name.to_ascii()).map_or(Exchange::Unusable, Exchange::Host)
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn mx(&self, name: &Domain) -> Result<Found<Mx>, LookupError> {
        let answer = in_time(self.resolver()?.mx_lookup(absolute(name)?)).await?;
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: exchange(&mx.exchange) }),
            _ => None,
        });
        found(name, records.collect(), answer.valid_until())
    }

    async fn addresses(&self, name: &Domain) -> Result<Found<IpAddr>, LookupError> {
        let answer = in_time(self.resolver()?.lookup_ip(absolute(name)?)).await?;
        found(name, answer.iter().map(canonical).collect(), answer.valid_until())
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Found<Tlsa>, LookupError> {
        let base = Domain::parse(&format!("_{port}._tcp.{host}"));
        let base = base.map_err(|error| LookupError::Temporary(error.to_string()))?;
        let answer = in_time(self.resolver()?.tlsa_lookup(absolute(&base)?)).await?;
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        });
        found(&base, records.collect(), answer.valid_until())
    }

    async fn txt(&self, name: &Domain) -> Result<Found<String>, LookupError> {
        let answer = in_time(self.resolver()?.txt_lookup(absolute(name)?)).await?;
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        });
        found(name, records.collect(), answer.valid_until())
    }

    fn with_servers(&self, _: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        None
    }

    fn reload(&self) {
        match system_resolver() {
            Ok(resolver) => self.resolver.store(Some(Arc::new(resolver))),
            // What worked until now goes on working.
            Err(error) => events::no_resolver(&error.to_string()),
        }
    }
}
