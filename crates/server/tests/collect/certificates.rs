//! Clients that show a certificate.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use restante_turn::Fingerprint;
use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::customer::Customer;
use crate::world::{Plan, World, accounts, domain};

/// A certificate and its key in two files.
struct Shown {
    certificate: PathBuf,
    key: PathBuf,
}

impl Shown {
    fn both(&self) -> Option<(&Path, &Path)> {
        Some((&self.certificate, &self.key))
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn certify(&self, dir: &Path, name: &str) -> Shown {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(dir, name, &certificate.pem(), &key)
    }
}

fn write(dir: &Path, name: &str, pem: &str, key: &KeyPair) -> Shown {
    let shown = Shown { certificate: dir.join(format!("{name}.crt")), key: dir.join(format!("{name}.key")) };
    std::fs::write(&shown.certificate, pem).unwrap();
    std::fs::write(&shown.key, key.serialize_pem()).unwrap();
    shown
}

fn self_signed(dir: &Path, name: &str) -> (Shown, [u8; 32]) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let digest = Sha256::digest(certificate.der()).into();
    (write(dir, name, &certificate.pem(), &key), digest)
}

/// [4954-4-external] Whoever issued it: the fingerprint on file counts, and the handshake proves whose it is.
#[tokio::test]
async fn external_by_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    let (hers, fingerprint) = self_signed(dir.path(), "hers.example");
    let (others, _) = self_signed(dir.path(), "others.example");
    let mut accounts = accounts();
    accounts[0].certificates.insert(Fingerprint(fingerprint));
    let world = World::of(Plan { accounts, ..Plan::default() });
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    let (mut caller, offer) = Caller::secured_with(world.odmr(), hers.both()).await;
    assert!(offer.contains("EXTERNAL"), "{offer}");
    caller.talk(&[("AUTH EXTERNAL =", "235")]).await;
    let session = Customer::new().take(caller.turn("ATRN a.example").await).await;
    assert_eq!(session.texts(), ["A: 1\r\n\r\n"]);
    let (mut caller, _) = Caller::secured_with(world.odmr(), others.both()).await;
    caller.talk(&[("AUTH EXTERNAL =", "535 5.7.8"), ("ATRN a.example", "530")]).await;
    let (mut caller, offer) = Caller::secured_with(world.odmr(), None).await;
    assert!(!offer.contains("EXTERNAL"), "a certificate is asked for, not required: {offer}");
    caller.talk(&[("AUTH EXTERNAL =", "504")]).await;
}

/// [4954-4-external-names] A name counts only where our own authority vouches for it.
#[tokio::test]
async fn external_by_a_name_under_a_private_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (mine, forged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hers = ours.certify(mine.path(), "ada.customers.example");
    let false_one = theirs.certify(forged.path(), "ada.customers.example");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &ours.pem).unwrap();
    let mut accounts = accounts();
    accounts[0].client_name = Some(domain("ada.customers.example"));
    let world = World::of(Plan { accounts, client_ca: Some(ca), ..Plan::default() });
    let (mut caller, _) = Caller::secured_with(world.odmr(), hers.both()).await;
    caller.talk(&[("AUTH EXTERNAL =", "235")]).await;
    let (mut caller, _) = Caller::secured_with(world.odmr(), false_one.both()).await;
    caller.talk(&[("AUTH EXTERNAL =", "535 5.7.8")]).await;
}
