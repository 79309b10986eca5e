//! Names, dates, issuers, fingerprints.

use std::collections::BTreeSet;

use restante_net::{ClientTls, Trust};
use sha2::{Digest, Sha256};

use crate::chain::{Authority, Shown, Valid};
use crate::hand::shake;

fn by(trust: &Trust) -> ClientTls {
    ClientTls::trusting(trust, None).unwrap()
}

fn print(shown: &Shown) -> [u8; 32] {
    Sha256::digest(&shown.chain[0]).into()
}

#[tokio::test]
async fn a_certificate_of_an_authority_for_the_name() {
    let authority = Authority::new("ours");
    let tls = by(&Trust::Authorities(authority.file()));
    let good =
        authority.below("between").issue(&["mail.example.org", "*.example.net", "127.0.0.1"], Valid::Now);
    for name in ["mail.example.org", "a.example.net", "127.0.0.1"] {
        shake(&good, &tls, name).await.unwrap();
    }
    let why = shake(&good, &tls, "other.example.org").await.unwrap_err();
    assert!(why.starts_with("the certificate is not for other.example.org, but for "), "{why}");
    assert!(why.contains("but for mail.example.org, *.example.net"), "{why}");
    let why = shake(&good, &tls, "a.b.example.net").await.unwrap_err();
    assert!(why.starts_with("the certificate is not for a.b.example.net"), "{why}");
    let why = shake(&good, &tls, "127.0.0.2").await.unwrap_err();
    assert!(why.contains("is not for 127.0.0.2"), "{why}");
    let old = authority.issue(&["mail.example.org"], Valid::Past);
    assert_eq!(shake(&old, &tls, "mail.example.org").await.unwrap_err(), "the certificate has expired");
    let foreign = Authority::new("theirs").issue(&["mail.example.org"], Valid::Now);
    let why = shake(&foreign, &tls, "mail.example.org").await.unwrap_err();
    assert_eq!(why, "the certificate is not by an authority that counts");
    // Nobody but the named authority: the system's do not count beside it.
    let system = by(&Trust::System);
    let why = shake(&good, &system, "mail.example.org").await.unwrap_err();
    assert_eq!(why, "the certificate is not by an authority that counts");
}

#[tokio::test]
async fn a_fingerprint_is_enough_alone() {
    let old = Authority::new("theirs").issue(&["elsewhere.example"], Valid::Past);
    let tls = by(&Trust::Fingerprints(BTreeSet::from([[7; 32], print(&old)])));
    shake(&old, &tls, "mail.example.org").await.unwrap();
    shake(&old, &by(&Trust::Fingerprint(print(&old))), "mail.example.org").await.unwrap();
    let other = Authority::new("theirs").issue(&["mail.example.org"], Valid::Now);
    let why = shake(&other, &tls, "mail.example.org").await.unwrap_err();
    assert_eq!(why, "the certificate is not one whose fingerprint is on file");
}
