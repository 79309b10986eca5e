//! The resolver of the program: the system's servers or named ones, and those of domains that have their own.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_resolver::Hosts;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use restante_types::{Domain, canonical};

use super::anchors::Anchors;
use super::client::Client;
use super::{DnsSettings, DnsSettingsError, Found, Lookup, LookupError, Mx, Tlsa};
use crate::events;
use crate::limits::{DNS_TTL_MAX, OWN_RESOLVERS};

/// The resolver of the system's configuration (`/etc/resolv.conf`, `/etc/hosts`), or of named servers.
///
/// Where the system's configuration cannot be read every answer is [`LookupError::Temporary`]: a server whose primaries
/// are all pinned by address needs no DNS, and one that needs it says so in its log.
pub struct SystemLookup {
    state: ArcSwap<State>,
}

/// What one configuration makes; replaced as a whole, with all that was kept.
struct State {
    settings: DnsSettings,
    anchors: Arc<Anchors>,
    general: Option<Arc<Servers>>,
    own: Mutex<HashMap<Vec<SocketAddr>, Arc<Servers>>>,
}

/// One set of servers.
struct Servers {
    hosts: Hosts,
    plain: Client,
    proven: Client,
}

/// One set of servers as somebody uses it.
struct Asked {
    servers: Arc<Servers>,
    proven: bool,
}

impl SystemLookup {
    /// Reads the system's configuration. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        Self { state: ArcSwap::from_pointee(State::new(DnsSettings::default(), Anchors::built_in())) }
    }

    /// By the given settings. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`DnsSettingsError`]. A system without a resolver is no error.
    pub fn with_settings(settings: DnsSettings) -> Result<Self, DnsSettingsError> {
        let anchors = settings.anchors()?;
        Ok(Self { state: ArcSwap::from_pointee(State::new(settings, anchors)) })
    }

    /// Takes up other settings, and forgets what was looked up by the old ones. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`DnsSettingsError`]; all stays as it was.
    pub fn configure(&self, settings: DnsSettings) -> Result<(), DnsSettingsError> {
        let anchors = settings.anchors()?;
        let mut state = State::new(settings, anchors);
        let old = self.state.load();
        // The system's servers that worked until now go on working while its configuration cannot be read.
        if state.general.is_none() && state.settings == old.settings {
            state.general.clone_from(&old.general);
        }
        self.state.store(Arc::new(state));
        Ok(())
    }

    fn general(&self) -> Result<Arc<Servers>, LookupError> {
        let missing = || LookupError::Temporary("no resolver is configured on this machine".to_owned());
        self.state.load().general.clone().ok_or_else(missing)
    }
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Without general servers where they cannot be known; the reason is in the log.
    fn new(settings: DnsSettings, anchors: Anchors) -> Self {
        let anchors = Arc::new(anchors);
        let general = if settings.servers.is_empty() {
            read_system_conf().and_then(|(config, options)| {
                let (_, _, servers) = config.into_parts();
                Servers::new(servers, options, anchors.clone(), hosts())
            })
        } else {
            Servers::named(&settings.servers, anchors.clone(), hosts())
        };
        let general = general.inspect_err(|error| events::no_resolver(&error.to_string())).ok().map(Arc::new);
        Self { settings, anchors, general, own: Mutex::default() }
    }

    fn own(&self, servers: &[SocketAddr]) -> Option<Arc<Servers>> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = own.get(servers) {
            return Some(known.clone());
        }
        // A domain's own servers are asked for what they know, not what this machine's hosts file says.
        let made = Servers::named(servers, self.anchors.clone(), Hosts::default());
        let made = Arc::new(made.inspect_err(|error| events::no_resolver(&error.to_string())).ok()?);
        if own.len() >= OWN_RESOLVERS
            && let Some(first) = own.keys().next().cloned()
        {
            own.remove(&first);
        }
        own.insert(servers.to_vec(), made.clone());
        Some(made)
    }
}

/// A hosts file that cannot be read is an empty one.
fn hosts() -> Hosts {
    Hosts::from_system().unwrap_or_default()
}

