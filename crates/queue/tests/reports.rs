//! What failed, dead letters, pauses and marks, over restarts, crashes and the loss of the index; and a segment that
//! somebody removed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use restante_queue::conformance::{Subject, domain, key, reply};
use restante_queue::{Conclusion, HoldKind, HoldOrder, NewMessage, Outcome, Scope};
use restante_types::{DeliveryState, QueueId};
use support::{abandon, all, close, copy_dir, open_at, until};

#[test]
fn probe_child() {
    support::probe_child();
}

async fn fail(subject: &Subject, ids: &[QueueId]) {
    let lease = subject.lease("example.org").await;
    for id in ids {
        subject.settle(&lease, *id, vec![(0, Outcome::Failed { reply: reply(550) })]).await;
    }
}

async fn conclude(subject: &Subject, id: QueueId, how: Conclusion) {
    assert_eq!(subject.store.conclude(&key("example.org", id), &[0], how).await.unwrap(), 1);
}

async fn unreported(subject: &Subject) -> Vec<QueueId> {
    let found = subject.store.unreported(&domain("example.org"), None, 99).await.unwrap();
    found.into_iter().map(|entry| entry.key.id).collect()
}

async fn states(subject: &Subject) -> Vec<(QueueId, DeliveryState)> {
    all(subject).await.into_iter().map(|entry| (entry.key.id, entry.state)).collect()
}

/// The index and the checkpoint as they are now, to be put back: what a loss of power leaves.
async fn save(dir: &Path, subject: Subject) -> Subject {
    let clock = abandon(subject).await;
    // A store that was just opened has made a checkpoint.
    let clock = abandon(open_at(dir, clock).await).await;
    fs::create_dir(dir.join("saved")).unwrap();
    copy_dir(&dir.join("index"), &dir.join("saved/index"));
    fs::copy(dir.join("checkpoint"), dir.join("saved/checkpoint")).unwrap();
    open_at(dir, clock).await
}

