//! The index lost, broken, old or behind: what the log knows comes back, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use restante_queue::conformance::{Subject, deferred, domain, key, read_all, reply};
use restante_queue::{
    DrainReport, EmbeddedStore, Entry, HoldKind, HoldOrder, LeaseAnswer, OpenError, Outcome, Scope,
    StoreError,
};
use restante_types::{DeliveryState, QueueId, UnixMillis};
use support::{abandon, all, close, copy_dir, open_at, options, until};

#[test]
fn probe_child() {
    support::probe_child();
}

/// Messages in every state; returns the ids, of which the first two wait.
async fn fill(subject: &Subject) -> Vec<QueueId> {
    let mut ids = Vec::new();
    for number in 0..8 {
        subject.clock.pass(Duration::from_secs(1));
        ids.push(
            subject.accept(&["a@example.org", "b@example.org", &format!("c{number}@example.com")]).await,
        );
    }
    let keys: Vec<_> = ids.iter().map(|id| key("example.org", *id)).collect();
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, ids[1], vec![(0, Outcome::Delivered), (1, deferred(None))]).await;
    subject.settle(&lease, ids[2], vec![(0, Outcome::Delivered), (1, Outcome::Delivered)]).await;
    let failed = || Outcome::Failed { reply: reply(550) };
    subject.settle(&lease, ids[3], vec![(0, failed()), (1, failed())]).await;
    let result = "as far as it went".to_owned();
    subject.store.end_lease(lease, DrainReport { result, ..DrainReport::default() }).await.unwrap();
    subject.store.hold(&keys[4..5], "evidence").await.unwrap();
    subject.store.delete(&keys[5..6], "spam").await.unwrap();
    subject.store.delete(&keys[3..4], "spam").await.unwrap();
    subject
        .store
        .hold_domain(&domain("example.com"), HoldOrder::new(HoldKind::Operator, "maintenance"))
        .await
        .unwrap();
    ids
}

/// What a rebuild keeps of an entry.
fn kept(entries: &[Entry]) -> Vec<(String, Vec<DeliveryState>, bool, u64, UnixMillis)> {
    let as_kept = |state| if state == DeliveryState::Deferred { DeliveryState::Queued } else { state };
    let one = |entry: &Entry| {
        let states = entry.recipients.iter().map(|recipient| as_kept(recipient.state)).collect();
        (format!("{:?}", entry.key), states, entry.held.is_some(), entry.size, entry.arrived)
    };
    entries.iter().map(one).collect()
}

