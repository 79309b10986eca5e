//! Hold, release, delete, restore, backup.

use crate::support::{Bench, all, domain, id, refusal};
use restante_api::{ApplyReport, BackupRequest, ChangeRequest, EntryFilter, ErrorCode};
use restante_queue::{QueueStore, StoreError};
use restante_types::DeliveryState;

fn by_domain(name: &str) -> ChangeRequest {
    let filter = EntryFilter { domains: vec![domain(name)], ..EntryFilter::default() };
    ChangeRequest { filter, reason: Some(" spam run ".to_owned()), ..ChangeRequest::default() }
}

fn counts(report: &ApplyReport) -> (u64, u64) {
    (report.matched, report.changed)
}

#[tokio::test]
async fn domains_are_held_and_released() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    let names = vec![domain("example.com"), domain("example.org")];
    let change =
        ChangeRequest { domains: names, reason: Some("moving".to_owned()), ..ChangeRequest::default() };
    let dry = ChangeRequest { dry_run: true, ..change.clone() };
    let (_, report) = all(bench.client.hold(&dry).await).await;
    assert_eq!((counts(&report), report.bytes), ((2, 0), 101));
    assert!(bench.store.held_domains().is_empty());
    let (_, report) = all(bench.client.hold(&change).await).await;
    assert_eq!(counts(&report), (2, 2));
    assert_eq!(bench.store.held_domains()[1].1.reason, "moving");
    let (_, report) = all(bench.client.release(&change).await).await;
    assert_eq!(counts(&report), (2, 2));
    let (_, report) = all(bench.client.release(&change).await).await;
    assert_eq!(counts(&report), (2, 0), "nothing was held any more");
}

#[tokio::test]
async fn a_slip_in_one_name_changes_nothing() {
    let bench = Bench::new().await;
    let domains = vec![domain("example.org"), domain("exmaple.org")];
    let change = ChangeRequest { domains, ..ChangeRequest::default() };
    let (code, message) = refusal(bench.client.hold(&change).await);
    assert_eq!(code, ErrorCode::NotFound);
    assert!(message.contains("exmaple.org; configured: example.com"), "{message}");
    assert!(bench.store.held_domains().is_empty());
}

#[tokio::test]
async fn a_filter_is_worked_off_in_batches() {
    let bench = Bench::new().await;
    for number in 0..1234 {
        bench.store.add("example.org", number);
    }
    bench.store.add("example.com", 5000);
    let (progress, report) = all(bench.client.hold(&by_domain("example.org")).await).await;
    assert_eq!(counts(&report), (1234, 1234));
    assert!(progress.len() > 1 && progress.is_sorted_by_key(|progress| progress.changed));
    let held =
        |bench: &Bench| bench.store.state().entries.values().filter(|entry| entry.held.is_some()).count();
    assert_eq!(held(&bench), 1234);
    let (_, report) = all(bench.client.release(&by_domain("example.org")).await).await;
    assert_eq!((counts(&report), held(&bench)), ((1234, 1234), 0));
}

#[tokio::test]
async fn what_comes_after_a_preview_is_not_deleted() {
    let bench = Bench::new().await;
    for number in 0..12 {
        bench.store.add("example.org", number);
    }
    let preview = ChangeRequest { dry_run: true, ..by_domain("example.org") };
    let (_, report) = all(bench.client.delete(&preview).await).await;
    assert_eq!((counts(&report), report.sample.len(), report.bytes), ((12, 0), 10, 12 * 100 + 66));
    assert_eq!(report.sample[0].id, id(0));
    assert!(bench.store.state().entries.values().all(|entry| entry.state.waits()));
    bench.store.add("example.org", 100);
    let confirmed = ChangeRequest { as_of: Some(report.as_of), ..by_domain("example.org") };
    let (_, report) = all(bench.client.delete(&confirmed).await).await;
    assert_eq!(counts(&report), (12, 12));
    let left: Vec<_> = {
        let state = bench.store.state();
        state.entries.values().filter(|entry| entry.state.waits()).map(|entry| entry.key.id).collect()
    };
    assert_eq!(left, [id(100)]);
    assert_eq!(bench.store.state().deletion_reasons, ["spam run"]);
}

#[tokio::test]
async fn deleted_entries_come_back_and_others_are_left_alone() {
    let bench = Bench::new().await;
    let failed = bench.store.add("example.org", 1);
    bench.store.state().entries.get_mut(&failed).unwrap().state = DeliveryState::Failed;
    bench.store.add("example.org", 2);
    let ids = |ids: Vec<_>| {
        let filter = EntryFilter { ids, ..EntryFilter::default() };
        ChangeRequest { filter, reason: Some("slip".to_owned()), ..ChangeRequest::default() }
    };
    all(bench.client.delete(&ids(vec![id(1)])).await).await;
    let (_, report) = all(bench.client.restore(&ids(vec![id(1), id(2)])).await).await;
    assert_eq!(counts(&report), (1, 1), "the other one was not deleted");
    assert_eq!(bench.store.state().entries[&failed].state, DeliveryState::Failed);
}

#[tokio::test]
async fn everything_has_to_be_asked_for() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    let nothing = ChangeRequest { reason: Some("why".to_owned()), ..ChangeRequest::default() };
    for outcome in [
        bench.client.hold(&nothing).await,
        bench.client.release(&nothing).await,
        bench.client.delete(&nothing).await,
        bench.client.restore(&nothing).await,
    ] {
        assert_eq!(refusal(outcome).0, ErrorCode::BadRequest);
    }
    let (_, report) = all(bench.client.delete(&ChangeRequest { all: true, ..nothing }).await).await;
    assert_eq!(counts(&report), (1, 1));
    let silent = ChangeRequest { reason: None, ..by_domain("example.org") };
    assert_eq!(refusal(bench.client.delete(&silent).await).0, ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_copy_is_made_where_it_was_asked_for() {
    let bench = Bench::new().await;
    bench.store.add("example.org", 1);
    let directory = bench.dir.path().join("copy");
    let (_, report) = all(bench.client.backup(&BackupRequest { directory: directory.clone() }).await).await;
    assert_eq!((report.messages, &report.directory), (1, &directory));
    assert_eq!(bench.store.state().backups, std::slice::from_ref(&directory));
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("old"), "").unwrap();
    let taken = bench.client.backup(&BackupRequest { directory: directory.clone() }).await;
    assert_eq!(refusal(taken).0, ErrorCode::Conflict);
    let taken = bench.client.backup(&BackupRequest { directory: directory.join("old") }).await;
    assert_eq!(refusal(taken).0, ErrorCode::Conflict);
    std::fs::remove_file(directory.join("old")).unwrap();
    let relative = bench.client.backup(&BackupRequest { directory: "copy".into() }).await;
    assert_eq!(refusal(relative).0, ErrorCode::BadRequest);
    bench.store.state().failing = Some(StoreError::Full);
    let mut stream = bench.client.backup(&BackupRequest { directory }).await.unwrap();
    let outcome = loop {
        match stream.next().await {
            Ok(restante_api::Streamed::Item(_)) => {}
            outcome => break outcome,
        }
    };
    assert_eq!(refusal(outcome).0, ErrorCode::Unavailable);
}