async fn go_back(dir: &Path, subject: Subject) -> Subject {
    let clock = abandon(subject).await;
    fs::remove_dir_all(dir.join("index")).unwrap();
    copy_dir(&dir.join("saved"), dir);
    open_at(dir, clock).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conclusions_survive_the_loss_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let mut subject = open_at(dir.path(), Default::default()).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(subject.accept(&["a@example.org"]).await);
    }
    let sent = subject.accept(&["a@example.org"]).await;
    fail(&subject, &[&ids[..3], &[sent]].concat()).await;
    conclude(&subject, ids[0], Conclusion::Reported).await;
    conclude(&subject, ids[1], Conclusion::Dead).await;
    conclude(&subject, sent, Conclusion::Dead).await;
    conclude(&subject, sent, Conclusion::Sent).await;
    let expected =
        vec![(ids[1], DeliveryState::Dead), (ids[2], DeliveryState::Failed), (ids[3], DeliveryState::Queued)];
    for (clean, lost) in [(true, false), (false, false), (true, true), (false, true)] {
        let clock = if clean { close(subject).await } else { abandon(subject).await };
        if lost {
            fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        subject = open_at(dir.path(), clock).await;
        assert_eq!(states(&subject).await, expected, "clean {clean}, lost {lost}");
        assert_eq!(unreported(&subject).await, ids[2..3]);
        let stats = subject.store.stats(&domain("example.org"));
        assert_eq!((stats.messages, stats.parked.values().sum::<u64>()), (1, 2));
    }
    // What was read back can be let go, and its time to be kept began with the rebuild.
    let name = domain("example.org");
    let wall = restante_queue::Clock::wall(&*subject.clock);
    assert!(subject.store.purge(&name, wall, wall, 9).await.unwrap().is_empty());
    subject.store.hold(&[key("example.org", ids[1])], "evidence").await.unwrap();
    let later = restante_types::UnixMillis(wall.0 + 1);
    assert_eq!(subject.store.purge(&name, wall, later, 9).await.unwrap(), [key("example.org", ids[2])]);
    assert_eq!(subject.store.release(&[key("example.org", ids[1])]).await.unwrap(), 1);
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [ids[1], ids[3]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_twice_because_the_index_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let ids = [subject.accept(&["a@example.org"]).await, subject.accept(&["a@example.org"]).await];
    fail(&subject, &ids).await;
    let subject = save(dir.path(), subject).await;
    conclude(&subject, ids[0], Conclusion::Reported).await;
    let notice = async |subject: &Subject, salt: &[u8]| {
        let message = subject.message(&["s@example.net"], b"Subject: notice\r\n\r\n").await;
        subject.store.accept(NewMessage { id: ids[1].derived(salt), ..message }).await.unwrap().id()
    };
    // One notice was delivered before its original could be concluded, another one waits.
    let sent = notice(&subject, b"failed").await;
    let lease = subject.lease("example.net").await;
    subject.settle(&lease, sent, vec![(0, Outcome::Delivered)]).await;
    drop(lease);
    let waits = notice(&subject, b"delayed").await;
    let mut subject = go_back(dir.path(), subject).await;
    assert_eq!(unreported(&subject).await, ids[1..], "at once, before the comparison");
    for clean in [false, true, false, true, false] {
        assert_eq!((notice(&subject, b"failed").await, notice(&subject, b"delayed").await), (sent, waits));
        let lease = subject.lease("example.net").await;
        assert_eq!(subject.due(&lease, Scope::All).await, [waits], "nothing was stored again");
        drop(lease);
        let clock = if clean { close(subject).await } else { abandon(subject).await };
        subject = open_at(dir.path(), clock).await;
    }
    // Not even the loss of the index makes it new, as long as its record is there.
    let clock = close(subject).await;
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let subject = open_at(dir.path(), clock).await;
    notice(&subject, b"failed").await;
    let lease = subject.lease("example.net").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [waits]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_pauses_and_marks_survive_being_killed() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let name = domain("example.org");
    let id = subject.accept(&["a@example.org"]).await;
    let order = HoldOrder {
        until: Some(restante_types::UnixMillis(id.minted().0 + 5)),
        pause_retention: true,
        ..HoldOrder::new(HoldKind::Circuit, "too many were refused")
    };
    subject.store.hold_domain(&name, order.clone()).await.unwrap();
    subject.clock.pass(Duration::from_secs(60));
    subject.store.hold_domain(&name, order).await.unwrap();
    subject.clock.pass(Duration::from_secs(60));
    subject.store.set_delay_mark(&name, id).await.unwrap();
    let before = subject.store.stats(&name);
    assert!(before.pauses.is_running());
    let subject = open_at(dir.path(), abandon(subject).await).await;
    let after = subject.store.stats(&name);
    assert_eq!((after.held, after.pauses), (before.held, before.pauses));
    assert_eq!(subject.store.delay_mark(&name), Some(id));
    let now = restante_queue::Clock::wall(&*subject.clock);
    assert_eq!(subject.store.holds_over(now), std::slice::from_ref(&name));
    subject.store.release_domain(&name).await.unwrap();
    let before = subject.store.stats(&name).pauses;
    let subject = open_at(dir.path(), abandon(subject).await).await;
    let pauses = subject.store.stats(&name).pauses;
    assert_eq!(pauses, before);
    let minute = Duration::from_secs(60);
    assert_eq!(pauses.expires(id.minted(), minute, now), id.minted().plus(3 * minute));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_copy_gets_no_older_before_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let subject = open_at(dir.path(), Default::default()).await;
    let (name, day) = (domain("example.org"), Duration::from_secs(24 * 3600));
    let id = subject.accept(&["a@example.org"]).await;
    let copy = dir.path().join("copy");
    subject.store.backup(&copy).await.unwrap();
    subject.clock.pass(30 * day);
    let restored = open_at(&copy, subject.clock.clone()).await;
    assert!(restored.store.release_domain(&name).await.unwrap());
    let now = restante_queue::Clock::wall(&*subject.clock);
    let cutoff = restored.store.stats(&name).pauses.cutoff(now, day);
    assert!(restored.store.expire(&name, cutoff, 9).await.unwrap().is_empty());
    assert_eq!(restored.store.stats(&name).pauses.expires(id.minted(), day, now), now.plus(day));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_removed_after_an_orderly_stop_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut subject = open_at(dir.path(), Default::default()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        // A new segment after each start.
        ids.push(subject.accept(&["a@example.org"]).await);
        subject = open_at(dir.path(), close(subject).await).await;
    }
    let clock = close(subject).await;
    let mut segments: Vec<_> =
        fs::read_dir(dir.path().join("log")).unwrap().map(|file| file.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    segments.sort();
    assert_eq!(segments.len(), 3);
    fs::remove_file(&segments[1]).unwrap();
    let subject = open_at(dir.path(), clock).await;
    until(|| subject.waiting("example.org") == 2).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [ids[0], ids[2]]);
    drop(lease);
    let subject = open_at(dir.path(), close(subject).await).await;
    assert_eq!(subject.waiting("example.org"), 2);
}
