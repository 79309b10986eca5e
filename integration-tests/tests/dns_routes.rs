//! Routes by a real DNS: nsd with signed zones, asked directly and through unbound.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use restante_delivery::{
    DeliverySettings, DnsSettings, DomainDelivery, Exchange, Hop, Lookup, LookupError, Mx, NextHop, NoRoute,
    NoticeSettings, Route, SystemLookup, TlsPolicy, find_route,
};
use restante_integration_tests::{DNS_PEERS, Dns, Signing, Zone, have};
use restante_types::{Domain, DomainMap};

const TLSA: &str = "TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What every zone of the comparison holds.
const RECORDS: &str = "@ MX 10 mx1\n@ MX 20 mx2\n@ TXT \"v=x; \" \"y=z\"\nmx1 A 192.0.2.1\nmx1 AAAA 2001:db8::1\n\
    mx2 A 192.0.2.2\nonly.deep.below A 192.0.2.3\n*.wild A 192.0.2.4\n*.wildtlsa TLSA 3 1 1 \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nnull MX 0 .\n\
    _25._tcp.mx1 TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn asking(dns: &Dns, server: SocketAddr) -> SystemLookup {
    let settings = DnsSettings { servers: vec![server], trust_anchor: Some(dns.anchor()) };
    SystemLookup::with_settings(settings).unwrap()
}

