//! [7672-2.1.2] [7672-2.2-literal] [7672-2.2.1] [7672-2.2.2] [7672-2.2.3] [7672-3.2.2] [7672-6] [7672-8.1] Mandatory DANE.

use restante_delivery::{DomainDelivery, Hop, LookupError, TlsParts, TlsPolicies, TlsPolicy, Tlsa};
use restante_net::ServerName;
use restante_types::UnixMillis;
use sha2::{Digest, Sha256, Sha512};
use std::sync::Arc;

use crate::chain::{Authority, Shown, Valid};
use crate::house::{HOST, NoWeb, World, deferred, delivered, domain, to_address, to_host};
use crate::primary::{Manner, Primary};
use crate::zone::{Zone, tlsa};

fn sha256(octets: &[u8]) -> Vec<u8> {
    Sha256::digest(octets).to_vec()
}

async fn met(shown: &Shown, records: Vec<Tlsa>) {
    let world = World::new(Zone::default().tlsa(HOST, records), std::path::Path::new("/nowhere"));
    let primary = Primary::start(Manner::Works, shown);
    delivered(to_host(&primary, TlsPolicy::Dane), &world, &primary).await;
}

async fn unmet(shown: &Shown, zone: Zone) -> String {
    let world = World::new(zone, std::path::Path::new("/nowhere"));
    let primary = Primary::start(Manner::Works, shown);
    let why = deferred(to_host(&primary, TlsPolicy::Dane), &world, &primary).await;
    assert!(primary.seen().iter().all(|one| !one.encrypted), "no handshake came to its end");
    why
}

#[tokio::test]
async fn records_that_match_let_the_mail_go() {
    let top = Authority::new("top");
    let expired = Authority::new("nobody").issue(&["elsewhere.example"], Valid::Past);
    met(&expired, vec![tlsa(3, 1, 1, sha256(&expired.spki))]).await;
    let issued = top.below("between").issue(&[HOST], Valid::Now);
    met(&issued, vec![tlsa(2, 0, 1, sha256(&top.der()))]).await;
    met(&issued, vec![tlsa(2, 1, 2, Sha512::digest(top.spki()).to_vec())]).await;
    // [7672-3.2.2] The domain whose mail it is may stand in it instead of the host.
    let by_domain = top.issue(&["example.org"], Valid::Now);
    let zone = Zone::default().tlsa(HOST, vec![tlsa(2, 0, 1, sha256(&top.der()))]);
    let demand = demanded(zone, &["example.org"]).await.unwrap();
    assert!(demand.is_verified() && !demand.allows_clear());
    let world = World::new(
        Zone::default().tlsa(HOST, vec![tlsa(2, 0, 1, sha256(&top.der()))]),
        std::path::Path::new("/nowhere"),
    );
    let primary = Primary::start(Manner::Works, &by_domain);
    // By the configuration the host is the next hop, so that no MX record led to it: its own name alone counts.
    let why = deferred(to_host(&primary, TlsPolicy::Dane), &world, &primary).await;
    assert!(why.contains("but the certificate is not for mail.example.org"), "{why}");
    // One that is withdrawn beside one that is in force, and some that nobody can use.
    let several = vec![
        tlsa(3, 1, 1, [9; 32]),
        tlsa(0, 0, 1, [9; 32]),
        tlsa(3, 9, 9, [9; 32]),
        tlsa(3, 0, 1, sha256(&expired.chain[0])),
    ];
    met(&expired, several).await;
}

#[tokio::test]
async fn records_that_do_not_match_keep_it() {
    let top = Authority::new("top");
    let good = top.issue(&[HOST], Valid::Now);
    let wrong = vec![tlsa(3, 1, 1, [9; 32]), tlsa(2, 0, 1, [9; 32])];
    let why = unmet(&good, Zone::default().tlsa(HOST, wrong)).await;
    assert!(why.starts_with("450 4.7.5 no TLS with mail.example.org[127.0.0.1]"), "{why}");
    assert!(why.ends_with("no TLSA record matches the certificate"), "{why}");
    let old = top.issue(&[HOST], Valid::Past);
    let of_top = || vec![tlsa(2, 0, 1, sha256(&top.der()))];
    let why = unmet(&old, Zone::default().tlsa(HOST, of_top())).await;
    assert!(why.contains("does not verify"), "{why}");
    let other = top.issue(&["other.example"], Valid::Now);
    let why = unmet(&other, Zone::default().tlsa(HOST, of_top())).await;
    assert!(why.contains("the certificate is not for mail.example.org"), "{why}");
}

/// [7672-6] What RFC 7672 2.2 lets go encrypted or in clear where nobody asked for more waits here.
#[tokio::test]
async fn without_usable_records_it_waits() {
    let good = Authority::new("top").issue(&[HOST], Valid::Now);
    let why =
        unmet(&good, Zone::default().tlsa(HOST, vec![tlsa(1, 1, 1, [9; 32]), tlsa(0, 0, 1, [9; 32])])).await;
    assert!(why.starts_with("450 4.7.0 none of the 2 TLSA records at _"), "{why}");
    for error in [LookupError::NoName, LookupError::NoRecords] {
        let why = unmet(&good, Zone::default().no_tlsa(HOST, error)).await;
        assert!(why.starts_with("450 4.7.0 there are no signed TLSA records at _"), "{why}");
    }
    let zone = Zone::default().loose_tlsa(HOST, vec![tlsa(3, 1, 1, sha256(&good.spki))]);
    assert!(unmet(&good, zone).await.contains("no signed TLSA records"));
}

