//! Domains: what is configured and what is held, in one list.

use crate::support::{Bench, NOW, all, domain, refusal};
use restante_api::ErrorCode;
use restante_queue::{HoldKind, HoldOrder, LastDrain, QueueStore};
use restante_types::DeliveryState;

/// The keys that documents and scripts rely on.
const STATUS_KEYS: [&str; 9] =
    ["domain", "mode", "messages", "bytes", "oldest", "newest", "held", "next_attempt", "last_drain"];
const LAST_DRAIN_KEYS: [&str; 5] = ["at", "delivered", "deferred", "failed", "result"];

#[tokio::test]
async fn configured_and_held_domains_stand_side_by_side() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    bench.store.add("example.org", 2);
    bench.store.add("gone.example", 3);
    bench.store.add("below.push.example", 4);
    let parked = bench.store.add("example.com", 5);
    bench.store.state().entries.get_mut(&parked).unwrap().state = DeliveryState::Failed;
    // It had mail once and is not configured: nothing to see.
    bench.store.state().domains.entry(domain("empty.example")).or_default();
    let (domains, end) = all(bench.client.domains().await).await;
    let told: Vec<(&str, Option<&str>, u64)> = domains
        .iter()
        .map(|status| (status.domain.as_str(), status.mode.as_deref(), status.messages))
        .collect();
    assert_eq!(
        told,
        [
            ("below.push.example", Some("push"), 1),
            ("example.com", Some("on-demand"), 0),
            ("example.org", Some("on-demand"), 2),
            ("gone.example", None, 1),
            ("push.example", Some("push"), 0),
        ]
    );
    assert_eq!(end.domains, 5);
    assert_eq!(domains[1].parked[&DeliveryState::Failed], 1);
    assert_eq!(domains[2].bytes, 203);
    assert_eq!(domains[2].oldest.unwrap().to_string(), "2026-01-31T12:00:00.001Z");
}

#[tokio::test]
async fn thousands_of_domains_come_in_order_and_once() {
    let configured: Vec<_> = (0..1203).map(|number| domain(&format!("d{number:05}.example"))).collect();
    let bench = Bench::with(configured).await;
    for number in 0..700 {
        bench.store.add(&format!("d{:05}.example", number * 2 + 1), number);
    }
    let (domains, end) = all(bench.client.domains().await).await;
    let names: Vec<&str> = domains.iter().map(|status| status.domain.as_str()).collect();
    assert!(names.is_sorted_by(|a, b| a < b));
    // 1203 that are configured, and of 700 with mail those that are not: 1203, 1205, … 1399.
    assert_eq!((names.len(), end.domains), (1203 + 99, 1203 + 99));
    assert_eq!(domains.iter().map(|status| status.messages).sum::<u64>(), 700);
}

#[tokio::test]
async fn one_domain_or_a_helpful_word() {
    let bench = Bench::new().await;
    bench
        .store
        .hold_domain(&domain("example.org"), HoldOrder::new(HoldKind::Operator, "moving"))
        .await
        .unwrap();
    let status = bench.client.domain(&domain("example.org")).await.unwrap();
    let hold = status.hold.unwrap();
    assert_eq!((status.held, hold.kind.as_str(), hold.reason.as_str()), (true, "operator", "moving"));
    bench
        .store
        .hold_domain(&domain("example.com"), HoldOrder::new(HoldKind::Misrouted, "leads to us"))
        .await
        .unwrap();
    let status = bench.client.domain(&domain("example.com")).await.unwrap();
    assert_eq!((status.held, status.hold.unwrap().kind.as_str()), (false, "misrouted"));
    let (code, message) = refusal(bench.client.domain(&domain("nowhere.example")).await);
    assert_eq!(code, ErrorCode::NotFound);
    assert_eq!(
        message,
        "no such domain: nowhere.example; configured: example.com, example.org, push.example"
    );
}

#[tokio::test]
async fn the_keys_of_the_interface_are_there() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    let last =
        LastDrain { at: NOW, delivered: 1, deferred: 2, failed: 3, result: "delivered all".to_owned() };
    bench.store.state().domains.entry(domain("example.org")).or_default().last_drain = Some(last);
    let status = bench.client.domain(&domain("example.org")).await.unwrap();
    let object = serde_json::to_value(&status).unwrap();
    for key in STATUS_KEYS {
        assert!(object.get(key).is_some(), "{key} is missing in {object}");
    }
    for key in LAST_DRAIN_KEYS {
        assert!(object["last_drain"].get(key).is_some(), "{key} is missing in {object}");
    }
    assert_eq!(object["last_drain"]["at"], "2026-01-31T12:00:00Z");
    assert_eq!(object["held"], false);
    assert_eq!(object["next_attempt"], serde_json::Value::Null);
}
