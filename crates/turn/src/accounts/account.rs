//! Accounts, and the table of them.

use std::collections::{BTreeMap, BTreeSet};

use restante_smtp::{AuthOffer, Mechanism, Mechanisms, ScramKeys};
use restante_types::Domain;

use super::fake::Install;
use super::fingerprint::Fingerprint;
use super::secret::StoredSecret;
use crate::limits::{DEFAULT_ITERATIONS, MAX_ACCOUNT_NAME};

/// One `[[account]]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Its name; see [`is_account_name`].
    pub name: String,
    /// The domains it owns.
    pub domains: BTreeSet<Domain>,
    /// Others may own its domains too.
    pub shared: bool,
    /// What is kept of its password; none where only a certificate lets it in.
    pub secret: Option<StoredSecret>,
    /// Its certificates. They let it in by EXTERNAL, and are what its server must show where mail goes to the
    /// requester's address.
    pub certificates: BTreeSet<Fingerprint>,
    /// The name in a certificate of the configured private CA that lets it in.
    pub client_name: Option<Domain>,
    /// TURN (RFC 821) is served.
    pub turn: bool,
    /// It may come without TLS.
    pub allow_cleartext: bool,
    /// CRAM-MD5 is served; its secret is [`StoredSecret::Plain`] then.
    pub legacy_cram_md5: bool,
}

/// What a client showed of a certificate in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
    /// The names in it; only where it was verified under the configured private CA, otherwise none.
    pub names: Vec<Domain>,
}

/// Whether this can be an account's name: 1 to 64 of the letters, digits and `.` `_` `-` `+` `@`. So it needs no escaping
/// in any mechanism, and is prepared (RFC 4013) as it stands.
#[must_use]
pub fn is_account_name(name: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"._-+@".contains(&octet);
    (1..=MAX_ACCOUNT_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

/// An account with what was worked out for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) account: Account,
    /// The keys of its password, also where the password itself is kept.
    pub(super) keys: Option<ScramKeys>,
}

impl Entry {
    /// Whether it may authenticate with its password over such a connection.
    pub(super) fn may_come(&self, tls: bool) -> bool {
        tls || self.account.allow_cleartext
    }
}

/// All accounts. Replaced as a whole.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<String, Entry>,
    /// What most accounts have, for those that do not exist.
    pub(super) iterations: u32,
}

impl Table {
    /// Works out what the accounts need. Deriving the keys of plain secrets takes time on purpose; those that did not
    /// change since `old` are taken over from there.
    pub(super) fn new(accounts: Vec<Account>, install: &Install, old: &Self) -> Self {
        let derived = |account: &Account| match &account.secret {
            None => None,
            Some(StoredSecret::Derived(keys)) => Some(keys.clone()),
            Some(StoredSecret::Plain(password)) => {
                let before =
                    old.entries.get(&account.name).filter(|old| old.account.secret == account.secret);
                let known = before.and_then(|old| old.keys.clone());
                let salt = install.salt(&account.name);
                known.or_else(|| Some(ScramKeys::derive(password.expose(), &salt, DEFAULT_ITERATIONS)))
            }
        };
        let entry = |account: Account| {
            let keys = derived(&account);
            (account.name.clone(), Entry { account, keys })
        };
        let entries: BTreeMap<String, Entry> = accounts.into_iter().map(entry).collect();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for keys in entries.values().filter_map(|entry| entry.keys.as_ref()) {
            *counts.entry(keys.iterations).or_default() += 1;
        }
        let usual = counts.into_iter().max_by_key(|(_, count)| *count);
        Self { entries, iterations: usual.map_or(DEFAULT_ITERATIONS, |(iterations, _)| iterations) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The account that a certificate belongs to.
    pub(super) fn of_certificate(&self, certificate: &ClientCertificate) -> Option<&Account> {
        let is_its = |account: &&Account| {
            account.certificates.contains(&Fingerprint(certificate.fingerprint))
                || account.client_name.as_ref().is_some_and(|name| certificate.names.contains(name))
        };
        self.entries.values().map(|entry| &entry.account).find(is_its)
    }

    pub(super) fn offer(&self) -> AuthOffer {
        let any = |is: fn(&Entry) -> bool| self.entries.values().any(is);
        let offered = [
            (any(|entry| entry.keys.is_some()), Mechanism::ScramSha256Plus),
            (any(|entry| entry.keys.is_some()), Mechanism::ScramSha256),
            (any(|entry| entry.keys.is_some()), Mechanism::Plain),
            (any(|entry| entry.keys.is_some()), Mechanism::Login),
            (
                any(|entry| !entry.account.certificates.is_empty() || entry.account.client_name.is_some()),
                Mechanism::External,
            ),
            (any(|entry| entry.account.legacy_cram_md5), Mechanism::CramMd5),
        ];
        let mechanisms: Mechanisms =
            offered.into_iter().filter(|(offered, _)| *offered).map(|(_, mechanism)| mechanism).collect();
        AuthOffer { mechanisms, cleartext: any(|entry| entry.account.allow_cleartext) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escaping() {
        for name in ["a", "example-org", "user@example.org", "A_1+b.c", &"x".repeat(MAX_ACCOUNT_NAME)] {
            assert!(is_account_name(name), "{name}");
        }
        for name in ["", "a b", "a,b", "a=b", "ä", "a\"", "a\n", &"x".repeat(MAX_ACCOUNT_NAME + 1)] {
            assert!(!is_account_name(name), "{name:?}");
        }
    }
}