/// Through the resolver, and directly.
fn both(dns: &Dns) -> [(&'static str, SystemLookup); 2] {
    [("unbound", asking(dns, dns.resolver())), ("nsd", asking(dns, dns.authority()))]
}

/// A top-level zone, and four zones below it with the same records.
fn signed_in_every_way() -> Vec<Zone> {
    vec![
        Zone::new("example", Signing::Nsec3, ""),
        Zone::new("nsec.example", Signing::Nsec, RECORDS),
        Zone::new("nsec3.example", Signing::Nsec3, RECORDS),
        Zone::new("optout.example", Signing::OptOut, RECORDS),
        Zone::new("iterated.example", Signing::Iterated(20), RECORDS),
    ]
}

const SIGNED: [&str; 4] = ["nsec.example", "nsec3.example", "optout.example", "iterated.example"];

#[tokio::test]
async fn what_a_signed_zone_holds_is_proven() {
    if !have("what_a_signed_zone_holds_is_proven", DNS_PEERS) {
        return;
    }
    let dns = Dns::start(&signed_in_every_way());
    for ((by, plain), zone) in both(&dns).iter().flat_map(|by| SIGNED.map(|zone| (by, zone))) {
        let proving = plain.proving().unwrap();
        let mx = proving.mx(&domain(zone)).await.unwrap();
        assert!(mx.secure && mx.first_secure, "{by} {zone}: {mx:?}");
        assert_eq!(mx.records.len(), 2, "{by} {zone}");
        let host = domain(&format!("mx1.{zone}"));
        let addresses = proving.addresses(&host).await.unwrap();
        assert!(addresses.secure, "{by} {zone}");
        assert_eq!(addresses.records.len(), 2);
        let tlsa = plain.tlsa(&host, 25).await.unwrap();
        assert!(tlsa.secure, "{by} {zone}");
        assert_eq!((tlsa.records[0].usage, tlsa.records[0].selector, tlsa.records[0].data.len()), (3, 1, 32));
        let text = proving.txt(&domain(zone)).await.unwrap();
        assert_eq!((text.records.as_slice(), text.secure), (["v=x; y=z".to_owned()].as_slice(), true));
        // What a wildcard gives is proven with the absence of anything nearer.
        let wild = proving.addresses(&domain(&format!("a.b.wild.{zone}"))).await.unwrap();
        assert_eq!((wild.records, wild.secure), (vec![ip("192.0.2.4")], true), "{by} {zone}");
        // Whoever does not ask for proof is told of none.
        assert!(!plain.mx(&domain(zone)).await.unwrap().secure);
    }
}

#[tokio::test]
async fn absence_is_proven_with_nsec_and_nsec3() {
    if !have("absence_is_proven_with_nsec_and_nsec3", DNS_PEERS) {
        return;
    }
    // [7672-2.1.1-denial]
    let dns = Dns::start(&signed_in_every_way());
    for ((by, plain), zone) in both(&dns).iter().flat_map(|by| SIGNED.map(|zone| (by, zone))) {
        let proving = plain.proving().unwrap();
        let under = |name: &str| domain(&format!("{name}.{zone}"));
        for nobody in ["gone", "zzz", "0", "gone.mx1", "a.b.c.d.gone", "other.deep.below"] {
            let found = proving.addresses(&under(nobody)).await;
            assert_eq!(found, Err(LookupError::NoName), "{by} {zone}: {nobody}");
            let found = plain.tlsa(&under(nobody), 25).await;
            assert_eq!(found, Err(LookupError::NoName), "{by} {zone}: TLSA of {nobody}");
        }
        assert_eq!(plain.tlsa(&under("mx1"), 26).await, Err(LookupError::NoName), "{by} {zone}");
        assert_eq!(plain.tlsa(&under("mx2"), 25).await, Err(LookupError::NoName), "{by} {zone}");
        assert_eq!(plain.tlsa(&domain(zone), 25).await, Err(LookupError::NoName), "{by} {zone}");
        for here in ["mx1", "deep.below", "below", "_tcp.mx1", "a.wild"] {
            let found = proving.mx(&under(here)).await;
            assert_eq!(found, Err(LookupError::NoRecords), "{by} {zone}: {here}");
        }
        assert_eq!(plain.tlsa(&under("a.wild"), 25).await, Err(LookupError::NoRecords), "{by} {zone}");
        assert_eq!(proving.addresses(&domain(zone)).await, Err(LookupError::NoRecords), "{by} {zone}");
    }
}

#[tokio::test]
async fn what_is_not_signed_is_known_to_be_not_signed() {
    if !have("what_is_not_signed_is_known_to_be_not_signed", DNS_PEERS) {
        return;
    }
    // [7672-2.1.1-insecure]
    let tlsa = format!("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx {TLSA}\n");
    let mut zones = Vec::new();
    for (parent, signing) in [("one", Signing::Nsec), ("two", Signing::Nsec3), ("three", Signing::OptOut)] {
        zones.push(Zone::new(parent, signing, ""));
        zones.push(Zone::new(&format!("unsigned.{parent}"), Signing::Unsigned, &tlsa));
        zones.push(Zone::new(&format!("island.{parent}"), Signing::Island, &tlsa));
        zones.push(Zone::new(&format!("sub.unsigned.{parent}"), Signing::Nsec, &tlsa));
    }
    let dns = Dns::start(&zones);
    for (by, plain) in &both(&dns) {
        let proving = plain.proving().unwrap();
        for zone in zones.iter().map(Zone::name).filter(|name| name.contains('.') && !name.contains("sub")) {
            let mx = proving.mx(&domain(zone)).await;
            assert!(mx.as_ref().is_ok_and(|mx| !mx.secure && !mx.first_secure), "{by} {zone}: {mx:?}");
            let host = domain(&format!("mx.{zone}"));
            let found = plain.tlsa(&host, 25).await;
            assert!(found.as_ref().is_ok_and(|tlsa| !tlsa.secure), "{by} {zone}: {found:?}");
            let absent = plain.tlsa(&host, 26).await;
            assert_eq!(absent, Err(LookupError::NoName), "{by} {zone}");
            let nothing = proving.mx(&host).await;
            assert_eq!(nothing, Err(LookupError::NoRecords), "{by} {zone}");
            // A chain of trust that hangs in the air, below a zone that is not signed: the validator takes its DS records
            // for broken. That costs a delivery with proof, and never an unproven one.
            let hanging = proving.mx(&domain(&format!("sub.{zone}"))).await;
            let expected = zone.starts_with("unsigned");
            assert_eq!(matches!(hanging, Err(LookupError::Bogus(_))), expected, "{by} {zone}: {hanging:?}");
        }
    }
}

#[tokio::test]
async fn signatures_that_do_not_hold_are_bogus() {
    if !have("signatures_that_do_not_hold_are_bogus", DNS_PEERS) {
        return;
    }
    // [7672-2.1.1-bogus]
    let records = format!("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx {TLSA}\n");
    let dns = Dns::start(&[
        Zone::new("spoiled", Signing::Nsec, &records).spoiled("192.0.2.1", "192.0.2.66"),
        Zone::new("expired", Signing::Expired, &records),
        Zone::new("swapped", Signing::Nsec3, &records)
            .spoiled("0123456789abcdef0123", "ffffffffffffffffffff"),
    ]);
    for (by, plain) in &both(&dns) {
        let proving = plain.proving().unwrap();
        let is_bogus = |error: Option<LookupError>, what: &str| {
            assert!(matches!(error, Some(LookupError::Bogus(_))), "{by} {what}: {error:?}");
        };
        is_bogus(proving.addresses(&domain("mx.spoiled")).await.err(), "a changed address");
        assert!(proving.mx(&domain("spoiled")).await.is_ok(), "the rest of the zone is as it was");
        is_bogus(proving.mx(&domain("expired")).await.err(), "an old signature");
        is_bogus(plain.tlsa(&domain("mx.expired"), 25).await.err(), "an old signature of TLSA");
        is_bogus(plain.tlsa(&domain("mx.expired"), 26).await.err(), "an old denial");
        is_bogus(plain.tlsa(&domain("mx.swapped"), 25).await.err(), "a changed TLSA record");
    }
    // Who does not ask for proof gets what the server gives: unbound gives nothing.
    assert!(asking(&dns, dns.authority()).addresses(&domain("mx.spoiled")).await.is_ok());
    let refused = asking(&dns, dns.resolver()).addresses(&domain("mx.spoiled")).await;
    assert!(matches!(refused, Err(LookupError::Temporary(_))), "{refused:?}");
}

/// The policy `dane` for `example.org` and whatever is named, by MX.
fn settings(names: &[&str], tls: TlsPolicy) -> DeliverySettings {
    let mut domains = DomainMap::default();
    for name in names {
        domains.insert(domain(name), true, DomainDelivery { tls, ..DomainDelivery::default() });
    }
    DeliverySettings {
        hostname: domain("mx2.example.net"),
        own_addresses: Vec::new(),
        listeners: Vec::new(),
        source_addresses: Vec::new(),
        is_local: |_| false,
        notices: NoticeSettings::default(),
        domains,
    }
}

async fn route(dns: &Dns, name: &str, tls: TlsPolicy, primary: &str) -> Result<Route, NoRoute> {
    let lookup: Arc<dyn Lookup> = Arc::new(asking(dns, dns.resolver()));
    let primary: NextHop = primary.parse().unwrap();
    find_route(&lookup, &settings(&[name], tls), &domain(name), &primary).await
}

fn names(domains: &[Domain]) -> Vec<&str> {
    domains.iter().map(Domain::as_str).collect()
}

fn hop<'a>(route: &'a Route, name: &str) -> &'a Hop {
    route.hops.iter().find(|hop| hop.name.as_ref().is_some_and(|host| host.as_str() == name)).unwrap()
}