async fn same_after(dir: &Path, subject: Subject, clean: bool, harm: impl FnOnce(&Path)) -> Subject {
    let before = all(&subject).await;
    let stats = subject.store.stats(&domain("example.org"));
    let clock = if clean { close(subject).await } else { abandon(subject).await };
    harm(dir);
    let subject = open_at(dir, clock).await;
    assert_eq!(kept(&all(&subject).await), kept(&before));
    let after = subject.store.stats(&domain("example.org"));
    assert_eq!(
        (after.messages, after.bytes, after.oldest, after.newest),
        (stats.messages, stats.bytes, stats.oldest, stats.newest)
    );
    assert_eq!(after.parked.values().sum::<u64>(), stats.parked.values().sum::<u64>());
    assert_eq!(after.last_drain, stats.last_drain);
    assert_eq!(subject.store.stats(&domain("example.com")).held.unwrap().reason, "maintenance");
    subject
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_order_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let ids = fill(&subject).await;
    let before = format!("{:?}", all(&subject).await);
    let subject = same_after(dir.path(), subject, true, |_| {}).await;
    assert_eq!(format!("{:?}", all(&subject).await), before, "attempts, replies and reasons too");
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [0, 1, 6, 7].map(|place: usize| ids[place]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_index_comes_back_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let ids = fill(&subject).await;
    let lose = |dir: &Path| fs::remove_dir_all(dir.join("index")).unwrap();
    let subject = same_after(dir.path(), subject, true, lose).await;
    let subject =
        same_after(dir.path(), subject, true, |dir| fs::remove_file(dir.join("checkpoint")).unwrap()).await;
    let keys = [key("example.org", ids[3])];
    assert_eq!(subject.store.restore(&keys).await.unwrap(), 1, "the grace starts again");
    assert_eq!(subject.store.get(&keys[0]).await.unwrap().state, DeliveryState::Failed);
    same_after(dir.path(), subject, false, lose).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_index_is_set_aside_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    fill(&subject).await;
    let spoil = |dir: &Path| {
        let path = dir.join("index/db");
        let mut file = fs::read(&path).unwrap();
        file.iter_mut().for_each(|octet| *octet = octet.wrapping_mul(31).wrapping_add(7));
        fs::write(&path, file).unwrap();
        for file in fs::read_dir(dir.join("index")).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
                fs::write(path, b"no snapshot").unwrap();
            }
        }
    };
    let subject = same_after(dir.path(), subject, false, spoil).await;
    assert!(dir.path().join("index.broken/db").exists());
    let no_file = |dir: &Path| fs::write(dir.join("index/conf"), [0xff; 64]).unwrap();
    let subject = same_after(dir.path(), subject, false, no_file).await;
    same_after(dir.path(), subject, false, |dir| {
        fs::write(dir.join("index/snap.00000000000000FF.generating"), b"half").unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_the_index_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    subject.accept(&["old@example.org"]).await;
    let clock = close(subject).await;
    copy_dir(&dir.path().join("index"), &dir.path().join("old-index"));
    let subject = open_at(dir.path(), clock).await;
    fill(&subject).await;
    let restore = |dir: &Path| {
        fs::remove_dir_all(dir.join("index")).unwrap();
        copy_dir(&dir.join("old-index"), &dir.join("index"));
    };
    let subject = same_after(dir.path(), subject, true, restore).await;
    assert!(dir.path().join("index.broken").exists());
    // So that the last checkpoint is behind the copy's after an unclean stop as well.
    let clock = close(subject).await;
    let subject = open_at(dir.path(), clock).await;
    same_after(dir.path(), subject, false, restore).await;
}

/// The index as it was at the last checkpoint, while the log went on: what a power cut leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_index_missed_is_found_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(subject.accept(&["a@example.org"]).await);
    }
    let clock = abandon(subject).await;
    let saved = dir.path().join("saved");
    fs::create_dir(&saved).unwrap();
    let subject = open_at(dir.path(), clock).await;
    let clock = abandon(subject).await;
    copy_dir(&dir.path().join("index"), &saved.join("index"));
    fs::copy(dir.path().join("checkpoint"), saved.join("checkpoint")).unwrap();
    let subject = open_at(dir.path(), clock).await;
    let keys: Vec<_> = ids.iter().map(|id| key("example.org", *id)).collect();
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, ids[0], vec![(0, Outcome::Delivered)]).await;
    subject.settle(&lease, ids[1], vec![(0, Outcome::Failed { reply: reply(550) })]).await;
    drop(lease);
    subject.store.delete(&keys[2..3], "x").await.unwrap();
    subject.store.hold(&keys[3..4], "x").await.unwrap();
    ids.push(subject.accept(&["a@example.org"]).await);
    let before = kept(&all(&subject).await);
    let clock = abandon(subject).await;
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    copy_dir(&saved, dir.path());
    let subject = open_at(dir.path(), clock).await;
    // At once, before the comparison: nothing that was done is taken for work.
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, ids[4..]);
    assert_eq!(
        subject.store.delete(&keys[0..1], "x").await.unwrap(),
        0,
        "what was delivered cannot be deleted"
    );
    until(|| subject.store.stats(&domain("example.org")).messages == 3).await;
    until(|| subject.store.health().messages == 6).await;
    assert_eq!(kept(&all(&subject).await), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_is_parked_and_the_rest_lives() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let mut ids = Vec::new();
    for name in ["first", "victim", "third"] {
        ids.push(subject.accept(&[&format!("{name}@example.org")]).await);
    }
    let clock = close(subject).await;
    flip(dir.path(), b"victim");
    let subject = open_at(dir.path(), clock).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [ids[0], ids[2]]);
    let stats = subject.store.stats(&domain("example.org"));
    assert_eq!((stats.messages, stats.parked.get(&DeliveryState::Damaged)), (2, Some(&1)));
    assert_eq!(subject.store.health().damaged, 1);
    assert_eq!(subject.store.get(&key("example.org", ids[1])).await.unwrap().state, DeliveryState::Damaged);
    let left = subject.store.open_content(&key("example.org", ids[1])).await.unwrap();
    assert!(read_all(left).await.starts_with(b"Subject: "), "what is left can be exported");
    drop(lease);
    // Found by the walk over the log as well, and not counted twice.
    let clock = abandon(subject).await;
    let subject = open_at(dir.path(), clock).await;
    until(|| subject.store.health().damaged == 1).await;
    assert_eq!(subject.store.stats(&domain("example.org")).messages, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_content_is_parked_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let message =
        subject.message(&["a@example.org"], b"Subject: x\r\n\r\nthe victim of a bad disk\r\n").await;
    let key = key("example.org", subject.store.accept(message).await.unwrap().id());
    let clock = close(subject).await;
    flip(dir.path(), b"the victim");
    let subject = open_at(dir.path(), clock).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [key.id], "its record is whole");
    let mut content = subject.store.open_content(&key).await.unwrap();
    assert!(matches!(content.next().await, Err(StoreError::Damaged(_))));
    until(|| subject.store.stats(&domain("example.org")).messages == 0).await;
    assert_eq!(subject.due(&lease, Scope::All).await, []);
    assert_eq!(subject.store.get(&key).await.unwrap().state, DeliveryState::Damaged);
    drop(lease);
    let clock = close(subject).await;
    let subject = open_at(dir.path(), clock).await;
    until(|| subject.store.health().damaged == 1).await;
    assert_eq!(
        subject.store.get(&key).await.unwrap().state,
        DeliveryState::Damaged,
        "it was looked at again"
    );
    let clock = close(subject).await;
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let subject = open_at(dir.path(), clock).await;
    let mut content = subject.store.open_content(&key).await.unwrap();
    assert!(matches!(content.next().await, Err(StoreError::Damaged(_))), "it is found out again");
    until(|| subject.store.stats(&domain("example.org")).messages == 0).await;
}

