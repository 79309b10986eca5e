//! A DNS by script, and keys to sign with.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner, Done};
use restante_types::{ClientFacts, ReversePath};
use rustls_pki_types::PrivateKeyDer;

use crate::check::Check;
use crate::lookup::{Lookup, LookupError};
use crate::senders::{Question, Senders};

/// What a name answers, by type.
#[derive(Default)]
pub(crate) struct Zone {
    records: HashMap<(&'static str, String), Vec<String>>,
    /// Names that cannot say, and names that nobody answers for.
    broken: HashMap<String, LookupError>,
    /// Names whose questions hang for ever.
    hanging: Vec<String>,
    pub(crate) asked: AtomicUsize,
    pub(crate) log: Mutex<Vec<String>>,
}

impl Zone {
    /// One record per line: `name TYPE data`; `!` for SERVFAIL, `?` for silence and `HANG` stand for a type.
    pub(crate) fn new(text: &str) -> Self {
        let mut zone = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, rest) = line.split_once(' ').unwrap();
            let (kind, data) = rest.split_once(' ').unwrap_or((rest, ""));
            zone.add(name, kind, data);
        }
        zone
    }

    pub(crate) fn add(&mut self, name: &str, kind: &str, data: &str) {
        let name = name.to_ascii_lowercase();
        let kind = match kind {
            "TXT" => "TXT",
            "MX" => "MX",
            "A" => "A",
            "AAAA" => "AAAA",
            "PTR" => "PTR",
            "!" => return self.broken.extend([(name, LookupError::Temporary)]),
            "?" => return self.broken.extend([(name, LookupError::Silent)]),
            "HANG" => return self.hanging.push(name),
            other => panic!("{other}"),
        };
        self.records.entry((kind, name)).or_default().push(data.to_owned());
    }

    async fn find(&self, kind: &'static str, name: &str) -> Result<Vec<String>, LookupError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.log.lock().unwrap().push(format!("{kind} {name}"));
        if self.hanging.contains(&name) {
            std::future::pending::<()>().await;
        }
        if let Some(trouble) = self.broken.get(&name) {
            return Err(*trouble);
        }
        self.records.get(&(kind, name)).cloned().ok_or(LookupError::Nothing)
    }
}

#[async_trait]
impl Lookup for Zone {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, LookupError> {
        Ok(self.find("TXT", name).await?.into_iter().map(String::into_bytes).collect())
    }

    async fn mx(&self, name: &str) -> Result<Vec<(u16, String)>, LookupError> {
        Ok(self.find("MX", name).await?.into_iter().map(|host| (10, format!("{host}."))).collect())
    }

    async fn a(&self, name: &str) -> Result<Vec<Ipv4Addr>, LookupError> {
        Ok(self.find("A", name).await?.iter().map(|address| address.parse().unwrap()).collect())
    }

    async fn aaaa(&self, name: &str) -> Result<Vec<Ipv6Addr>, LookupError> {
        Ok(self.find("AAAA", name).await?.iter().map(|address| address.parse().unwrap()).collect())
    }

    async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, LookupError> {
        self.find("PTR", &address.to_string()).await
    }
}

/// Senders over a script.
pub(crate) fn senders(zone: Zone) -> (Arc<Senders>, Arc<Zone>) {
    let zone = Arc::new(zone);
    (Arc::new(Senders::with_lookup(zone.clone())), zone)
}

pub(crate) fn client(address: &str, helo: &str) -> ClientFacts {
    ClientFacts { address: address.parse().unwrap(), helo: helo.to_owned(), identity: None, tls: None }
}

pub(crate) fn path(text: &str) -> ReversePath {
    if text.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(text.parse().unwrap()) }
}

/// A check of a message from `192.0.2.1`, wanted for both purposes or for notices only.
pub(crate) fn check(senders: &Arc<Senders>, sender: &str, results: bool) -> Option<Box<Check>> {
    let (client, sender) = (client("192.0.2.1", "mail.example.net"), path(sender));
    senders.begin(Question { client: &client, sender: &sender, vouched: true, results })
}

/// A key to sign with, and its record.
pub(crate) struct Signing {
    key: Kind,
    pub(crate) record: String,
}

enum Kind {
    Rsa(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Signing {
    pub(crate) fn ed25519() -> Self {
        let der = Ed25519Key::generate_pkcs8().unwrap();
        let public = Ed25519Key::from_pkcs8_der(&der).unwrap().public_key();
        Self { key: Kind::Ed25519(der), record: format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(public)) }
    }

    pub(crate) fn rsa(size: rcgen::RsaKeySize) -> Self {
        let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();
        let public = STANDARD.encode(rcgen::PublicKeyData::subject_public_key_info(&pair));
        Self { key: Kind::Rsa(pair.serialize_der()), record: format!("v=DKIM1; p={public}") }
    }

    /// The message with a signature on top, made by `with` from a signer for this domain and the selector `key`.
    pub(crate) fn sign(&self, domain: &str, form: Canonicalization, message: &str) -> String {
        self.sign_with(domain, message, |signer| signer.form(form))
    }

    pub(crate) fn sign_with(&self, domain: &str, message: &str, with: impl Fn(Signer) -> Signer) -> String {
        let fields = ["From", "To", "Subject"];
        let signer = match &self.key {
            Kind::Ed25519(der) => Signer::Ed25519(
                DkimSigner::from_key(Ed25519Key::from_pkcs8_der(der).unwrap())
                    .domain(domain)
                    .selector("key")
                    .headers(fields),
            ),
            Kind::Rsa(der) => {
                let der = PrivateKeyDer::Pkcs8(der.clone().into());
                let key = RsaKey::<Sha256>::from_key_der(der).unwrap();
                Signer::Rsa(DkimSigner::from_key(key).domain(domain).selector("key").headers(fields))
            }
        };
        let header = match with(signer) {
            Signer::Ed25519(signer) => signer.sign(message.as_bytes()).unwrap().to_header(),
            Signer::Rsa(signer) => signer.sign(message.as_bytes()).unwrap().to_header(),
        };
        format!("{header}{message}")
    }
}

/// A signer of either kind.
pub(crate) enum Signer {
    Ed25519(DkimSigner<Ed25519Key, Done>),
    Rsa(DkimSigner<RsaKey<Sha256>, Done>),
}

macro_rules! both {
    ($self:ident, $signer:ident => $with:expr) => {
        match $self {
            Self::Ed25519($signer) => Self::Ed25519($with),
            Self::Rsa($signer) => Self::Rsa($with),
        }
    };
}

impl Signer {
    pub(crate) fn form(self, form: Canonicalization) -> Self {
        both!(self, signer => signer.header_canonicalization(form).body_canonicalization(form))
    }

    pub(crate) fn fields(self, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        both!(self, signer => {
            let mut signer = signer;
            signer.template.h = names;
            signer
        })
    }

    pub(crate) fn identity(self, identity: &str) -> Self {
        both!(self, signer => signer.agent_user_identifier(identity))
    }

    pub(crate) fn length(self) -> Self {
        both!(self, signer => signer.body_length(true))
    }
}
