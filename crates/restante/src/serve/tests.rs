//! What is looked at every minute, over a real store, and what delivery is told of a configuration.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use restante_delivery::{
    Circuit, DomainDelivery, ForwardClient, Mode, NextHop, Notices, On5xx, RetryList, Share, TlsPolicy,
    TlsTrust,
};
use restante_queue::conformance::message;
use restante_queue::{EmbeddedOptions, EmbeddedStore, HoldKind, HoldOrder, QueueStore};
use restante_types::{DeliveryState, Domain, DomainMap, ReversePath, UnixMillis};
use tempfile::TempDir;

use super::orphans;
use super::settings::{self, Policy};
use crate::config::{self, Machine};

const HOUR: Duration = Duration::from_secs(3600);

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

fn store() -> (TempDir, Arc<dyn QueueStore>) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedOptions::new(directory.path())).unwrap();
    (directory, Arc::new(store))
}

fn policies(names: &[&str]) -> DomainMap<Policy> {
    let mut map = DomainMap::default();
    for text in names {
        let policy = Policy { mode: Mode::OnDemand, retention: 24 * HOUR };
        map.insert(name(text), true, policy);
    }
    map
}

async fn put(store: &dyn QueueStore, domain: &str, now: UnixMillis) {
    let mut message = message(store, now, &[&format!("a@{domain}")], b"Subject: x\r\n\r\nx\r\n").await;
    message.envelope.sender = ReversePath::Null;
    store.accept(message).await.unwrap();
}

#[tokio::test]
async fn queues_that_no_domain_covers_are_stopped_and_others_are_not() {
    let (_directory, store) = store();
    let now = UnixMillis::from(SystemTime::now());
    for domain in ["example.org", "sub.example.org", "gone.example"] {
        put(&*store, domain, now).await;
    }
    orphans::hold(&*store, &policies(&["example.org"]), &[name("empty.example")]).await;
    let held: Vec<(String, HoldKind)> =
        store.held_domains().into_iter().map(|(domain, note)| (domain.to_string(), note.kind)).collect();
    let orphaned = |text: &str| (text.to_owned(), HoldKind::Orphaned);
    assert_eq!(held, [orphaned("empty.example"), orphaned("gone.example")]);
    let page = store.list(&restante_queue::Filter::default(), None, 10).await.unwrap();
    let states: Vec<(&str, DeliveryState)> =
        page.entries.iter().map(|entry| (entry.key.domain.as_str(), entry.state)).collect();
    assert!(states.contains(&("gone.example", DeliveryState::Orphaned)), "{states:?}");
    store.close().await;
}

#[tokio::test]
async fn an_operators_stop_stays_the_operators() {
    let (_directory, store) = store();
    let domain = name("gone.example");
    store.hold_domain(&domain, HoldOrder::new(HoldKind::Operator, "moving")).await.unwrap();
    orphans::hold(&*store, &policies(&[]), std::slice::from_ref(&domain)).await;
    let note = store.stats(&domain).held.unwrap();
    assert_eq!((note.kind, note.reason.as_str()), (HoldKind::Operator, "moving"));
    store.close().await;
}

#[tokio::test]
async fn what_is_forgotten_without_mail_is_new_when_it_comes_back() {
    let (_directory, store) = store();
    put(&*store, "full.example", SystemTime::now().into()).await;
    let gone = [name("empty.example"), name("full.example")];
    orphans::hold(&*store, &policies(&[]), &gone).await;
    orphans::forget(&*store, &gone).await;
    assert!(store.stats(&gone[0]).held.is_none());
    assert!(store.stats(&gone[1]).held.is_some(), "its mail still waits for the operator");
    store.close().await;
}

/// No value is that of another key or a default, so that no key can stand for another.
const EVERY_KEY: &str = r#"
own-addresses = ["192.0.2.77", "2001:db8::77"]
[tls]
self-signed = true
[[listen]]
address = "127.0.0.1:2500"
[[listen]]
address = "127.0.0.1:2501"
[[domain]]
name = "example.org"
mode = "push"
primary = "mail.inside.example:2626"
tls-policy = "verify"
tls-ca = "DIR/ca.pem"
tls-name = "shown.inside.example"
tls-fingerprint = ["sha256:abababababababababababababababababababababababababababababababab"]
tls-certificate = "DIR/own.pem"
tls-key = "DIR/own.key"
source-address = ["127.0.0.9", "::1"]
resolver = ["127.0.0.1:5300"]
forward-client = "xforward"
retention = "3d"
retry = ["7m", "9m"]
delay-notice = "4h"
notices = "all"
on-5xx = "hold"
canary = false
rate = "60/m"
circuit = ["2/7", "3/30"]
connections = 3
parked-retention = "5d"
"#;

#[test]
fn every_key_of_a_domain_reaches_delivery() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["ca.pem", "own.pem", "own.key"] {
        std::fs::write(at(name), "").unwrap();
    }
    let text = EVERY_KEY.replace("DIR", directory.path().to_str().unwrap());
    std::fs::write(at("restante.toml"), text).unwrap();
    let machine = Machine { hostname: Some("mx2.example.net".into()), is_local: |_| false };
    let (config, report) = config::load(&at("restante.toml"), &machine);
    let told = settings::delivery(&config.unwrap_or_else(|| panic!("{report}")));
    assert_eq!(told.hostname, name("mx2.example.net"));
    assert_eq!(told.own_addresses, ["192.0.2.77", "2001:db8::77"].map(|own| own.parse::<IpAddr>().unwrap()));
    assert_eq!(
        told.listeners,
        ["127.0.0.1:2500", "127.0.0.1:2501"].map(|own| own.parse::<SocketAddr>().unwrap())
    );
    let share = |refused, of| Some(Share { refused, of });
    let expected = DomainDelivery {
        mode: Mode::Push,
        primary: NextHop::Host { name: name("mail.inside.example"), port: 2626 },
        source_addresses: vec!["127.0.0.9".parse().unwrap(), "::1".parse().unwrap()],
        resolvers: vec!["127.0.0.1:5300".parse().unwrap()],
        tls: TlsPolicy::Verify,
        trust: TlsTrust {
            authorities: Some(at("ca.pem")),
            name: Some(name("shown.inside.example")),
            fingerprints: [[0xab; 32]].into(),
            shown: Some((at("own.pem"), at("own.key"))),
        },
        forward_client: ForwardClient::Xforward,
        retention: 72 * HOUR,
        retry: RetryList::new([7, 9].map(|minutes| Duration::from_secs(minutes * 60)).into()).unwrap(),
        connections: 3,
        parked_retention: 120 * HOUR,
        delay_notice: Some(4 * HOUR),
        notices: Notices::All,
        on_5xx: On5xx::Hold,
        canary: false,
        rate: NonZeroU32::new(60),
        circuit: Circuit { first: share(2, 7), steady: share(3, 30) },
    };
    assert_eq!(told.domains.find(&name("example.org")).unwrap().1, &expected);
}