/// What could not be read for a time waits again after the next start, in the state that it had; what was deleted by
/// the operator meanwhile stays deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_again_waits_again() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let texts = ["first-victim", "second-victim", "third-victim", "fourth-victim"];
    let mut ids = Vec::new();
    // In the envelope of some, in the content of others.
    for (place, text) in texts.iter().enumerate() {
        let recipient =
            if place % 2 == 0 { format!("{text}@example.org") } else { "a@example.org".to_owned() };
        let content = if place % 2 == 0 { "Subject: x\r\n\r\n" } else { text };
        let message = subject.message(&[&recipient], content.as_bytes()).await;
        ids.push(subject.store.accept(message).await.unwrap().id());
    }
    let keys: Vec<_> = ids.iter().map(|id| key("example.org", *id)).collect();
    let damaged = async |subject: &Subject| {
        let mut found = Vec::new();
        for entry in all(subject).await {
            found.extend((entry.state == DeliveryState::Damaged).then_some(entry.key.id));
        }
        found
    };
    let clock = close(subject).await;
    texts.iter().for_each(|text| flip(dir.path(), text.as_bytes()));
    let subject = open_at(dir.path(), clock).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [ids[1], ids[3]]);
    for key in [&keys[1], &keys[3]] {
        let mut content = subject.store.open_content(key).await.unwrap();
        assert!(matches!(content.next().await, Err(StoreError::Damaged(_))));
    }
    until(|| subject.store.stats(&domain("example.org")).messages == 0).await;
    assert_eq!(damaged(&subject).await, ids);
    assert_eq!(subject.store.delete(&keys[3..], "x").await.unwrap(), 1);
    assert_eq!(subject.store.release(&keys[..1]).await.unwrap(), 0, "to release it does not mend it");
    drop(lease);
    let clock = close(subject).await;
    // One of them stays as it is.
    texts[1..].iter().for_each(|text| flip_back(dir.path(), text.as_bytes()));
    let subject = open_at(dir.path(), clock).await;
    until(|| subject.store.stats(&domain("example.org")).messages == 2).await;
    assert_eq!((damaged(&subject).await, subject.store.health().damaged), (vec![ids[0]], 1));
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, ids[1..3]);
    let content = read_all(subject.store.open_content(&keys[1]).await.unwrap()).await;
    assert_eq!(content, texts[1].as_bytes());
    assert_eq!(subject.store.get(&keys[3]).await.unwrap().state, DeliveryState::Deleted);
    subject.store.restore(&keys[3..]).await.unwrap();
    assert_eq!(subject.due(&lease, Scope::All).await, ids[1..]);
    drop(lease);
    // And so it is without the index.
    let clock = close(subject).await;
    flip_back(dir.path(), texts[0].as_bytes());
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let subject = open_at(dir.path(), clock).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, ids);
}

/// Flips a bit of this text in the log.
fn flip(dir: &Path, text: &[u8]) {
    let mut flipped = text.to_owned();
    flipped[0] ^= 1;
    assert!(replace(dir, text, &flipped), "it is there");
}

fn flip_back(dir: &Path, text: &[u8]) {
    let mut flipped = text.to_owned();
    flipped[0] ^= 1;
    assert!(replace(dir, &flipped, text), "it is there");
}

