//! The function check_host() of RFC 7208 4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;

use mail_auth::spf::{Macro, Mechanism, Qualifier, Spf};
use restante_types::Domain;

use super::SpfResult;
use super::record::choose;
use super::target::{expand, is_name, is_personal, needs_client_name};
use crate::circuit::Circuit;
use crate::limits::{SPF_HOSTS, SPF_LOOKUPS, SPF_VOID_LOOKUPS};
use crate::lookup::LookupError;

/// What is asked: may this address send for this domain?
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The client's, never IPv4-mapped.
    pub(crate) address: IpAddr,
    /// What it said in HELO, for macros.
    pub(crate) helo: String,
    /// The local part of the sender, for macros.
    pub(crate) local: String,
    /// Whose record.
    pub(crate) domain: Domain,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evaluated {
    pub(crate) result: SpfResult,
    /// It is the same for every sender of the domain and whatever the client says in HELO.
    pub(crate) general: bool,
}

/// What ends an evaluation early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Temporary,
    Permanent,
}

/// Answers what is asked. Bounded in lookups; whoever calls bounds the time.
pub(crate) async fn evaluate(dns: &Circuit, asked: &Asked) -> Evaluated {
    let mut evaluation = Evaluation { dns, asked, lookups: 0, voids: 0, general: true, client_name: None };
    let result = match evaluation.host(asked.domain.to_string()).await {
        Ok(result) => result,
        Err(Stop::Temporary) => SpfResult::TempError,
        Err(Stop::Permanent) => SpfResult::PermError,
    };
    Evaluated { result, general: evaluation.general }
}

struct Evaluation<'a> {
    dns: &'a Circuit,
    asked: &'a Asked,
    lookups: u32,
    voids: u32,
    general: bool,
    /// The client's name, once it was asked for.
    client_name: Option<String>,
}

type Host<'b> = Pin<Box<dyn Future<Output = Result<SpfResult, Stop>> + Send + 'b>>;

