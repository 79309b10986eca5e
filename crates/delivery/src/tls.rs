//! What TLS is demanded of each next hop, and how it is met: the policies of a domain, DANE (RFC 7672), MTA-STS
//! (RFC 8461).
//!
//! A policy that cannot be met defers with the reason. Nothing here ever falls back to less than what was asked for.

mod dane;
mod demand;
mod fetch;
mod offline;
mod policy;
mod sts;
mod sts_file;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use restante_net::limits::HANDSHAKE_TIMEOUT;
use restante_net::{ClientTls, ClientTlsBook, ServerName, Trust};
use restante_types::Domain;
use tokio::task::JoinSet;

use crate::Clock;
use crate::limits::{STS_AT_ONCE, STS_ROUND};
use crate::resolve::Lookup;
use crate::route::{self, Hop};
use crate::settings::{DeliverySettings, DomainDelivery, TlsPolicy, TlsTrust};

pub use demand::{Demand, Unmet};
pub use fetch::{FetchError, HttpsFetch, PolicyFetch};
#[cfg(fuzzing)]
pub(crate) use policy::record_id;
pub use policy::{PolicyError, StsMode, StsPolicy};

use offline::Offline;
use sts::StsBook;

/// What [`TlsPolicies`] work with.
pub struct TlsParts {
    /// The DNS.
    pub lookup: Arc<dyn Lookup>,
    /// The way to MTA-STS policies.
    pub fetch: Arc<dyn PolicyFetch>,
    /// Where they are kept over a restart; `None`: nowhere.
    pub file: Option<PathBuf>,
    /// The time.
    pub clock: Clock,
}

/// The TLS policies of all domains: what each demands of a next hop, and the configurations that enforce it.
pub struct TlsPolicies {
    lookup: Arc<dyn Lookup>,
    clock: Clock,
    sts: StsBook,
    configs: ClientTlsBook,
    authorities: Trust,
    handshake: Duration,
}

impl TlsPolicies {
    /// Reads what was kept of MTA-STS.
    #[must_use]
    pub fn new(parts: TlsParts) -> Self {
        let TlsParts { lookup, fetch, file, clock } = parts;
        Self {
            lookup,
            sts: StsBook::open(fetch, file, clock()),
            clock,
            configs: ClientTlsBook::default(),
            authorities: Trust::System,
            handshake: HANDSHAKE_TIMEOUT,
        }
    }

    /// Policies of domains that need neither the DNS nor the web: all but `dane` and `mta-sts`, which cannot be met then.
    #[must_use]
    pub fn offline(clock: Clock) -> Self {
        Self::new(TlsParts { lookup: Arc::new(Offline), fetch: Arc::new(Offline), file: None, clock })
    }

    /// These authorities stand in for those of the system.
    #[must_use]
    pub fn with_authorities(mut self, authorities: Trust) -> Self {
        self.authorities = authorities;
        self
    }

    /// For a TLS handshake, instead of [`HANDSHAKE_TIMEOUT`].
    #[must_use]
    pub const fn with_handshake(mut self, limit: Duration) -> Self {
        self.handshake = limit;
        self
    }

    /// For a TLS handshake.
    pub(crate) const fn handshake(&self) -> Duration {
        self.handshake
    }

    /// What the policy of `domain` demands of this hop. Its `Display` says so in words.
    ///
    /// # Errors
    /// [`Unmet`] where nothing may be sent over this hop whatever it shows: the reason, and the reply to record.
    pub async fn demand(
        &self,
        domain: &Domain,
        delivery: &DomainDelivery,
        hop: &Hop,
    ) -> Result<Demand, Unmet> {
        match delivery.tls {
            TlsPolicy::Opportunistic => Ok(Demand::if_offered(
                named(hop.name.as_ref(), hop),
                "opportunistic: encrypted where the next hop offers it, in clear otherwise".to_owned(),
            )),
            TlsPolicy::Require => Ok(Demand::encrypted(
                named(hop.name.as_ref(), hop),
                "require: encrypted, whatever certificate is shown".to_owned(),
            )),
            TlsPolicy::Verify => self.verify(delivery, hop),
            TlsPolicy::Dane => dane::demand(&*self.lookup_for(delivery)?, hop).await,
            TlsPolicy::MtaSts => self.mta_sts(domain, delivery, hop).await,
        }
    }

    /// The configuration that enforces a demand, and shows our certificate where there is one.
    ///
    /// # Errors
    /// [`Unmet`]: a file that `trust` names cannot be used.
    pub fn client(&self, demand: &Demand, trust: &TlsTrust) -> Result<ClientTls, Unmet> {
        let shown = trust.shown.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let found = self.configs.trusting(demand.trust(), shown, Instant::now());
        found.map_err(|error| Unmet::local(format!("our own TLS files cannot be used: {error}")))
    }

    /// Keeps the MTA-STS policies of the configured domains fresh, for as long as it is polled: each is found before it
    /// is needed, and renewed long before it ends.
    pub async fn keep(self: Arc<Self>, settings: Arc<ArcSwap<DeliverySettings>>) {
        loop {
            let now = settings.load_full();
            let wanted = now.domains.iter().filter(|(_, delivery)| delivery.tls == TlsPolicy::MtaSts);
            let configured: BTreeSet<Domain> = wanted.map(|(name, _)| name.clone()).collect();
            let mut looks = JoinSet::new();
            for domain in configured.into_iter().chain(self.sts.kept()) {
                if looks.len() >= STS_AT_ONCE {
                    looks.join_next().await;
                }
                looks.spawn(self.clone().look_after(domain, now.clone()));
            }
            looks.join_all().await;
            tokio::time::sleep(STS_ROUND).await;
        }
    }

