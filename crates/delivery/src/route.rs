//! Where a domain's mail goes: the addresses to try, in order.

mod exchanges;
mod left_out;
mod ourselves;
mod view;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use restante_types::Domain;

use crate::limits::ADDRESSES;
use crate::resolve::{Found, Lookup, LookupError};
use crate::settings::{DeliverySettings, DomainDelivery, NextHop, TlsPolicy};

pub use left_out::LeftOut;
use left_out::LeftOuts;
pub use ourselves::{Ourselves, is_local_address};
pub use view::RouteView;

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The host's name, for TLS and the log; none for an address literal.
    pub name: Option<Domain>,
    /// Where it is.
    pub address: SocketAddr,
    /// Its MX's preference; 0 where there is none.
    pub preference: u16,
    /// The address to connect from; none leaves it to the kernel.
    pub source: Option<IpAddr>,
    /// Whether DNSSEC proves the way to it as far as DANE needs it: the MX records (or the configuration names the host),
    /// and its addresses, or at least that its name is an alias (RFC 7672 2.2.2). Only looked for where the domain's
    /// policy is [`TlsPolicy::Dane`].
    pub secure: bool,
    /// The names whose TLSA records count for it, in the order to ask (RFC 7672 2.2.2); none where DANE cannot apply.
    pub tlsa_bases: Vec<Domain>,
    /// The domain whose mail goes there, and what it is proven to be an alias of: beside the TLSA base domain, these
    /// are the names that its certificate may bear (RFC 7672 3.2.2).
    pub references: Vec<Domain>,
}

impl Hop {
    /// An address that nobody looked up.
    #[must_use]
    pub const fn literal(address: SocketAddr, source: Option<IpAddr>) -> Self {
        Self {
            name: None,
            address,
            preference: 0,
            source,
            secure: false,
            tlsa_bases: Vec::new(),
            references: Vec::new(),
        }
    }
}

impl std::fmt::Display for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = &self.name {
            f.write_str(name.as_str())?;
        }
        write!(f, "[{}]:{}", self.address.ip(), self.address.port())
    }
}

/// The way to a primary, and how long it may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In the order to try them; at least one.
    pub hops: Vec<Hop>,
    /// The shortest time to live on the way here; none where nothing was looked up.
    pub ttl: Option<Duration>,
    /// Whether DNSSEC proves the MX records; see [`Hop::secure`].
    pub secure: bool,
    /// What the DNS names and is not tried.
    pub left_out: Vec<LeftOut>,
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// It leads to ourselves, or the domain takes no mail. The owner hired us to hold: parked, not bounced.
    #[error("{0}")]
    Misrouted(String),
    /// The DNS has no answer now.
    #[error("{0}")]
    Later(String),
}

/// Finds the way to `domain`'s primary; for a queue of notices, to the exchanges of the domain they go to.
///
/// # Errors
/// [`NoRoute`] says whether that may pass by itself.
pub async fn find(
    lookup: &Arc<dyn Lookup>,
    settings: &DeliverySettings,
    domain: &Domain,
    primary: &NextHop,
) -> Result<Route, NoRoute> {
    explore(lookup, settings, domain, primary).await.0
}

/// As [`find`], and what was left out even where nothing is left.
async fn explore(
    lookup: &Arc<dyn Lookup>,
    settings: &DeliverySettings,
    domain: &Domain,
    primary: &NextHop,
) -> (Result<Route, NoRoute>, Vec<LeftOut>) {
    let delivery = settings.domains.find(domain).map(|(_, delivery)| delivery);
    let mut search =
        Search { us: Ourselves::new(settings), settings, delivery, left_out: LeftOuts::default() };
    let found = search.run(lookup, domain, primary).await;
    let left_out = search.left_out.into_vec();
    let route =
        found.map(|Way { hops, ttl, secure }| Route { hops, ttl, secure, left_out: left_out.clone() });
    (route, left_out)
}

/// The address to connect to `target` from: the domain's own before the general ones.
pub(crate) fn source(
    settings: &DeliverySettings,
    delivery: Option<&DomainDelivery>,
    target: IpAddr,
) -> Option<IpAddr> {
    let own = delivery.map(|delivery| delivery.source_addresses.as_slice()).unwrap_or_default();
    let own = own.iter().copied().find(|source| source.is_ipv4() == target.is_ipv4());
    own.or_else(|| settings.source_for(target))
}

/// The questions of one domain: its own servers where it has any, and with proof where its policy needs it.
///
/// # Errors
/// [`NoRoute::Later`]: its own servers cannot be asked.
pub(crate) fn lookup_for(
    lookup: &Arc<dyn Lookup>,
    delivery: Option<&DomainDelivery>,
) -> Result<Arc<dyn Lookup>, NoRoute> {
    let Some(delivery) = delivery else { return Ok(lookup.clone()) };
    let mut lookup = lookup.clone();
    if !delivery.resolvers.is_empty() {
        let own = lookup.with_servers(&delivery.resolvers);
        lookup =
            own.ok_or_else(|| NoRoute::Later("the domain's own DNS servers cannot be asked".to_owned()))?;
    }
    // [7672-2.1.1-need] Nobody else's mail depends on DNSSEC.
    if delivery.tls == TlsPolicy::Dane
        && let Some(proving) = lookup.proving()
    {
        lookup = proving;
    }
    Ok(lookup)
}

