//! Where a domain's mail goes: the addresses to try, in order.

mod ourselves;
mod view;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::seq::SliceRandom;
use restante_types::Domain;
use tokio::task::JoinSet;

use std::sync::Arc;

use crate::limits::{ADDRESSES, LOOKUPS_AT_ONCE, MX_RECORDS};
use crate::resolve::{Exchange, Found, Lookup, LookupError, Mx};
use crate::settings::{DeliverySettings, NextHop, SMTP_PORT};

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
    /// Whether DNSSEC proves the way to it: the MX records (or the configuration names the host) and its addresses.
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
    /// Whether DNSSEC proves the MX records, or that there are none.
    pub secure: bool,
    /// What the DNS names and is not tried.
    pub left_out: Vec<LeftOut>,
}

/// Something on the way that is not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// An MX record, a host or an address, as the DNS names it.
    pub what: String,
    /// In words, for the operator.
    pub why: String,
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

/// Finds the way to `domain`'s primary.
///
/// # Errors
/// [`NoRoute`] says whether that may pass by itself.
pub async fn find(
    lookup: &Arc<dyn Lookup>,
    settings: &DeliverySettings,
    domain: &Domain,
    primary: &NextHop,
) -> Result<Route, NoRoute> {
    let us = Ourselves::new(settings);
    match primary {
        NextHop::Literal(address) => {
            let hop = Hop::literal(*address, settings.source_for(address.ip()));
            pinned(&us, vec![hop], None)
        }
        NextHop::Host { name, port } => {
            let found = lookup.addresses(name).await.map_err(|error| later(name, &error))?;
            let hops = interleaved(found.records).into_iter().map(|ip| Hop {
                name: Some(name.clone()),
                ..Hop::literal(SocketAddr::new(ip, *port), settings.source_for(ip))
            });
            pinned(&us, hops.take(ADDRESSES).collect(), Some(found.ttl))
        }
        NextHop::Mx => match domain.notices_to() {
            // Nobody hired us to hold notices: what they lead to is tried until they are too old.
            Some(to) => by_mx(lookup, &us, &to).await.map_err(|error| NoRoute::Later(error.to_string())),
            None => by_mx(lookup, &us, domain).await,
        },
    }
}

/// A pinned primary may well be on this machine (another MTA beside us), only not one of our own listeners.
fn pinned(us: &Ourselves<'_>, mut hops: Vec<Hop>, ttl: Option<Duration>) -> Result<Route, NoRoute> {
    let first = hops.first().map(ToString::to_string).unwrap_or_default();
    hops.retain(|hop| !us.is_listener(hop.address));
    if hops.is_empty() {
        return Err(NoRoute::Misrouted(format!("the primary {first} is this server itself")));
    }
    Ok(Route { hops, ttl, secure: false, left_out: Vec::new() })
}

fn later(name: &Domain, error: &LookupError) -> NoRoute {
    NoRoute::Later(format!("{name}: {error}"))
}

async fn by_mx(lookup: &Arc<dyn Lookup>, us: &Ourselves<'_>, domain: &Domain) -> Result<Route, NoRoute> {
    let (mut records, ttl) = match lookup.mx(domain).await {
        Ok(Found { records, ttl, .. }) => (records, Some(ttl)),
        // [5321-5.1-implicit] no MX at all: the domain itself is its exchange, with preference 0
        Err(LookupError::NoRecords) => {
            (vec![Mx { preference: 0, exchange: Exchange::Host(domain.clone()) }], None)
        }
        // [5321-5.1-nxdomain] a held domain that does not exist waits: its owner hired us to hold
        Err(error) => return Err(later(domain, &error)),
    };
    // [7505-3] a single MX that names the root: this domain takes no mail
    if let [Mx { exchange: Exchange::Null, .. }] = records.as_slice() {
        return Err(NoRoute::Misrouted(format!("{domain} says that it takes no mail (null MX)")));
    }
    let listed = records.len();
    // By name over the whole list, before it is cut: in a crowd of equals we must not miss ourselves.
    us.leave_out_by_name(&mut records);
    // [5321-5.1-order] the lowest number first, equals in random order
    records.shuffle(&mut rand::rng());
    records.sort_by_key(|mx| mx.preference);
    records.truncate(MX_RECORDS);
    if records.is_empty() {
        return Err(NoRoute::Misrouted(format!("all {listed} MX records of {domain} lead to this server")));
    }
    resolve_groups(lookup, us, domain, &records, ttl).await
}

/// Resolves one group of equal preference after the other, best first, until enough addresses are known or one of
/// the group is ourselves.
async fn resolve_groups(
    lookup: &Arc<dyn Lookup>,
    us: &Ourselves<'_>,
    domain: &Domain,
    records: &[Mx],
    mut ttl: Option<Duration>,
) -> Result<Route, NoRoute> {
    let mut hops: Vec<Hop> = Vec::new();
    let mut trouble = None;
    let mut met_ourselves = false;
    for group in records.chunk_by(|one, other| one.preference == other.preference) {
        let mut found = Vec::new();
        for (name, answer) in resolve_all(lookup, group).await {
            match answer {
                Ok(answer) => {
                    ttl = Some(ttl.map_or(answer.ttl, |ttl| ttl.min(answer.ttl)));
                    found.push((name, answer.records));
                }
                Err(error) => trouble = trouble.or(Some((name, error))),
            }
        }
        // [5321-5.1-ourselves] we stand in this group by address: it and all behind it are left out
        met_ourselves = found.iter().flat_map(|(_, addresses)| addresses).any(|ip| us.is_address(*ip));
        if met_ourselves {
            break;
        }
        let preference = group[0].preference;
        for (name, addresses) in found {
            hops.extend(interleaved(addresses).into_iter().map(|ip| Hop {
                name: Some(name.clone()),
                preference,
                ..Hop::literal(SocketAddr::new(ip, SMTP_PORT), us.source_for(ip))
            }));
        }
        if hops.len() >= ADDRESSES {
            break;
        }
    }
    // [5321-5.1-bound] a bounded number of addresses, so that a hostile zone cannot keep a drain busy
    hops.truncate(ADDRESSES);
    match (hops.is_empty(), trouble, met_ourselves) {
        (false, ..) => Ok(Route { hops, ttl, secure: false, left_out: Vec::new() }),
        (true, Some((name, error)), _) => Err(later(&name, &error)),
        (true, None, true) => {
            Err(NoRoute::Misrouted(format!("the best MX of {domain} leads to this server")))
        }
        (true, None, false) => Err(NoRoute::Later(format!("{domain} has no MX that names a host"))),
    }
}

/// Resolves the hosts of a group, a few at a time; the answers come in the order of the group.
async fn resolve_all(
    lookup: &Arc<dyn Lookup>,
    group: &[Mx],
) -> Vec<(Domain, Result<Found<IpAddr>, LookupError>)> {
    let names: Vec<Domain> = group
        .iter()
        .filter_map(|mx| match &mx.exchange {
            Exchange::Host(name) => Some(name.clone()),
            Exchange::Null | Exchange::Unusable => None,
        })
        .collect();
    let mut answers = Vec::with_capacity(names.len());
    for some in names.chunks(LOOKUPS_AT_ONCE) {
        let mut asked = JoinSet::new();
        for (index, name) in some.iter().cloned().enumerate() {
            let lookup = lookup.clone();
            asked.spawn(async move { (index, lookup.addresses(&name).await, name) });
        }
        let mut came = asked.join_all().await;
        came.sort_by_key(|(index, ..)| *index);
        answers.extend(came.into_iter().map(|(_, answer, name)| (name, answer)));
    }
    answers
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
