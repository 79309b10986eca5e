//! Accounts: who can prove to own which domains.
//!
//! [`Accounts`] is what the front end asks: for the keys of SCRAM, and whether what a client showed is enough. It answers
//! alike, in text and in time, for an account that does not exist, a wrong password, and an account that may not use
//! the mechanism. [`Accounts::check`] takes the time of one key derivation and belongs on a thread that may block.

mod account;
mod failure;
mod failures;
mod fake;
mod fingerprint;
mod kdf;
mod secret;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use restante_smtp::{AuthOffer, Evidence, Identity, Mechanism, ScramKeys, Secret, cram_md5};
use restante_types::Network;
use subtle::ConstantTimeEq;

pub use account::{Account, ClientCertificate, is_account_name};
use account::{Entry, Table};
pub use failure::AuthFailure;
pub(crate) use failure::Cause;
use failures::Failures;
pub use fake::Install;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use kdf::{Kdf, Pbkdf2};
pub use secret::{SecretError, StoredSecret};

use crate::events;

/// Who wants to authenticate, and over what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: IpAddr,
    /// The connection has TLS.
    pub tls: bool,
    /// The certificate that it showed.
    pub certificate: Option<ClientCertificate>,
}

/// All accounts, as they are in force.
#[derive(Debug)]
pub struct Accounts {
    table: ArcSwap<Table>,
    failures: Mutex<Failures>,
    install: Install,
    kdf: Box<dyn Kdf>,
}

/// Accounts that are ready to be taken.
#[derive(Debug)]
pub struct NewAccounts(Table);

impl NewAccounts {
    /// The mechanisms that some of them can use.
    #[must_use]
    pub fn offer(&self) -> AuthOffer {
        self.0.offer()
    }
}

impl Accounts {
    /// No accounts yet.
    #[must_use]
    pub fn new(install: Install) -> Self {
        Self::with_kdf(install, Box::new(Pbkdf2))
    }

    /// As [`new`](Self::new), with a key derivation of its own.
    #[must_use]
    pub fn with_kdf(install: Install, kdf: Box<dyn Kdf>) -> Self {
        Self { table: ArcSwap::default(), failures: Mutex::default(), install, kdf }
    }

    /// Works accounts out, without taking them. Takes time for each plain secret that is new.
    #[must_use]
    pub fn prepare(&self, accounts: Vec<Account>) -> NewAccounts {
        NewAccounts(Table::new(accounts, &self.install, &self.table.load()))
    }

    /// Takes these accounts in the place of all others; what goes on for one that lost its right is not this table's to end.
    pub fn take(&self, new: NewAccounts) {
        self.table.store(Arc::new(new.0));
    }

    /// Both at once.
    pub fn load(&self, accounts: Vec<Account>) {
        self.take(self.prepare(accounts));
    }

    /// The mechanisms that some account can use.
    #[must_use]
    pub fn offer(&self) -> AuthOffer {
        self.table.load().offer()
    }

    /// The account of this name, as it is in force.
    #[must_use]
    pub fn account(&self, identity: &Identity) -> Option<Account> {
        self.table.load().get(&identity.0).map(|entry| entry.account.clone())
    }

    /// The account that a certificate belongs to.
    #[must_use]
    pub fn identity_of(&self, certificate: &ClientCertificate) -> Option<Identity> {
        self.table.load().of_certificate(certificate).map(|account| Identity(account.name.clone()))
    }

    /// The keys that SCRAM goes on with. [4954-4-alike] For an account that does not exist or may not use it they are made up,
    /// stay the same, and lead to the same failure. Quick.
    ///
    /// # Errors
    /// [`AuthFailure`] when this peer has to wait before it may try again.
    pub fn scram_keys(&self, name: &str, peer: &Peer, now: Instant) -> Result<ScramKeys, AuthFailure> {
        self.admit(name, Mechanism::ScramSha256, peer, now)?;
        let table = self.table.load();
        Ok(self.keys(&table, name, peer.tls).0)
    }

