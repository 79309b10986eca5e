//! A next hop for one drain: the address that asked for it (`deliver-to = "requester"`).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use restante_types::Domain;

/// Where one drain goes in place of the domain's primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// Who asked, with the port that takes mail there.
    pub address: SocketAddr,
    /// SHA-256 of certificates, of which it must show one after STARTTLS: the address may be somebody else's by now.
    pub certificates: BTreeSet<[u8; 32]>,
}

/// Knows who asked. Only a drain that an ETRN started ever looks here; retry, push and flush go to the primary.
pub trait Requesters: Send + Sync + 'static {
    /// Takes the hop that waits for the domain's next drain, if one does; it is gone then.
    fn take(&self, domain: &Domain) -> Option<Requester>;
}

/// No domain delivers to whoever asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRequesters;

impl Requesters for NoRequesters {
    fn take(&self, _domain: &Domain) -> Option<Requester> {
        None
    }
}