/// The zones of the example in RFC 7672 3.2.2, and a host whose alias leads out of what is signed.
fn aliases() -> Vec<Zone> {
    let com = "@ MX 10 mx10.example.com.\n@ MX 15 mx15.example.com.\n@ MX 20 mx20.example.com.\n\
        @ MX 25 mx25.example.com.\nmx10 A 192.0.2.10\nmx15 CNAME mxbackup\nmxbackup A 192.0.2.15\n\
        mx20 CNAME mxbackup.example.net.\nmx25 CNAME mx.unsigned.net.\n_25._tcp.mx10 CNAME tlsa201._dane\n";
    let com = format!("{com}tlsa201._dane {TLSA}\n");
    vec![
        Zone::new("org", Signing::Nsec, ""),
        Zone::new("example.org", Signing::Nsec, "exchange CNAME mail\nmail CNAME example.com.\n"),
        Zone::new("com", Signing::OptOut, ""),
        Zone::new("example.com", Signing::Nsec3, &com),
        Zone::new("net", Signing::OptOut, ""),
        Zone::new("example.net", Signing::Nsec3, "mxbackup A 198.51.100.20\n"),
        Zone::new("unsigned.net", Signing::Unsigned, "mx A 198.51.100.25\n"),
    ]
}

#[tokio::test]
async fn the_names_for_dane_follow_the_aliases_that_are_proven() {
    if !have("the_names_for_dane_follow_the_aliases_that_are_proven", DNS_PEERS) {
        return;
    }
    // [7672-2.2.2-cname] [7672-2.1.3-chain] [5321-5.1-cname]
    let dns = Dns::start(&aliases());
    let found = route(&dns, "exchange.example.org", TlsPolicy::Dane, "mx").await.unwrap();
    assert!(found.secure);
    let expected = [
        ("mx10.example.com", vec!["mx10.example.com"]),
        ("mx15.example.com", vec!["mxbackup.example.com", "mx15.example.com"]),
        ("mx20.example.com", vec!["mxbackup.example.net", "mx20.example.com"]),
        ("mx25.example.com", vec!["mx25.example.com"]),
    ];
    for (name, bases) in expected {
        let hop = hop(&found, name);
        assert!(hop.secure, "{name}");
        assert_eq!(names(&hop.tlsa_bases), bases, "{name}");
        assert_eq!(names(&hop.references), ["exchange.example.org", "example.com"], "{name}");
    }
    let lookup = asking(&dns, dns.resolver());
    let by_alias = lookup.tlsa(&domain("mx10.example.com"), 25).await.unwrap();
    assert!(by_alias.secure, "a TLSA record may stand behind an alias");
    // [7672-2.2.2-pinned] A pinned host is as good as a proven MX.
    let pinned = route(&dns, "example.org", TlsPolicy::Dane, "mx15.example.com:2525").await.unwrap();
    assert_eq!(names(&pinned.hops[0].tlsa_bases), ["mxbackup.example.com", "mx15.example.com"]);
    assert_eq!(names(&pinned.hops[0].references), ["mx15.example.com"]);
    // [7672-2.1.1-need] Nobody else's route depends on proof, or claims it.
    let plain = route(&dns, "exchange.example.org", TlsPolicy::Require, "mx").await.unwrap();
    assert!(!plain.secure && plain.hops.iter().all(|hop| !hop.secure && hop.tlsa_bases.is_empty()));
    assert_eq!(plain.hops.len(), 4);
}

