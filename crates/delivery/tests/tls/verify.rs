//! `verify`: by the system's authorities, a private one, a name, an address, a fingerprint.

use std::collections::BTreeSet;
use std::sync::Arc;

use restante_delivery::{DomainDelivery, Hop, TlsPolicies, TlsPolicy, TlsTrust};
use restante_types::UnixMillis;
use sha2::{Digest, Sha256};

use crate::chain::{Authority, Shown, Valid};
use crate::house::{HOST, World, deferred, delivered, domain, to_address, to_host, trusting};
use crate::primary::{Manner, Primary};
use crate::zone::Zone;

fn primary(shown: &Shown) -> Primary {
    Primary::start(Manner::Works, shown)
}

#[tokio::test]
async fn who_has_a_good_certificate_gets_the_mail() {
    let (system, private) = (Authority::new("system"), Authority::new("private"));
    let world = World::new(Zone::default(), &system.file());
    let by_system = primary(&system.issue(&[HOST], Valid::Now));
    delivered(to_host(&by_system, TlsPolicy::Verify), &world, &by_system).await;
    let by_private = primary(&private.issue(&["internal.example"], Valid::Now));
    let trust = TlsTrust {
        authorities: Some(private.file()),
        name: Some(domain("internal.example")),
        ..TlsTrust::default()
    };
    delivered(trusting(to_host(&by_private, TlsPolicy::Verify), trust.clone()), &world, &by_private).await;
    delivered(trusting(to_address(&by_private, TlsPolicy::Verify), trust), &world, &by_private).await;
    // Without a name the address itself must be in it.
    let by_address = primary(&system.issue(&["127.0.0.1"], Valid::Now));
    delivered(to_address(&by_address, TlsPolicy::Verify), &world, &by_address).await;
}

#[tokio::test]
async fn who_has_a_bad_one_gets_nothing() {
    let (system, private) = (Authority::new("system"), Authority::new("private"));
    let world = World::new(Zone::default(), &system.file());
    let bad = [
        (system.issue(&[HOST], Valid::Past), "the certificate has expired"),
        (
            system.issue(&["other.example.org"], Valid::Now),
            "is not for mail.example.org, but for other.example.org",
        ),
        (private.issue(&[HOST], Valid::Now), "is not by an authority that counts"),
        (system.below("between").issue(&[HOST], Valid::Now).only(1), "is not by an authority that counts"),
    ];
    for (shown, wanted) in &bad {
        let primary = primary(shown);
        let why = deferred(to_host(&primary, TlsPolicy::Verify), &world, &primary).await;
        assert!(why.starts_with("450 4.7.5 no TLS with mail.example.org[127.0.0.1]"), "{why}");
        assert!(why.contains(wanted), "{why}");
        assert_eq!(primary.seen().len(), 1, "one connection, and none in clear");
    }
    // A private authority stands instead of the system's, not beside them.
    let by_system = primary(&system.issue(&[HOST], Valid::Now));
    let trust = TlsTrust { authorities: Some(private.file()), ..TlsTrust::default() };
    deferred(trusting(to_host(&by_system, TlsPolicy::Verify), trust), &world, &by_system).await;
    // An address wants itself in the certificate, not a name that somebody has.
    let why = deferred(to_address(&by_system, TlsPolicy::Verify), &world, &by_system).await;
    assert!(why.contains("is not for 127.0.0.1"), "{why}");
}

#[tokio::test]
async fn a_fingerprint_is_enough_and_nothing_else_is() {
    let system = Authority::new("system");
    let world = World::new(Zone::default(), &system.file());
    let old = Authority::new("nobody").issue(&["elsewhere.example"], Valid::Past);
    let known = primary(&old);
    let print: [u8; 32] = Sha256::digest(&old.chain[0]).into();
    let trust = TlsTrust { fingerprints: BTreeSet::from([[1; 32], print]), ..TlsTrust::default() };
    delivered(trusting(to_host(&known, TlsPolicy::Verify), trust.clone()), &world, &known).await;
    // A perfectly good certificate that is not on file.
    let other = primary(&system.issue(&[HOST], Valid::Now));
    let why = deferred(trusting(to_host(&other, TlsPolicy::Verify), trust), &world, &other).await;
    assert!(why.ends_with("the certificate is not one whose fingerprint is on file"), "{why}");
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_no_reason_to_trust() {
    let system = Authority::new("system");
    let world = World::new(Zone::default(), &system.file());
    let primary = primary(&system.issue(&[HOST], Valid::Now));
    let trust = TlsTrust { authorities: Some("/nowhere/ca.pem".into()), ..TlsTrust::default() };
    let why = deferred(trusting(to_host(&primary, TlsPolicy::Verify), trust), &world, &primary).await;
    assert!(why.starts_with("450 4.7.5 our own TLS files cannot be used: /nowhere/ca.pem"), "{why}");
    assert_eq!(primary.seen().len(), 0);
}

/// The DNS gives the address too, so a certificate for the address is no proof of a name.
#[tokio::test]
async fn a_name_that_no_certificate_can_bear_is_not_replaced_by_the_address() {
    let policies = TlsPolicies::offline(Arc::new(|| UnixMillis::EPOCH));
    let hop = Hop { name: Some(domain("mail.1")), ..Hop::literal("127.0.0.1:25".parse().unwrap(), None) };
    let delivery = DomainDelivery { tls: TlsPolicy::Verify, ..DomainDelivery::default() };
    let why = policies.demand(&domain("example.org"), &delivery, &hop).await.unwrap_err();
    assert_eq!(why.reply().to_string(), "450 4.7.0 mail.1 is no name that a certificate can be for");
}