    /// Whether what a client showed is enough, and for which account. Takes the time of a key derivation for PLAIN and LOGIN.
    ///
    /// # Errors
    /// [`AuthFailure`] says what to reply; why is in the log.
    pub fn check(&self, evidence: &Evidence, peer: &Peer, now: Instant) -> Result<Identity, AuthFailure> {
        let (name, mechanism) = (evidence.name().unwrap_or_default(), evidence.mechanism());
        self.admit(name, mechanism, peer, now)?;
        let network = Network::of_client(peer.address);
        match self.judge(evidence, peer) {
            Ok(identity) => {
                self.failures().succeeded(network, &identity.0, now);
                events::auth_ok(peer.address, &identity, mechanism, peer.tls);
                Ok(identity)
            }
            Err(cause) => {
                self.failures().failed(network, name, now);
                events::auth_failed(peer.address, name, mechanism, cause);
                Err(AuthFailure::Refused)
            }
        }
    }

    /// [4954-9-guessing] Before anything is looked at, or worked out.
    fn admit(&self, name: &str, mechanism: Mechanism, peer: &Peer, now: Instant) -> Result<(), AuthFailure> {
        let Some(limited) = self.failures().limit(Network::of_client(peer.address), name, now) else {
            return Ok(());
        };
        events::auth_failed(peer.address, name, mechanism, Cause::TooMany);
        Err(limited.into())
    }

    fn judge(&self, evidence: &Evidence, peer: &Peer) -> Result<Identity, Cause> {
        let table = self.table.load();
        let name = match evidence {
            Evidence::Plain { name, password, .. } => self.password(&table, name, password, peer)?,
            Evidence::CramMd5 { name, challenge, digest } => {
                self.digest(&table, name, (challenge, digest), peer)?
            }
            // The machine compared; the account may have gone meanwhile.
            Evidence::Scram { name, .. } if self.keys(&table, name, peer.tls).1 => name.clone(),
            Evidence::Scram { .. } | Evidence::ScramFailed { .. } => return Err(Cause::Credentials),
            Evidence::External { .. } => external(&table, peer)?,
        };
        // [4954-4-authzid] Nobody acts for somebody else here.
        match evidence.authzid() {
            Some(other) if other != name => Err(Cause::OtherIdentity),
            _ => Ok(Identity(name)),
        }
    }

    /// The keys to compare with, and whether they are those of an account that may come so. Both are worked out in any case.
    fn keys(&self, table: &Table, name: &str, tls: bool) -> (ScramKeys, bool) {
        let mut made_up = self.install.keys(name, table.iterations);
        let Some((entry, keys)) = table.get(name).and_then(|entry| Some((entry, entry.keys.as_ref()?)))
        else {
            return (made_up, false);
        };
        if entry.may_come(tls) {
            return (keys.clone(), true);
        }
        // [4954-4-alike-layers] What SCRAM shows of a name is the same in clear as inside TLS: two salts would tell that there is an account.
        made_up.salt.clone_from(&keys.salt);
        made_up.iterations = keys.iterations;
        (made_up, false)
    }

    /// [4954-4-alike] The same work for each name.
    fn password(&self, table: &Table, name: &str, password: &Secret, peer: &Peer) -> Result<String, Cause> {
        // The machine offers PLAIN and LOGIN inside TLS only; an account's `allow-cleartext` does not change that.
        let (keys, exists) = self.keys(table, name, peer.tls);
        let right = self.kdf.is_of(&keys, password.expose());
        if right && exists && peer.tls { Ok(name.to_owned()) } else { Err(Cause::Credentials) }
    }

    /// [4954-9-legacy] Where the account says so, and nowhere else; compared with a text that nobody knows otherwise.
    fn digest(
        &self,
        table: &Table,
        name: &str,
        (challenge, digest): (&str, &[u8; 16]),
        peer: &Peer,
    ) -> Result<String, Cause> {
        let made_up: String =
            self.install.password(name).iter().map(|octet| format!("{octet:02x}")).collect();
        let legacy = |entry: &&Entry| entry.account.legacy_cram_md5 && entry.may_come(peer.tls);
        let known = match table.get(name).filter(legacy).map(|entry| &entry.account.secret) {
            Some(Some(StoredSecret::Plain(password))) => Some(password.expose()),
            _ => None,
        };
        let expected = cram_md5(known.unwrap_or(&made_up), challenge);
        let right = bool::from(expected.ct_eq(digest));
        if right && known.is_some() { Ok(name.to_owned()) } else { Err(Cause::Credentials) }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [4954-4-external] The certificate is the proof.
fn external(table: &Table, peer: &Peer) -> Result<String, Cause> {
    let certificate = peer.certificate.as_ref().filter(|_| peer.tls).ok_or(Cause::NoCertificate)?;
    let account = table.of_certificate(certificate).ok_or(Cause::UnknownCertificate)?;
    Ok(account.name.clone())
}