/// What one search works with.
struct Search<'a> {
    us: Ourselves<'a>,
    settings: &'a DeliverySettings,
    delivery: Option<&'a DomainDelivery>,
    left_out: LeftOuts,
}

/// A [`Route`] without what was left out.
struct Way {
    hops: Vec<Hop>,
    ttl: Option<Duration>,
    secure: bool,
}

/// Where the addresses of a host are wanted from: its MX record, or the configuration.
struct Target<'a> {
    port: u16,
    preference: u16,
    secure: bool,
    references: &'a [Domain],
}

impl Search<'_> {
    async fn run(
        &mut self,
        lookup: &Arc<dyn Lookup>,
        domain: &Domain,
        primary: &NextHop,
    ) -> Result<Way, NoRoute> {
        match primary {
            NextHop::Literal(address) => {
                let hop = Hop::literal(*address, source(self.settings, self.delivery, address.ip()));
                self.pinned(vec![hop], None)
            }
            NextHop::Host { name, port } => {
                let lookup = lookup_for(lookup, self.delivery)?;
                let found = lookup.addresses(name).await.map_err(|error| later(name, &error))?;
                let (ttl, references) = (found.ttl, [name.clone()]);
                // [7672-2.2.2-pinned] The configuration is as good as a proof.
                let target = Target { port: *port, preference: 0, secure: true, references: &references };
                let mut hops = self.hops(name, found, &target);
                self.cut(&mut hops);
                self.pinned(hops, Some(ttl))
            }
            NextHop::Mx => {
                let lookup = lookup_for(lookup, self.delivery)?;
                match domain.notices_to() {
                    // Nobody hired us to hold notices: where they lead nowhere they wait until they are too old.
                    Some(to) => {
                        let found = self.by_mx(&lookup, &to, false).await;
                        found.map_err(|error| NoRoute::Later(error.to_string()))
                    }
                    None => self.by_mx(&lookup, domain, true).await,
                }
            }
        }
    }

    /// A pinned primary may well be on this machine (another MTA beside us), only not one of our own listeners.
    fn pinned(&mut self, mut hops: Vec<Hop>, ttl: Option<Duration>) -> Result<Way, NoRoute> {
        let first = hops.first().map(ToString::to_string).unwrap_or_default();
        for hop in hops.extract_if(.., |hop| self.us.is_listener(hop.address)) {
            self.left_out.add(hop.to_string(), "this server listens there");
        }
        if hops.is_empty() {
            return Err(NoRoute::Misrouted(format!("the primary {first} is this server itself")));
        }
        Ok(Way { hops, ttl, secure: false })
    }

    /// The addresses of a host, families in turn.
    fn hops(&self, name: &Domain, found: Found<IpAddr>, target: &Target<'_>) -> Vec<Hop> {
        // [7672-2.2.2-cname] The name at the end of secure aliases comes first, then the one that was asked for; where
        // the end is not secure, only that one, if its own zone is.
        let mut tlsa_bases = Vec::new();
        if target.secure && found.secure && found.name != *name {
            tlsa_bases.push(found.name);
        }
        if target.secure && (found.secure || found.first_secure) {
            tlsa_bases.push(name.clone());
        }
        let secure = !tlsa_bases.is_empty();
        let references = if secure { target.references.to_vec() } else { Vec::new() };
        let addresses = interleaved(found.records).into_iter();
        let hop = |ip| Hop {
            name: Some(name.clone()),
            preference: target.preference,
            secure,
            tlsa_bases: tlsa_bases.clone(),
            references: references.clone(),
            ..Hop::literal(SocketAddr::new(ip, target.port), source(self.settings, self.delivery, ip))
        };
        addresses.map(hop).collect()
    }

    /// [5321-5.1-bound] A bounded number of addresses, so that a hostile zone cannot keep a drain busy.
    fn cut(&mut self, hops: &mut Vec<Hop>) {
        if hops.len() > ADDRESSES {
            let more = format!("{} more addresses", hops.len() - ADDRESSES);
            self.left_out.add(more, &format!("only the first {ADDRESSES} are tried"));
            hops.truncate(ADDRESSES);
        }
    }
}

fn later(name: &Domain, error: &LookupError) -> NoRoute {
    NoRoute::Later(format!("{name}: {error}"))
}

/// Families in turn, IPv6 first, so that one dead family costs one attempt at a time (RFC 8305 4). Within a family
/// the DNS's order is kept: it may be meant.
fn interleaved(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let mut out = Vec::with_capacity(six.len() + four.len());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    loop {
        let (one, other) = (six.next(), four.next());
        if one.is_none() && other.is_none() {
            return out;
        }
        out.extend(one.into_iter().chain(other));
    }
}
