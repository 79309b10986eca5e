//! Authorities and the certificates they sign.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData, date_time_ymd,
};
use tempfile::TempDir;

/// An authority, and the certificates above it that a server shows with its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    above: Vec<Vec<u8>>,
    dir: TempDir,
}

/// What a server has: its certificate, what it shows behind it, and its key.
pub(crate) struct Shown {
    /// The server's own first.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The key of its own certificate, as certificates carry it.
    pub(crate) spki: Vec<u8>,
    dir: TempDir,
    key: String,
}

/// When it is valid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Valid {
    Now,
    /// It ended long ago.
    Past,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    /// Signed by itself.
    pub(crate) fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap();
        Self { issuer, above: Vec::new(), dir: tempfile::tempdir().unwrap() }
    }

    /// Signed by this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(authority(name), key, &self.issuer).unwrap();
        Self { issuer, above: self.chain(), dir: tempfile::tempdir().unwrap() }
    }

    /// Its own certificate and those above it.
    fn chain(&self) -> Vec<Vec<u8>> {
        std::iter::once(self.der()).chain(self.above.iter().cloned()).collect()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// The key as certificates carry it.
    pub(crate) fn spki(&self) -> Vec<u8> {
        self.issuer.key().subject_public_key_info()
    }

    /// Its certificate in a file.
    pub(crate) fn file(&self) -> PathBuf {
        let file = self.dir.path().join("ca.pem");
        fs::write(&file, self.issuer.pem()).unwrap();
        file
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue(&self, names: &[&str], valid: Valid) -> Shown {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(CertificateParams::new(names).unwrap(), valid)
    }

    /// One as they were made long ago: these names besides, and a name in its subject.
    pub(crate) fn issue_to(&self, subject: &str, names: &[&str]) -> Shown {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        self.sign(params, Valid::Now)
    }

    fn sign(&self, mut params: CertificateParams, valid: Valid) -> Shown {
        let key = KeyPair::generate().unwrap();
        if valid == Valid::Past {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let own = params.signed_by(&key, &self.issuer).unwrap();
        let chain = std::iter::once(own.der().to_vec()).chain(self.chain()).collect();
        let dir = tempfile::tempdir().unwrap();
        Shown { chain, spki: key.subject_public_key_info(), dir, key: key.serialize_pem() }
    }
}

impl Shown {
    /// Shows so many certificates only.
    pub(crate) fn only(mut self, count: usize) -> Self {
        self.chain.truncate(count);
        self
    }

    /// Certificate with chain, and key.
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        let (crt, key) = (self.dir.path().join("tls.crt"), self.dir.path().join("tls.key"));
        self.write(&crt, &key);
        (crt, key)
    }

    /// Puts both into these files.
    pub(crate) fn write(&self, crt: &std::path::Path, key: &std::path::Path) {
        let pem: String = self.chain.iter().map(|der| encode(der)).collect();
        fs::write(crt, pem).unwrap();
        fs::write(key, &self.key).unwrap();
    }
}

/// PEM of a certificate.
fn encode(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut column = 0;
    for three in der.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place <= three.len() { letter } else { '=' });
        }
        column += 4;
        if column == 64 {
            text.push('\n');
            column = 0;
        }
    }
    if column > 0 {
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}
