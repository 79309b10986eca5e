//! Who may ask.

use std::net::IpAddr;

use restante_types::{Domain, TlsFacts, canonical};

use crate::settings::{DomainTurn, EtrnFrom};

/// Who asks, with what it has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Where it asks from.
    pub address: IpAddr,
    /// The account it proved to own.
    pub identity: Option<String>,
    /// Its TLS, with the fingerprint of its certificate if it showed one.
    pub tls: Option<TlsFacts>,
}

/// Why an asker may ask; a greater one tells more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// `etrn-from` says `any`.
    Anybody,
    /// Its address is in a network of `etrn-from`, or is the primary's.
    Address,
    /// It proved an identity or showed a certificate that owns the domain.
    Owner,
}

/// Knows the addresses of primaries without asking the network: what was last resolved, in the background.
pub trait PrimaryAddresses: Send + Sync {
    /// Whether `address` is, as far as known now, an address of the primary of the queue `domain` (for a looked-up
    /// primary: of an MX better than ourselves). False while nothing is known yet.
    fn is_primary(&self, domain: &Domain, address: IpAddr) -> bool;
}

/// The best right that an asker has to a queue. Never waits.
pub(crate) fn right_of(
    asker: &Asker,
    queue: &Domain,
    rules: &DomainTurn,
    primaries: &dyn PrimaryAddresses,
) -> Option<Right> {
    if owns(asker, rules) {
        return Some(Right::Owner);
    }
    let address = canonical(asker.address);
    rules
        .etrn_from
        .iter()
        .filter_map(|item| match item {
            EtrnFrom::Network(network) => network.contains(address).then_some(Right::Address),
            EtrnFrom::Primary => primaries.is_primary(queue, address).then_some(Right::Address),
            EtrnFrom::Any => Some(Right::Anybody),
            EtrnFrom::Auth => None,
        })
        .max()
}

/// Whether the rules let an asker hope for a queue below a configured domain to which it has no right itself: below it,
/// other primaries may be meant.
pub(crate) fn may_be_primary_below(rules: &DomainTurn) -> bool {
    rules.etrn_from.contains(&EtrnFrom::Primary)
}

fn owns(asker: &Asker, rules: &DomainTurn) -> bool {
    let by_name = asker.identity.as_ref().is_some_and(|identity| rules.identities.contains(identity));
    let fingerprint = asker.tls.as_ref().and_then(|tls| tls.peer_fingerprint);
    by_name || fingerprint.is_some_and(|fingerprint| rules.certificates.contains(&fingerprint))
}