impl Evaluation<'_> {
    /// One record. It calls itself for `include` and `redirect`; the bound on lookups bounds that as well.
    fn host(&mut self, domain: String) -> Host<'_> {
        Box::pin(async move {
            let Some(spf) = self.record(&domain).await? else { return Ok(SpfResult::None) };
            for directive in &spf.directives {
                if self.matches(&directive.mechanism, &domain).await? {
                    return Ok(match directive.qualifier {
                        Qualifier::Pass => SpfResult::Pass,
                        Qualifier::Fail => SpfResult::Fail,
                        Qualifier::SoftFail => SpfResult::SoftFail,
                        Qualifier::Neutral => SpfResult::Neutral,
                    });
                }
            }
            let Some(redirect) = &spf.redirect else { return Ok(SpfResult::Neutral) };
            // [7208-6.1] A redirect to nowhere is an error.
            self.count()?;
            let target = self.target(redirect, &domain).await.ok_or(Stop::Permanent)?;
            match self.host(target).await? {
                SpfResult::None => Err(Stop::Permanent),
                result => Ok(result),
            }
        })
    }

    async fn record(&mut self, domain: &str) -> Result<Option<Spf>, Stop> {
        // [7208-4.3]
        if !is_name(domain) {
            return Ok(None);
        }
        match self.dns.ask(domain, |dns| dns.txt(domain)).await {
            Ok(records) => choose(&records).map_err(|_| Stop::Permanent),
            Err(LookupError::Nothing) => Ok(None),
            // [7208-4.4]
            Err(_) => Err(Stop::Temporary),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match (mechanism, self.asked.address) {
            (Mechanism::All, _) => Ok(true),
            (Mechanism::Ip4 { addr, mask }, IpAddr::V4(client)) => Ok(same_v4(client, *addr, *mask)),
            (Mechanism::Ip6 { addr, mask }, IpAddr::V6(client)) => Ok(same_v6(client, *addr, *mask)),
            (Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. }, _) => Ok(false),
            (Mechanism::A { macro_string, ip4_mask, ip6_mask }, _) => {
                self.count()?;
                let Some(target) = self.target(macro_string, domain).await else { return Ok(false) };
                let found = self.is_at(&target, *ip4_mask, *ip6_mask).await;
                Ok(self.found(found)?.unwrap_or(false))
            }
            (Mechanism::Mx { macro_string, ip4_mask, ip6_mask }, _) => {
                self.count()?;
                let Some(target) = self.target(macro_string, domain).await else { return Ok(false) };
                self.mx(&target, *ip4_mask, *ip6_mask).await
            }
            (Mechanism::Include { macro_string }, _) => {
                self.count()?;
                let target = self.target(macro_string, domain).await.ok_or(Stop::Permanent)?;
                // [7208-5.2] Only what the other domain lets pass matches; without a record it is an error.
                match self.host(target).await? {
                    SpfResult::Pass => Ok(true),
                    SpfResult::None => Err(Stop::Permanent),
                    _ => Ok(false),
                }
            }
            (Mechanism::Exists { macro_string }, _) => {
                self.count()?;
                let Some(target) = self.target(macro_string, domain).await else { return Ok(false) };
                // [7208-5.7] An A record, whatever the client's address is.
                let found = self.dns.ask(&target, |dns| dns.a(&target)).await;
                Ok(self.found(found)?.is_some())
            }
            (Mechanism::Ptr { macro_string }, _) => {
                self.count()?;
                let Some(target) = self.target(macro_string, domain).await else { return Ok(false) };
                Ok(self.client_name_below(&target).await.is_some())
            }
        }
    }

    /// [7208-5.4]
    async fn mx(&mut self, target: &str, four: u32, six: u128) -> Result<bool, Stop> {
        let found = self.dns.ask(target, |dns| dns.mx(target)).await;
        let Some(hosts) = self.found(found)? else { return Ok(false) };
        // [7208-4.6.4] Too many hosts are an error: what is beyond the bound might have matched.
        if hosts.len() > SPF_HOSTS {
            return Err(Stop::Permanent);
        }
        for (_, host) in &hosts {
            match self.is_at(host, four, six).await {
                Ok(true) => return Ok(true),
                Ok(false) | Err(LookupError::Nothing) => {}
                Err(_) => return Err(Stop::Temporary),
            }
        }
        Ok(false)
    }

    /// Whether the client has one of a host's addresses, or is near it.
    async fn is_at(&self, host: &str, four: u32, six: u128) -> Result<bool, LookupError> {
        match self.asked.address {
            IpAddr::V4(client) => {
                let addresses = self.dns.ask(host, |dns| dns.a(host)).await?;
                Ok(addresses.into_iter().any(|address| same_v4(client, address, four)))
            }
            IpAddr::V6(client) => {
                let addresses = self.dns.ask(host, |dns| dns.aaaa(host)).await?;
                Ok(addresses.into_iter().any(|address| same_v6(client, address, six)))
            }
        }
    }

    /// [7208-5.5] A name of the client at or below another one; only a name that leads back to the client is its name.
    /// Trouble on the way means that there is none.
    async fn client_name_below(&self, parent: &str) -> Option<String> {
        let names = self.dns.ask("arpa", |dns| dns.ptr(self.asked.address)).await.ok()?;
        for name in names.into_iter().take(SPF_HOSTS) {
            let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
            let below = name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            if below && self.is_at(&name, u32::MAX, u128::MAX).await == Ok(true) {
                return Some(name);
            }
        }
        None
    }

    async fn target(&mut self, name: &Macro, domain: &str) -> Option<String> {
        self.general &= !is_personal(name);
        if needs_client_name(name) && self.client_name.is_none() {
            // [7208-7.3-p] Its own names come first; a client without a name is `unknown`.
            let found = self.client_name_below(domain).await;
            self.client_name = Some(found.unwrap_or_else(|| "unknown".to_owned()));
        }
        expand(name, self.asked, domain, self.client_name.as_deref().unwrap_or("unknown"))
    }

    /// [7208-4.6.4]
    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > SPF_LOOKUPS { Err(Stop::Permanent) } else { Ok(()) }
    }

    /// [7208-4.6.4] What a term's question found; nothing is counted, because it costs those who are asked most.
    fn found<T>(&mut self, found: Result<T, LookupError>) -> Result<Option<T>, Stop> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(LookupError::Nothing) => {
                self.voids += 1;
                if self.voids > SPF_VOID_LOOKUPS { Err(Stop::Permanent) } else { Ok(None) }
            }
            Err(_) => Err(Stop::Temporary),
        }
    }
}

fn same_v4(client: Ipv4Addr, address: Ipv4Addr, mask: u32) -> bool {
    client.to_bits() & mask == address.to_bits() & mask
}

fn same_v6(client: Ipv6Addr, address: Ipv6Addr, mask: u128) -> bool {
    client.to_bits() & mask == address.to_bits() & mask
}

#[cfg(test)]
mod tests;
