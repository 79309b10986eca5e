//! Entries: pages, filters, and the keys of the interface.

use crate::support::{Bench, all, domain, id, refusal};
use restante_api::{EntryFilter, ErrorCode, ListQuery};
use restante_queue::StoreError;
use restante_types::DeliveryState;

const ENTRY_KEYS: [&str; 11] = [
    "id",
    "domain",
    "sender",
    "recipients",
    "size",
    "arrived",
    "expires",
    "next_attempt",
    "state",
    "client",
    "helo",
];
const RECIPIENT_KEYS: [&str; 4] = ["address", "state", "attempts", "last_reply"];

fn query(filter: EntryFilter) -> ListQuery {
    ListQuery { filter, ..ListQuery::default() }
}

#[tokio::test]
async fn a_list_goes_over_many_pages_and_some_are_empty() {
    let bench = Bench::new().await;
    for number in 0..1234 {
        bench.store.add(if number % 2 == 0 { "example.com" } else { "example.org" }, number);
    }
    for page in [usize::MAX, 500, 7] {
        bench.store.state().page = page;
        let (entries, end) = all(bench.client.entries(&ListQuery::default()).await).await;
        assert_eq!((entries.len(), end.entries, end.next), (1234, 1234, None), "pages of {page}");
        assert!(entries.is_sorted_by_key(|entry| (entry.domain.clone(), entry.id)));
    }
    bench.store.state().page = 3;
    let filter = EntryFilter { ids: vec![id(1001)], ..EntryFilter::default() };
    let (entries, _) = all(bench.client.entries(&query(filter)).await).await;
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(1001)]);
}

#[tokio::test]
async fn a_limit_leaves_a_cursor_to_go_on_from() {
    let bench = Bench::new().await;
    for number in 0..25 {
        bench.store.add("example.org", number);
    }
    let mut query = ListQuery { limit: Some(10), ..ListQuery::default() };
    let mut sizes = Vec::new();
    let mut seen = Vec::new();
    loop {
        let (entries, end) = all(bench.client.entries(&query).await).await;
        sizes.push(entries.len());
        seen.extend(entries.into_iter().map(|entry| entry.id));
        query.after = end.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(seen, (0..25).map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_condition_reaches_the_store() {
    let bench = Bench::new().await;
    for number in 0..20 {
        bench.store.add(if number < 10 { "example.com" } else { "example.org" }, number);
    }
    let failed = bench.store.add("example.org", 20);
    bench.store.state().entries.get_mut(&failed).unwrap().state = DeliveryState::Failed;
    let numbers = async |filter: EntryFilter| {
        let (entries, _) = all(bench.client.entries(&query(filter)).await).await;
        entries.into_iter().map(|entry| entry.size - 100).collect::<Vec<_>>()
    };
    let none = EntryFilter::default;
    let time = |millis: u64| {
        Some(restante_api::timestamp(restante_types::UnixMillis(crate::support::NOW.0 + millis)))
    };
    assert_eq!(numbers(EntryFilter { domains: vec![domain("example.com")], ..none() }).await.len(), 10);
    assert_eq!(numbers(EntryFilter { ids: vec![id(3), id(12)], ..none() }).await, [3, 12]);
    assert_eq!(numbers(EntryFilter { from: Some("<>".to_owned()), ..none() }).await.len(), 11);
    assert_eq!(numbers(EntryFilter { from: Some("odd & <one>".to_owned()), ..none() }).await.len(), 10);
    assert_eq!(numbers(EntryFilter { to: Some("user7@".to_owned()), ..none() }).await, [7]);
    assert_eq!(numbers(EntryFilter { older_than: time(2), ..none() }).await, [0, 1]);
    assert_eq!(numbers(EntryFilter { younger_than: time(18), ..none() }).await, [19, 20]);
    assert_eq!(numbers(EntryFilter { larger: Some(118), ..none() }).await, [19, 20]);
    assert_eq!(numbers(EntryFilter { smaller: Some(102), ..none() }).await, [0, 1]);
    assert_eq!(numbers(EntryFilter { states: vec![DeliveryState::Failed], ..none() }).await, [20]);
}

#[tokio::test]
async fn the_keys_of_the_interface_are_there() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    let (entries, _) = all(bench.client.entries(&ListQuery::default()).await).await;
    let object = serde_json::to_value(&entries[0]).unwrap();
    for key in ENTRY_KEYS {
        assert!(object.get(key).is_some(), "{key} is missing in {object}");
    }
    for key in RECIPIENT_KEYS {
        assert!(object["recipients"][0].get(key).is_some(), "{key} is missing in {object}");
    }
    assert_eq!(object["sender"], "\"odd & <one>\"@example.net");
    assert_eq!(object["recipients"][0]["last_reply"], "450 4.2.1 later");
    assert_eq!(object["recipients"][0]["original"], "rfc822;old@example.net");
    assert_eq!(object["recipients"][0]["notify"], "NEVER");
    assert_eq!(object["arrived"], "2026-01-31T12:00:00.001Z");
    assert_eq!(object["expires"], "2026-02-14T12:00:00.001Z");
    assert_eq!(object["state"], "deferred");
    assert_eq!(object["client"], "192.0.2.7");
    assert_eq!(object["ret"], "HDRS");
}

#[tokio::test]
async fn what_does_not_wait_or_has_no_rule_does_not_expire() {
    let bench = Bench::new().await;
    let failed = bench.store.add("example.org", 1);
    bench.store.state().entries.get_mut(&failed).unwrap().state = DeliveryState::Failed;
    bench.store.add("gone.example", 2);
    let (entries, _) = all(bench.client.entries(&ListQuery::default()).await).await;
    assert!(entries.iter().all(|entry| entry.expires.is_none()));
}

#[tokio::test]
async fn nonsense_and_a_failing_store_are_told_apart() {
    let bench = Bench::new().await;
    let refused = |query: ListQuery| {
        let client = bench.client.clone();
        async move { refusal(client.entries(&query).await).0 }
    };
    assert_eq!(refused(ListQuery { limit: Some(0), ..ListQuery::default() }).await, ErrorCode::BadRequest);
    let bad = ListQuery { after: Some("nonsense".to_owned()), ..ListQuery::default() };
    assert_eq!(refused(bad).await, ErrorCode::BadRequest);
    let long = EntryFilter { from: Some("x".repeat(5000)), ..EntryFilter::default() };
    assert_eq!(refused(query(long)).await, ErrorCode::BadRequest);
    bench.store.state().failing = Some(StoreError::Unavailable("rebuilding".to_owned()));
    let mut stream = bench.client.entries(&ListQuery::default()).await.unwrap();
    let (code, message) = refusal(stream.next().await);
    assert_eq!((code, message.as_str()), (ErrorCode::Unavailable, "the store is unavailable: rebuilding"));
}
