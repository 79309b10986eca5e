//! `restante trust-snippet`

mod exchange;
mod exim;
mod postfix;
mod rspamd;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use restante_delivery::ForwardClient;
use restante_types::{Domain, canonical};
use serde::Serialize;

use super::Options;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::config::{self, Config, Machine, load};

/// Print what to put at a domain's primary so that it trusts us
///
/// What we hand over comes from our addresses, not from the sender's: SPF, greylisting and block lists of the primary would
/// punish it for that. The text names our addresses as the configuration knows them (source-address, own-addresses, or
/// --address), and what XCLIENT, XFORWARD and Authentication-Results need where the domain has them. No server is needed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante trust-snippet example.org --for postfix
  restante trust-snippet example.org --for exim --address 192.0.2.9 --address 2001:db8::9")]
pub(crate) struct TrustSnippet {
    /// The domain
    pub(crate) domain: Domain,
    /// What the primary runs
    #[arg(long = "for", value_enum, value_name = "SERVER")]
    pub(crate) server: Kind,
    /// An address of ours as the primary sees it, in place of those of the configuration; several times, or with commas
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub(crate) address: Vec<IpAddr>,
}

/// What a primary can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Postfix, main.cf
    Postfix,
    /// Exim 4
    Exim,
    /// Rspamd, behind any server
    Rspamd,
    /// Exchange Server and Exchange Online
    Exchange,
}

/// What the texts speak of.
#[derive(Debug)]
struct Facts {
    domain: Domain,
    hostname: Domain,
    /// Ours, at least one.
    addresses: Vec<IpAddr>,
    forward_client: ForwardClient,
    authentication_results: bool,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    domain: &'a Domain,
    addresses: &'a [IpAddr],
    snippet: String,
}

/// Prints it.
pub(crate) fn run(verb: TrustSnippet, options: &Options, output: &mut Output) -> Result<Exit, Failure> {
    let file = config::file(None, options);
    let (config, report) = load(&file, &Machine::this());
    let Some(config) = config else {
        let first = report.findings().next().map(ToString::to_string);
        return Err(Failure::Finding(first.unwrap_or_default()));
    };
    let facts = facts(&config, verb.domain, verb.address)?;
    let snippet = snippet(verb.server, &facts);
    if output.json {
        output.object(&Shown { domain: &facts.domain, addresses: &facts.addresses, snippet })?;
    } else {
        output.octets(snippet.as_bytes())?;
    }
    Ok(Exit::Ok)
}

fn facts(config: &Config, domain: Domain, said: Vec<IpAddr>) -> Result<Facts, Failure> {
    let held = config.per_domain(|rules| rules);
    let Some((_, rules)) = held.find(&domain) else {
        return Err(Failure::Data(format!("{domain} is not configured in {}", config.file.display())));
    };
    let mut addresses = if said.is_empty() {
        [rules.source_address.clone(), config.top.own_addresses.clone()].concat()
    } else {
        said
    };
    addresses.iter_mut().for_each(|address| *address = canonical(*address));
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        let what = "none of our addresses is known: write source-address or own-addresses, or name them with --address";
        return Err(Failure::Usage(what.to_owned()));
    }
    Ok(Facts {
        domain,
        hostname: config.hostname.clone(),
        addresses,
        forward_client: rules.forward_client,
        authentication_results: rules.authentication_results,
    })
}

fn snippet(server: Kind, facts: &Facts) -> String {
    match server {
        Kind::Postfix => postfix::snippet(facts),
        Kind::Exim => exim::snippet(facts),
        Kind::Rspamd => rspamd::snippet(facts),
        Kind::Exchange => exchange::snippet(facts),
    }
}

impl Facts {
    /// The addresses, each as `write` has it, with `between` between them.
    fn joined(&self, between: &str, write: impl Fn(&IpAddr) -> String) -> String {
        self.addresses.iter().map(write).collect::<Vec<String>>().join(between)
    }
}

/// The network of the one address.
fn alone(address: &IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}