#[tokio::test]
async fn the_trust_anchor_decides_what_is_proven() {
    if !have("the_trust_anchor_decides_what_is_proven", DNS_PEERS) {
        return;
    }
    let zones = [Zone::new("signed", Signing::Nsec, "@ MX 10 mx\nmx A 192.0.2.1\n")];
    let (dns, other) = (Dns::start(&zones), Dns::start(&zones));
    let mx = async |anchor| {
        let settings = DnsSettings { servers: vec![dns.resolver()], trust_anchor: anchor };
        let lookup = SystemLookup::with_settings(settings).unwrap();
        lookup.proving().unwrap().mx(&domain("signed")).await
    };
    assert!(mx(Some(dns.anchor())).await.unwrap().secure);
    assert!(mx(Some(dns.anchor_digest())).await.unwrap().secure, "a digest stands for its key");
    // By the keys of the real root nothing here is proven, nor by those of another.
    for anchor in [None, Some(other.anchor())] {
        let found = mx(anchor).await;
        assert!(matches!(found, Err(LookupError::Bogus(_))), "{found:?}");
    }
    let found = mx(Some(other.anchor_digest())).await;
    assert!(matches!(found, Err(LookupError::Temporary(_))), "{found:?}");
}

#[tokio::test]
async fn an_alias_by_dname_is_as_good_as_its_signature() {
    if !have("an_alias_by_dname_is_as_good_as_its_signature", DNS_PEERS) {
        return;
    }
    // [7672-2.1.3-dname]
    let records = "old DNAME new\nhost.new MX 10 mx\nhost.new A 192.0.2.8\nmx A 192.0.2.1\n";
    let dns = Dns::start(&[
        Zone::new("moved", Signing::Nsec, records),
        Zone::new("moved3", Signing::Nsec3, records),
        Zone::new("bare", Signing::Unsigned, records),
        Zone::new("spoiled", Signing::Nsec, records).spoiled("DNAME\tnew.", "DNAME\tother."),
    ]);
    for (by, plain) in &both(&dns) {
        let proving = plain.proving().unwrap();
        for (zone, secure) in [("moved", true), ("moved3", true), ("bare", false)] {
            let found = proving.mx(&domain(&format!("host.old.{zone}"))).await.unwrap();
            assert_eq!(found.name, domain(&format!("host.new.{zone}")), "{by}");
            assert_eq!((found.secure, found.first_secure), (secure, secure), "{by} {zone}");
        }
        let changed = proving.mx(&domain("host.old.spoiled")).await;
        assert!(matches!(changed, Err(LookupError::Bogus(_))), "{by}: {changed:?}");
        let gone = proving.mx(&domain("gone.old.moved")).await;
        assert_eq!(gone, Err(LookupError::NoName), "{by}");
    }
}