fn replace(dir: &Path, text: &[u8], other: &[u8]) -> bool {
    let mut found = false;
    for file in fs::read_dir(dir.join("log")).unwrap() {
        let path = file.unwrap().path();
        let mut segment = fs::read(&path).unwrap();
        if let Some(place) = segment.windows(text.len()).position(|window| window == text) {
            segment[place..place + text.len()].copy_from_slice(other);
            fs::write(&path, segment).unwrap();
            found = true;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_that_is_gone_parks_its_message_alone() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let message = subject.message(&["big@example.org"], &[b'x'; 400_000]).await;
    let big = subject.store.accept(message).await.unwrap().id();
    let small = subject.accept(&["a@example.org"]).await;
    let file = fs::read_dir(dir.path().join("large")).unwrap().next().unwrap().unwrap();
    fs::remove_file(file.path()).unwrap();
    let opened = subject.store.open_content(&key("example.org", big)).await;
    assert!(matches!(opened, Err(StoreError::Damaged(_))), "{opened:?}");
    let states: Vec<_> = all(&subject).await.iter().map(|entry| (entry.key.id, entry.state)).collect();
    assert_eq!(states, [(big, DeliveryState::Damaged), (small, DeliveryState::Queued)]);
    assert_eq!(subject.store.stats(&domain("example.org")).messages, 1, "it waits for nobody");
    // Nor is it tried again after a start.
    let subject = open_at(dir.path(), abandon(subject).await).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [small]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_copy_holds_everything_until_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let ids = fill(&subject).await;
    let large: Vec<u8> = (0..400_000u32).map(|n| (n * 7) as u8).collect();
    let message = subject.message(&["big@example.net"], &large).await;
    let big = subject.store.accept(message).await.unwrap().id();
    let copy = dir.path().join("copy");
    let copied = subject.store.backup(&copy).await.unwrap();
    assert_eq!(copied, 9);
    assert!(subject.store.backup(&copy).await.is_err(), "a copy is not written over");
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, ids[0], vec![(0, Outcome::Delivered), (1, Outcome::Delivered)]).await;

    let restored = open_at(&copy, Default::default()).await;
    assert_eq!(restored.store.held_domains().len(), 3);
    let name = domain("example.net");
    assert!(matches!(
        restored.store.lease(&name, restante_queue::DrainCause::Etrn).await.unwrap(),
        LeaseAnswer::Held
    ));
    let content = restored.store.open_content(&key("example.net", big)).await.unwrap();
    assert!(read_all(content).await == large);
    assert!(restored.store.release_domain(&name).await.unwrap());
    let restored = open_at(&copy, close(restored).await).await;
    assert_eq!(restored.store.held_domains().len(), 2, "a release is remembered");
    let lease = restored.lease("example.net").await;
    assert_eq!(restored.due(&lease, Scope::All).await, [big]);
    restored.store.release_domain(&domain("example.org")).await.unwrap();
    let lease = restored.lease("example.org").await;
    assert_eq!(
        restored.due(&lease, Scope::All).await.first(),
        Some(&ids[0]),
        "it is as it was when it was copied"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_stay_in_order_over_restarts_with_an_earlier_clock() {
    let dir = tempfile::tempdir().unwrap();
    let mut subject = open_at(dir.path(), Default::default()).await;
    let mut ids = Vec::new();
    for clean in [true, false, true, false] {
        ids.push(subject.accept(&["a@example.org"]).await);
        let lease = subject.lease("example.org").await;
        subject.settle(&lease, ids[ids.len() - 1], vec![(0, Outcome::Delivered)]).await;
        drop(lease);
        let clock = if clean { close(subject).await } else { abandon(subject).await };
        clock.set_wall(UnixMillis(1_700_000_000_000));
        subject = open_at(dir.path(), clock).await;
        ids.push(subject.store.mint(UnixMillis(1_600_000_000_000)));
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_store_per_directory() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let second = EmbeddedStore::open(options(dir.path(), &subject.clock));
    assert!(matches!(second, Err(OpenError::InUse(_))));
    let store = subject.store.clone();
    store.close().await;
    // The first one is closed but not dropped yet.
    open_at(dir.path(), Default::default()).await;
    fs::write(dir.path().join("domains.json"), b"{\"version\": 99}").unwrap();
    // A child that looks at another index holds a copy of the lock until it runs its own program.
    let end = Instant::now() + Duration::from_secs(10);
    let later = loop {
        match EmbeddedStore::open(options(dir.path(), &subject.clock)) {
            Err(OpenError::InUse(_)) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            opened => break opened,
        }
    };
    assert!(matches!(later, Err(OpenError::UnknownVersion { found: 99, .. })));
}
