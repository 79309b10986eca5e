//! The configuration: read, checked, and shown.
//!
//! Reading is a function of the files and of a few facts about the machine. It collects everything that is wrong
//! before it gives up, each with file, line and what was meant.

mod check;
mod command;
mod credentials;
mod fields;
mod nearest;
mod primary;
mod read;
mod render;
mod report;
mod rules;
#[cfg(test)]
mod sample;
mod sections;
#[cfg(test)]
mod tests;
mod told;
#[cfg(test)]
mod trust_tests;
mod values;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use restante_types::{Domain, DomainMap};

pub(crate) use command::{file, run};
pub(crate) use credentials::Certificates;
pub(crate) use fields::{Fields, Setting, Source, Wrong};
pub(crate) use nearest::nearest;
pub(crate) use read::text_of;
pub(crate) use render::{render, written};
pub(crate) use report::{Finding, Grade, Place, Report};
pub(crate) use sections::{
    AccountKeys, Admin, Dns, Events, Limits, Listen, NoticeTexts, Rules, Tls, Top, section,
};
pub(crate) use values::{DeliverTo, DiskMark, Span, parsed, quoted, text, words};

use crate::accounts::{self, SitedAccount, Stamp};

/// Where a site keeps its configuration.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/restante/restante.toml";

/// Something with the place where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sited<T> {
    /// What.
    pub(crate) value: T,
    /// Where.
    pub(crate) place: Place,
}

/// One `[[domain]]` with everything that `[domain-defaults]` gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldDomain {
    /// Its name.
    pub(crate) name: Domain,
    /// What holds for it.
    pub(crate) rules: Rules,
    /// Where its primary is written: with it, with the defaults, or nowhere.
    primary_place: Place,
}

/// One `[[group]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its name in lower case.
    pub(crate) name: String,
    /// Its domains.
    pub(crate) domains: Vec<Domain>,
}

/// The effective configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file it was read from.
    pub(crate) file: PathBuf,
    /// Our name.
    pub(crate) hostname: Domain,
    /// What stands before the first table.
    pub(crate) top: Top,
    /// Where we listen.
    pub(crate) listen: Vec<Sited<Listen>>,
    /// Our certificate; absent is no TLS.
    pub(crate) tls: Option<Sited<Tls>>,
    /// Whom we ask for names.
    pub(crate) dns: Dns,
    /// How notices read.
    pub(crate) notices: NoticeTexts,
    /// Who is told of changes.
    pub(crate) events: Events,
    /// The administrator's interface.
    pub(crate) admin: Admin,
    /// Bounds.
    pub(crate) limits: Limits,
    /// What holds for domains that do not say otherwise.
    pub(crate) defaults: Rules,
    /// The domains that mail is held for, in the order of the files.
    pub(crate) domains: Vec<Sited<HeldDomain>>,
    /// Groups for `ETRN #name`.
    pub(crate) groups: Vec<Sited<Group>>,
    /// The accounts, from their own file.
    pub(crate) accounts: Vec<SitedAccount>,
    /// The accounts' file as it was just before it was read.
    pub(crate) accounts_stamp: Option<Stamp>,
}

impl Config {
    /// What follows from the rules of each domain, to be found for the names below it too where it takes them.
    pub(crate) fn per_domain<'a, T>(&'a self, told: impl Fn(&'a Rules) -> T) -> DomainMap<T> {
        let mut map = DomainMap::default();
        for domain in &self.domains {
            let HeldDomain { name, rules, .. } = &domain.value;
            map.insert(name.clone(), rules.subdomains, told(rules));
        }
        map
    }
}

/// What reading wants to know of the machine.
pub(crate) struct Machine {
    /// Its name, as the system tells it.
    pub(crate) hostname: Option<String>,
    /// Whether an address is one of its interfaces'.
    pub(crate) is_local: fn(IpAddr) -> bool,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

impl Machine {
    /// This machine.
    pub(crate) fn this() -> Self {
        let names = nix::sys::utsname::uname().ok();
        let hostname = names.and_then(|names| names.nodename().to_str().map(ToOwned::to_owned));
        Self { hostname, is_local: restante_delivery::is_local_address }
    }
}

/// Reads a configuration with the files of `domains.d` beside it. The configuration is there exactly if the report
/// has no errors.
pub(crate) fn load(file: &Path, machine: &Machine) -> (Option<Config>, Report) {
    let (mut config, mut report) = read::read(file, machine);
    // What a file that says nothing lacks is no news.
    if !report.is_blind(file) {
        config.accounts_stamp = Stamp::of(&accounts::file(&config));
        config.accounts = read_accounts(&config, &mut report);
        check::check(&config, machine, &mut report);
    }
    let usable = !report.has_errors();
    (usable.then_some(config), report)
}

/// Reads the accounts as they are now, for a configuration that is in force. They are there exactly if the report has
/// no errors.
pub(crate) fn load_accounts(config: &Config) -> (Option<Vec<SitedAccount>>, Report) {
    let mut report = Report::default();
    let accounts = read_accounts(config, &mut report);
    accounts::check(&accounts, config, &mut report);
    let usable = !report.has_errors();
    (usable.then_some(accounts), report)
}

fn read_accounts(config: &Config, report: &mut Report) -> Vec<SitedAccount> {
    let trial = config.listen.iter().all(|listen| listen.value.address.ip().is_loopback());
    accounts::read(&accounts::file(config), trial, report)
}