#[tokio::test]
async fn the_way_of_a_domain_is_proven_or_it_is_not() {
    if !have("the_way_of_a_domain_is_proven_or_it_is_not", DNS_PEERS) {
        return;
    }
    let dns = Dns::start(&[
        Zone::new("org", Signing::Nsec3, ""),
        Zone::new("signed.org", Signing::Nsec, "@ MX 10 mx\nmx A 192.0.2.1\nimplicit A 192.0.2.5\n"),
        Zone::new("mixed.org", Signing::Unsigned, "@ MX 10 mx.signed.org.\nimplicit A 192.0.2.6\n"),
        Zone::new("null.org", Signing::Nsec, "@ MX 0 .\n"),
        Zone::new("spoiled.org", Signing::Nsec, "@ MX 10 mx\nmx A 192.0.2.7\n").spoiled("MX\t10", "MX\t11"),
    ]);
    let dane = async |name| route(&dns, name, TlsPolicy::Dane, "mx").await;
    assert!(dane("signed.org").await.unwrap().hops[0].secure);
    // [7672-2.2.1] an unsigned MX leads to whom it likes
    let mixed = dane("mixed.org").await.unwrap();
    assert!(!mixed.secure && !mixed.hops[0].secure && mixed.hops[0].tlsa_bases.is_empty());
    // [5321-5.1-implicit] proven to have no MX records
    let implicit = dane("implicit.signed.org").await.unwrap();
    assert_eq!(names(&implicit.hops[0].tlsa_bases), ["implicit.signed.org"]);
    assert!(!dane("implicit.mixed.org").await.unwrap().hops[0].secure);
    // [7505-3]
    assert!(matches!(dane("null.org").await, Err(NoRoute::Misrouted(_))));
    // [5321-5.1-nxdomain] [7672-2.1.2-mx]
    for unknown in ["gone.org", "gone.signed.org", "spoiled.org"] {
        let found = dane(unknown).await;
        assert!(matches!(found, Err(NoRoute::Later(_))), "{unknown}: {found:?}");
    }
    let bogus = dane("spoiled.org").await.unwrap_err().to_string();
    assert!(bogus.contains("bogus") && bogus.contains("spoiled.org"), "{bogus}");
    let answer = asking(&dns, dns.authority()).mx(&domain("null.org")).await.unwrap();
    assert_eq!(answer.records, [Mx { preference: 0, exchange: Exchange::Null }]);
}
