//! What is looked at every minute, over a real store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use restante_delivery::Mode;
use restante_queue::conformance::message;
use restante_queue::{EmbeddedOptions, EmbeddedStore, HoldKind, HoldOrder, QueueStore};
use restante_types::{DeliveryState, Domain, DomainMap, ReversePath, UnixMillis};
use tempfile::TempDir;

use super::orphans;
use super::settings::Policy;

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
