//! What only shows when the accounts are seen together, and beside the configuration.

use std::collections::{BTreeMap, HashMap};

use restante_turn::Fingerprint;
use restante_types::Domain;

use super::SitedAccount;
use crate::config::{Config, Place, Report};

/// Adds what it finds to the report.
pub(crate) fn check(accounts: &[SitedAccount], config: &Config, report: &mut Report) {
    among(accounts, report);
    let has_authority = config.tls.as_ref().is_some_and(|tls| tls.value.client_ca.is_some());
    for account in accounts.iter().filter(|account| account.value.client_name.is_some() && !has_authority) {
        let name = &account.value.name;
        let what =
            format!("client-name of account {name}: no authority is configured that vouches for names");
        report.error(&account.place, what, "write client-ca in [tls], or client-certificate in the account");
    }
    for account in accounts {
        for domain in account.value.domains.iter().filter(|domain| !is_configured(config, domain)) {
            let what = format!("{domain} of account {} is not held here", account.value.name);
            let meant = format!("add a [[domain]] with name = \"{domain}\" to the configuration");
            report.warning(&account.place, what, meant);
        }
    }
}

/// What the configuration does not matter for.
pub(super) fn among(accounts: &[SitedAccount], report: &mut Report) {
    names(accounts, report);
    owners(accounts, report);
    certificates(accounts, report);
}

fn is_configured(config: &Config, name: &Domain) -> bool {
    config.domains.iter().any(|domain| domain.value.name == *name)
}

fn names(accounts: &[SitedAccount], report: &mut Report) {
    let mut seen: HashMap<&str, &Place> = HashMap::new();
    for account in accounts {
        if let Some(first) = seen.insert(&account.value.name, &account.place) {
            let what = format!("account {} is already there, at {first}", account.value.name);
            report.error(&account.place, what, "remove one of the two, or give it another name");
        }
    }
}

/// A domain whose mail two accounts take is a slip, unless both say that it is none.
fn owners(accounts: &[SitedAccount], report: &mut Report) {
    let mut owners: BTreeMap<&Domain, Vec<&SitedAccount>> = BTreeMap::new();
    for account in accounts {
        account.value.domains.iter().for_each(|domain| owners.entry(domain).or_default().push(account));
    }
    for (domain, owners) in owners.into_iter().filter(|(_, owners)| owners.len() > 1) {
        for account in owners.iter().filter(|account| !account.value.shared) {
            let other = owners.iter().find(|other| other.value.name != account.value.name);
            let by = other.map_or("another", |other| other.value.name.as_str());
            let what = format!("{domain} of account {} is owned by {by} too", account.value.name);
            report.error(&account.place, what, "write shared = true in both accounts, if that is meant");
        }
    }
}

fn certificates(accounts: &[SitedAccount], report: &mut Report) {
    let mut fingerprints: HashMap<Fingerprint, &str> = HashMap::new();
    let mut client_names: HashMap<&Domain, &str> = HashMap::new();
    for account in accounts {
        let name = account.value.name.as_str();
        let twice = account.value.certificates.iter().find_map(|one| fingerprints.insert(*one, name));
        let client_name = account.value.client_name.as_ref();
        let twice = twice.or_else(|| client_name.and_then(|one| client_names.insert(one, name)));
        if let Some(other) = twice {
            let what = format!("the certificate of account {name} is {other}'s too");
            report.error(&account.place, what, "one certificate proves one account; give each its own");
        }
    }
}