    async fn look_after(self: Arc<Self>, domain: Domain, settings: Arc<DeliverySettings>) {
        match settings.domains.find(&domain) {
            Some((_, delivery)) if delivery.tls == TlsPolicy::MtaSts => {
                if let Ok(lookup) = self.lookup_for(delivery) {
                    // What is wrong is in the log, and is told whoever needs the policy.
                    let _ = self.sts.current(&domain, &lookup, (self.clock)()).await;
                }
            }
            // Its owner asks for something else now.
            _ => self.sts.forget(&domain).await,
        }
    }

    fn verify(&self, delivery: &DomainDelivery, hop: &Hop) -> Result<Demand, Unmet> {
        let trust = &delivery.trust;
        let name = trust.name.as_ref().or(hop.name.as_ref());
        if !trust.fingerprints.is_empty() {
            let words = match trust.fingerprints.len() {
                1 => "verify: the certificate whose fingerprint is on file".to_owned(),
                count => format!("verify: one of the {count} certificates whose fingerprints are on file"),
            };
            let by = Trust::Fingerprints(trust.fingerprints.clone());
            return Ok(Demand::verified(by, named(name, hop), words));
        }
        // An address in the place of a name would let in whoever has a certificate for the address the DNS gives.
        let name = match name {
            Some(name) => certified(name)?,
            None => ServerName::from(hop.address.ip()),
        };
        let (by, whose) = match &trust.authorities {
            Some(file) => {
                (Trust::Authorities(file.clone()), format!("the authorities in {}", file.display()))
            }
            None => (self.authorities.clone(), "the system's authorities".to_owned()),
        };
        let words = format!("verify: a certificate for {} by {whose}", name.to_str());
        Ok(Demand::verified(by, name, words))
    }

    async fn mta_sts(&self, domain: &Domain, delivery: &DomainDelivery, hop: &Hop) -> Result<Demand, Unmet> {
        let lookup = self.lookup_for(delivery)?;
        // [8461-3.4] The policy is that of the domain whose mail it is, wherever its configuration sends it.
        // [8461-5-absent] Without one the mail waits: whoever demands MTA-STS of a domain counts on its policy.
        let found = self.sts.current(domain, &lookup, (self.clock)()).await;
        let known = found.map_err(|why| Unmet::policy(format!("no MTA-STS policy of {domain}: {why}")))?;
        let (id, name) = (&known.id, named(hop.name.as_ref(), hop));
        match known.policy.mode {
            // [8461-5-none] The domain says itself, by a policy that was verified, that it has none any more.
            StsMode::None => Ok(Demand::if_offered(
                name,
                format!(
                    "mta-sts: {domain} has switched it off (mode none, policy {id}); encrypted where offered"
                ),
            )),
            // [8461-5-testing] Delivered as though there were no failure; what would fail is told in the log.
            StsMode::Testing => {
                if let Err(why) = listed(&known.policy, domain, hop) {
                    crate::events::sts_testing(domain, hop, &why.to_string());
                }
                let words = format!(
                    "mta-sts: {domain} is testing (mode testing, policy {id}); encrypted where offered"
                );
                Ok(Demand::if_offered(name, words))
            }
            StsMode::Enforce => {
                // [8461-5-enforce] [8461-4.1]
                let host = listed(&known.policy, domain, hop)?;
                let words = format!(
                    "mta-sts: a certificate for {host} by the system's authorities (mode enforce, policy {id} of {domain})"
                );
                // [8461-4.2] Its own name: neither that of the domain nor one that the configuration gives.
                Ok(Demand::verified(self.authorities.clone(), certified(host)?, words))
            }
        }
    }

    /// The questions of a domain, as its route asks them.
    fn lookup_for(&self, delivery: &DomainDelivery) -> Result<Arc<dyn Lookup>, Unmet> {
        route::lookup_for(&self.lookup, Some(delivery)).map_err(|why| Unmet::policy(why.to_string()))
    }
}

/// [8461-4.1] The hop's name, if the policy lists it.
fn listed<'a>(policy: &StsPolicy, domain: &Domain, hop: &'a Hop) -> Result<&'a Domain, Unmet> {
    let Some(name) = &hop.name else {
        let why = format!("the MTA-STS policy of {domain} lists names, and this next hop is an address");
        return Err(Unmet::policy(why));
    };
    if policy.allows(name) {
        return Ok(name);
    }
    Err(Unmet::policy(format!("left out: the MTA-STS policy of {domain} does not list {name}")))
}

/// What we ask for where nothing hangs on it: a name, or the address.
fn named(name: Option<&Domain>, hop: &Hop) -> ServerName<'static> {
    let named = name.and_then(|name| certified(name).ok());
    named.unwrap_or_else(|| ServerName::from(hop.address.ip()))
}

/// A name as certificates bear it.
fn certified(name: &Domain) -> Result<ServerName<'static>, Unmet> {
    let certified = ServerName::try_from(name.as_str().to_owned());
    certified.map_err(|_| Unmet::policy(format!("{name} is no name that a certificate can be for")))
}
