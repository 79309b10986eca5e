//! Where mail goes that is delivered to whoever asked (`deliver-to = "requester"`).

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use restante_types::{Domain, canonical};

use crate::limits::{MAX_REQUESTERS, REQUESTER_LIFE};
use crate::rights::Asker;
use crate::settings::TurnSettings;

/// The next hop of one drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequesterHop {
    /// The address that asked, with the port of the domain's primary.
    pub address: SocketAddr,
    /// SHA-256 of the certificates of which its server must show one. Without TLS, or with another certificate, nothing
    /// may be sent: the address may belong to somebody else by now.
    pub certificates: BTreeSet<[u8; 32]>,
    /// The account that asked, where it was not its certificate alone.
    pub identity: Option<String>,
    /// After this it must not be used.
    pub expires: Instant,
}

/// Next hops that wait for the drain they are meant for.
#[derive(Debug, Default)]
pub struct RequesterHops(Mutex<HashMap<Domain, RequesterHop>>);

impl RequesterHops {
    /// [1985-requester-once] Takes the domain's hop for a drain that an ETRN started; no second drain gets it. Drains of any other
    /// cause must not ask.
    #[must_use]
    pub fn take(&self, domain: &Domain, now: Instant) -> Option<RequesterHop> {
        self.lock().remove(domain).filter(|hop| now < hop.expires)
    }

    /// Forgets the hops for which `may` is false: called when accounts lost rights.
    pub fn end_unless(&self, may: impl Fn(&RequesterHop, &Domain) -> bool) {
        self.lock().retain(|domain, hop| may(hop, domain));
    }

    /// False when there is no room.
    pub(crate) fn put(&self, domain: &Domain, hop: RequesterHop, now: Instant) -> bool {
        let mut hops = self.lock();
        if hops.len() >= MAX_REQUESTERS {
            hops.retain(|_, hop| now < hop.expires);
        }
        let room = hops.len() < MAX_REQUESTERS || hops.contains_key(domain);
        if room {
            hops.insert(domain.clone(), hop);
        }
        room
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Domain, RequesterHop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why mail cannot go to the requester.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoHop {
    /// Whoever gets the address next would get the mail.
    #[error("no client-certificate is on file that its server could show; use ATRN")]
    NoCertificate,
    /// A loop, or a way into this machine.
    #[error("the address that asked is this server's own")]
    Ours,
}

/// [1985-requester] The hop for an asker who owns the domain: never loopback or ours, and only with a certificate on file.
pub(crate) fn hop(
    asker: &Asker,
    port: u16,
    settings: &TurnSettings,
    now: Instant,
) -> Result<RequesterHop, NoHop> {
    let address = canonical(asker.address);
    if is_ours(address, settings) {
        return Err(NoHop::Ours);
    }
    let of_account =
        || settings.accounts.get(asker.identity.as_ref()?).map(|account| account.certificates.clone());
    // Who owns the domain by its certificate alone has it on file.
    let of_peer = || asker.tls.as_ref()?.peer_fingerprint.map(|fingerprint| BTreeSet::from([fingerprint]));
    let certificates = if asker.identity.is_some() { of_account() } else { of_peer() }.unwrap_or_default();
    if certificates.is_empty() {
        return Err(NoHop::NoCertificate);
    }
    let (address, identity) = (SocketAddr::new(address, port), asker.identity.clone());
    Ok(RequesterHop { address, certificates, identity, expires: now + REQUESTER_LIFE })
}

fn is_ours(address: IpAddr, settings: &TurnSettings) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || settings.own_addresses.iter().any(|own| canonical(*own) == address)
        || settings.is_local.is_some_and(|is_local| is_local(address))
}