impl Servers {
    fn new(
        servers: Vec<NameServerConfig>,
        options: ResolverOpts,
        anchors: Arc<Anchors>,
        hosts: Hosts,
    ) -> Result<Self, NetError> {
        let (plain, proven) = Client::pair(servers, options, anchors)?;
        Ok(Self { hosts, plain, proven })
    }

    fn named(servers: &[SocketAddr], anchors: Arc<Anchors>, hosts: Hosts) -> Result<Self, NetError> {
        let servers = servers.iter().map(|server| {
            let mut both = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            both.iter_mut().for_each(|connection| connection.port = server.port());
            NameServerConfig::new(server.ip(), true, both.into())
        });
        Self::new(servers.collect(), ResolverOpts::default(), anchors, hosts)
    }

    /// What the hosts file says of a name, and the names that no DNS is asked for (RFC 6761 6.3).
    fn fixed(&self, name: &Domain) -> Option<Found<IpAddr>> {
        let mut records: Vec<IpAddr> = Vec::new();
        if let Ok(mut absolute) = Name::from_ascii(name.as_str()) {
            absolute.set_fqdn(true);
            for kind in [RecordType::A, RecordType::AAAA] {
                let found = self.hosts.lookup_static_host(&Query::query(absolute.clone(), kind));
                let found = found.iter().flat_map(|lookup| lookup.answers());
                records.extend(found.filter_map(|record| record.data.ip_addr()).map(canonical));
            }
        }
        if records.is_empty() && name.labels().next_back() == Some("localhost") {
            records = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        let found =
            Found { records, ttl: DNS_TTL_MAX, secure: false, first_secure: false, name: name.clone() };
        Some(found).filter(|found| !found.records.is_empty())
    }
}

impl Asked {
    fn client(&self) -> &Client {
        if self.proven { &self.servers.proven } else { &self.servers.plain }
    }
}

#[async_trait]
impl Lookup for Asked {
    async fn mx(&self, name: &Domain) -> Result<Found<Mx>, LookupError> {
        self.client().mx(name).await
    }

    async fn addresses(&self, name: &Domain) -> Result<Found<IpAddr>, LookupError> {
        // Who wants proof wants it from the DNS.
        match self.servers.fixed(name).filter(|_| !self.proven) {
            Some(found) => Ok(found),
            None => self.client().addresses(name).await,
        }
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Found<Tlsa>, LookupError> {
        self.servers.proven.tlsa(host, port).await
    }

    async fn txt(&self, name: &Domain) -> Result<Found<String>, LookupError> {
        self.client().txt(name).await
    }

    fn with_servers(&self, _: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        None
    }

    fn proving(&self) -> Option<Arc<dyn Lookup>> {
        Some(Arc::new(Self { servers: self.servers.clone(), proven: true }))
    }
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn mx(&self, name: &Domain) -> Result<Found<Mx>, LookupError> {
        self.general()?.plain.mx(name).await
    }

    async fn addresses(&self, name: &Domain) -> Result<Found<IpAddr>, LookupError> {
        Asked { servers: self.general()?, proven: false }.addresses(name).await
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Found<Tlsa>, LookupError> {
        self.general()?.proven.tlsa(host, port).await
    }

    async fn txt(&self, name: &Domain) -> Result<Found<String>, LookupError> {
        self.general()?.plain.txt(name).await
    }

    fn with_servers(&self, servers: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        let servers = self.state.load().own(servers)?;
        Some(Arc::new(Asked { servers, proven: false }))
    }

    fn proving(&self) -> Option<Arc<dyn Lookup>> {
        let servers = self.general().ok()?;
        Some(Arc::new(Asked { servers, proven: true }))
    }

    /// Reads the system's configuration and the trust anchors again. What was kept is forgotten.
    fn reload(&self) {
        let settings = self.state.load().settings.clone();
        if let Err(error) = self.configure(settings) {
            events::no_trust_anchor(&error.to_string());
        }
    }
}