/// [7672-2.1.2]
#[tokio::test]
async fn records_that_cannot_be_had_are_not_taken_for_absent() {
    let good = Authority::new("top").issue(&[HOST], Valid::Now);
    for error in [LookupError::Bogus("RRSIG".to_owned()), LookupError::Temporary("SERVFAIL".to_owned())] {
        let words = error.to_string();
        let why = unmet(&good, Zone::default().no_tlsa(HOST, error)).await;
        assert!(why.starts_with("450 4.7.0 the TLSA records at _") && why.contains(&words), "{why}");
    }
}

/// [7672-2.2.2] [7672-2.2-literal]
#[tokio::test]
async fn a_way_that_nobody_signed_is_not_gone() {
    let good = Authority::new("top").issue(&[HOST], Valid::Now);
    let records = || vec![tlsa(3, 1, 1, sha256(&good.spki))];
    let why = unmet(&good, Zone::unsigned().tlsa(HOST, records())).await;
    assert!(why.contains("dane needs DNSSEC"), "{why}");
    let world = World::new(Zone::default().tlsa(HOST, records()), std::path::Path::new("/nowhere"));
    let primary = Primary::start(Manner::Works, &good);
    let why = deferred(to_address(&primary, TlsPolicy::Dane), &world, &primary).await;
    assert!(why.contains("dane needs a host by its name"), "{why}");
    assert_eq!(primary.seen().len(), 0);
}

fn hop(bases: &[&str], references: &[&str]) -> Hop {
    let all = |names: &[&str]| names.iter().map(|name| domain(name)).collect();
    Hop {
        name: Some(domain("mx.example.org")),
        secure: true,
        tlsa_bases: all(bases),
        references: all(references),
        ..Hop::literal("127.0.0.1:2525".parse().unwrap(), None)
    }
}

async fn demanded(zone: Zone, references: &[&str]) -> Result<restante_delivery::Demand, String> {
    let parts = TlsParts {
        lookup: Arc::new(zone),
        fetch: Arc::new(NoWeb),
        file: None,
        clock: Arc::new(|| UnixMillis::EPOCH),
    };
    let delivery = DomainDelivery { tls: TlsPolicy::Dane, ..DomainDelivery::default() };
    let hop = hop(&["end.example.net", "mail.example.org"], references);
    let demand = TlsPolicies::new(parts).demand(&domain("example.org"), &delivery, &hop).await;
    demand.map_err(|unmet| unmet.to_string())
}

/// [7672-2.2.3] The host at the end of its aliases first, then the host itself; each with the port that is used.
#[tokio::test]
async fn the_first_base_with_signed_records_counts() {
    let records = vec![tlsa(3, 1, 1, [7; 32])];
    let end = Zone::default().tlsa("end.example.net", records.clone()).tlsa(HOST, records.clone());
    let shown = demanded(end, &[]).await.unwrap().to_string();
    assert_eq!(shown, "dane: TLSA 3 1 1 0707070707070707… at _2525._tcp.end.example.net");
    for none in [
        Zone::default().no_tlsa("end.example.net", LookupError::NoRecords),
        Zone::default().loose_tlsa("end.example.net", records.clone()),
    ] {
        let shown = demanded(none.tlsa(HOST, records.clone()), &[]).await.unwrap().to_string();
        assert!(shown.ends_with("at _2525._tcp.mail.example.org"), "{shown}");
    }
    // Trouble with the first is no leave to ask for the second.
    let trouble = Zone::default().no_tlsa("end.example.net", LookupError::Temporary("SERVFAIL".to_owned()));
    let why = demanded(trouble.tlsa(HOST, records), &[]).await.unwrap_err();
    assert!(why.starts_with("the TLSA records at _2525._tcp.end.example.net cannot be had"), "{why}");
    let why = demanded(Zone::default(), &[]).await.unwrap_err();
    let both = "_2525._tcp.end.example.net or _2525._tcp.mail.example.org";
    assert_eq!(why, format!("there are no signed TLSA records at {both}"));
}

/// [7672-3.2.2] [7672-8.1] The names that DANE-TA looks for, and the one that is asked for.
#[tokio::test]
async fn the_domain_whose_mail_it_is_may_stand_in_the_certificate() {
    let top = Authority::new("top");
    let zone = || Zone::default().tlsa("end.example.net", vec![tlsa(2, 0, 1, sha256(&top.der()))]);
    let demand = demanded(zone(), &["example.org", "real.example.net"]).await.unwrap();
    let policies = TlsPolicies::offline(Arc::new(|| UnixMillis::EPOCH));
    let client = policies.client(&demand, &restante_delivery::TlsTrust::default()).unwrap();
    let name = ServerName::try_from("end.example.net").unwrap();
    assert_eq!(*demand.name(), name);
    for good in ["end.example.net", "example.org", "real.example.net"] {
        let shown = top.issue(&[good], Valid::Now);
        assert!(crate::primary::shake(&shown, &client, name.clone()).await, "{good}");
    }
    for bad in ["mx.example.org", "mail.example.org", "other.example"] {
        let shown = top.issue(&[bad], Valid::Now);
        assert!(!crate::primary::shake(&shown, &client, name.clone()).await, "{bad}");
    }
}
