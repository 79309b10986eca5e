//! What failed, until somebody saw to it; and dead letters.

use std::time::Duration;

use bytes::Bytes;
use restante_types::{DeliveryState, QueueId, UnixMillis, Vouched};

use super::{START, Subject, deferred, domain, key, read_all, reply};
use crate::{Conclusion, DrainCause, EntryKey, Filter, LeaseAnswer, NewMessage, Outcome, Scope, StoreError};

fn failed() -> Outcome {
    Outcome::Failed { reply: reply(550) }
}

async fn unreported(subject: &Subject, after: Option<QueueId>, limit: usize) -> Vec<QueueId> {
    let found = subject.store.unreported(&domain("example.org"), after, limit).await.unwrap();
    found.into_iter().map(|entry| entry.key.id).collect()
}

async fn conclude(subject: &Subject, key: &EntryKey, recipients: &[u16], how: Conclusion) -> u64 {
    subject.store.conclude(key, recipients, how).await.unwrap()
}

pub(super) async fn what_is_known_of_a_message_is_told(subject: Subject) {
    let content = vec![b'c'; 300_000];
    for (vouched, content) in [(Vouched::Spf, &b"Subject: x\r\n\r\n"[..]), (Vouched::Dkim, &content)] {
        let message = subject.message(&["a@example.org"], content).await;
        let head = Bytes::from_static(b"Authentication-Results: example.com; spf=pass\r\n");
        let all = [&head[..], content].concat();
        let message = NewMessage { vouched, content: message.content.with_head(head), ..message };
        let (id, client) = (message.id, message.client.clone());
        subject.store.accept(message).await.unwrap();
        let entry = subject.store.get(&key("example.org", id)).await.unwrap();
        assert_eq!((entry.vouched, entry.size), (vouched, all.len() as u64));
        let lease = subject.lease("example.org").await;
        let work = subject.store.due(&lease, Scope::All, None, 9).await.unwrap().pop().unwrap();
        assert_eq!((work.vouched, work.size, &*work.client), (vouched, all.len() as u64, &client));
        let reader = subject.store.open_content(&key("example.org", id)).await.unwrap();
        assert_eq!(reader.remaining(), all.len() as u64);
        assert!(read_all(reader).await == all);
    }
}

pub(super) async fn what_failed_is_listed_until_it_is_concluded(subject: Subject) {
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(subject.accept(&["a@example.org", "b@example.org"]).await);
    }
    let keys: Vec<_> = ids.iter().map(|id| key("example.org", *id)).collect();
    assert!(unreported(&subject, None, 9).await.is_empty());
    let lease = subject.lease("example.org").await;
    for id in &ids[..3] {
        subject.settle(&lease, *id, vec![(0, failed()), (1, deferred(None))]).await;
    }
    subject.settle(&lease, ids[4], vec![(0, failed()), (1, failed())]).await;
    drop(lease);
    assert_eq!(unreported(&subject, None, 9).await, [ids[0], ids[1], ids[2], ids[4]]);
    assert_eq!(unreported(&subject, None, 2).await, ids[..2]);
    assert_eq!(unreported(&subject, Some(ids[1]), 9).await, [ids[2], ids[4]]);
    let entry = subject.store.unreported(&domain("example.org"), None, 1).await.unwrap().pop().unwrap();
    assert_eq!(entry.recipients[0].last_reply, Some(reply(550)));
    // Only what failed, and only those named.
    assert_eq!(conclude(&subject, &keys[0], &[0, 1, 7], Conclusion::Reported).await, 1);
    assert_eq!(conclude(&subject, &keys[0], &[0, 1, 7], Conclusion::Reported).await, 0);
    assert_eq!(conclude(&subject, &keys[3], &[0, 1], Conclusion::Dead).await, 0, "it waits");
    assert_eq!(conclude(&subject, &keys[1], &[0], Conclusion::Dead).await, 1);
    assert_eq!(conclude(&subject, &keys[1], &[0], Conclusion::Reported).await, 0, "dead is dead");
    assert_eq!(conclude(&subject, &key("nowhere.example", ids[0]), &[0], Conclusion::Dead).await, 0);
    subject.store.delete(&keys[2..3], "seen").await.unwrap();
    assert_eq!(conclude(&subject, &keys[2], &[0], Conclusion::Dead).await, 0, "it was deleted");
    assert_eq!(conclude(&subject, &keys[4], &[0, 1], Conclusion::Reported).await, 2);
    assert!(unreported(&subject, None, 9).await.is_empty());
    assert_eq!(subject.store.restore(&keys[2..3]).await.unwrap(), 1);
    assert_eq!(unreported(&subject, None, 9).await, [ids[2]]);
    // What waits beside them still waits.
    let lease = subject.lease("example.org").await;
    let work = subject.store.due(&lease, Scope::All, None, 9).await.unwrap();
    let waiting: Vec<_> = work.into_iter().map(|work| (work.id, work.waiting)).collect();
    let one = |place: usize| (ids[place], vec![1]);
    let both = |place: usize| (ids[place], vec![0, 1]);
    assert_eq!(waiting, [one(0), one(1), one(2), both(3), both(5)]);
    let gone = subject.store.get(&keys[4]).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "its last recipient was reported");
}

pub(super) async fn a_dead_letter_can_be_seen_sent_deleted_and_purged(subject: Subject) {
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(subject.accept_pushed(&format!("r{number}@example.org"), START).await);
    }
    let keys: Vec<_> = ids.iter().map(|id| key("example.org", *id)).collect();
    let lease = subject.lease("example.org").await;
    for id in &ids {
        subject.settle(&lease, *id, vec![(0, failed())]).await;
    }
    drop(lease);
    subject.clock.pass(Duration::from_secs(3600));
    for key in &keys {
        assert_eq!(conclude(&subject, key, &[0], Conclusion::Dead).await, 1);
    }
    let dead = Filter { states: vec![DeliveryState::Dead], ..Filter::default() };
    let listed = subject.store.list(&dead, None, 9).await.unwrap().entries;
    assert_eq!(listed.iter().map(|entry| entry.key.id).collect::<Vec<_>>(), ids);
    let stats = subject.store.stats(&domain("example.org"));
    assert_eq!((stats.messages, stats.parked), (0, [(DeliveryState::Dead, 3)].into()));
    assert!(!read_all(subject.store.open_content(&keys[0]).await.unwrap()).await.is_empty());
    // Released it is due at once, for it came with an attempt of our own.
    assert_eq!(subject.store.release(&keys[..1]).await.unwrap(), 1);
    let now = START.plus(Duration::from_secs(3600));
    assert_eq!(subject.store.domains_due(now, 9), [domain("example.org")]);
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::DueBy(now)).await, ids[..1]);
    subject.settle(&lease, ids[0], vec![(0, failed())]).await;
    assert_eq!(unreported(&subject, None, 9).await, ids[..1], "it failed again");
    assert_eq!(subject.store.delete(&keys[1..2], "spam").await.unwrap(), 1);
    assert_eq!(subject.store.restore(&keys[1..2]).await.unwrap(), 1);
    assert_eq!(subject.store.get(&keys[1]).await.unwrap().state, DeliveryState::Dead);
    // The grace counts from the conclusion, or from the restoration.
    let name = domain("example.org");
    assert_eq!(subject.store.purge(&name, START, now, 9).await.unwrap(), []);
    let later = UnixMillis(now.0 + 1);
    assert_eq!(subject.store.purge(&name, START, later, 9).await.unwrap(), keys);
}

pub(super) async fn what_is_stored_dead_is_sent_only_when_released(subject: Subject) {
    let mut message = subject.message(&["a@example.org", "b@example.com"], b"Subject: notice\r\n\r\n").await;
    for destination in &mut message.destinations {
        destination.first_attempt = Some(START);
    }
    message.destinations[0].dead = true;
    let id = message.id;
    subject.store.accept(message).await.unwrap();
    let (dead, goes) = (key("example.org", id), key("example.com", id));
    assert_eq!(subject.store.get(&dead).await.unwrap().state, DeliveryState::Dead);
    assert_eq!(subject.store.get(&goes).await.unwrap().state, DeliveryState::Queued);
    assert_eq!(subject.store.domains_due(UnixMillis::MAX, 9), [domain("example.com")]);
    assert_eq!(subject.store.stats(&domain("example.org")).parked, [(DeliveryState::Dead, 1)].into());
    assert!(unreported(&subject, None, 9).await.is_empty());
    assert_eq!(conclude(&subject, &dead, &[0], Conclusion::Reported).await, 0);
    let lease = subject.lease("example.org").await;
    assert!(subject.due(&lease, Scope::All).await.is_empty());
    drop(lease);
    // One that is sent from elsewhere is gone, and its copy may be handed in again for nothing.
    let other = subject.message(&["a@example.org"], b"Subject: kept\r\n\r\n").await;
    let mut other = NewMessage { id: id.derived(b"kept"), ..other };
    other.destinations[0].dead = true;
    let kept = key("example.org", subject.store.accept(other).await.unwrap().id());
    assert_eq!(conclude(&subject, &kept, &[0], Conclusion::Sent).await, 1);
    assert_eq!(conclude(&subject, &kept, &[0], Conclusion::Sent).await, 0);
    assert!(matches!(subject.store.get(&kept).await, Err(StoreError::NotFound)));
    assert_eq!(subject.store.stats(&domain("example.org")).parked, [(DeliveryState::Dead, 1)].into());
    assert_eq!(subject.store.release(&[dead]).await.unwrap(), 1);
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::DueBy(START)).await, [id]);
}

/// A notice is accepted, and then its original is concluded: a crash in between repeats the first step.
pub(super) async fn a_repeated_accept_stores_nothing_whatever_became_of_it(subject: Subject) {
    let original = subject.accept(&["a@example.com"]).await;
    let again = async |salt: &[u8]| {
        let message = subject.message(&["a@example.org"], b"Subject: notice\r\n\r\n").await;
        let message = NewMessage { id: original.derived(salt), ..message };
        subject.store.accept(message).await.unwrap().id()
    };
    let stored = || subject.store.health().messages;
    let [leased, delivered, dead, reported] =
        [again(b"leased").await, again(b"sent").await, again(b"dead").await, again(b"told").await];
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, delivered, vec![(0, Outcome::Delivered)]).await;
    subject.settle(&lease, dead, vec![(0, failed())]).await;
    subject.settle(&lease, reported, vec![(0, failed())]).await;
    conclude(&subject, &key("example.org", dead), &[0], Conclusion::Dead).await;
    conclude(&subject, &key("example.org", reported), &[0], Conclusion::Reported).await;
    assert_eq!(stored(), 3);
    for salt in [&b"leased"[..], b"sent", b"dead", b"told"] {
        assert_eq!(again(salt).await, original.derived(salt));
    }
    assert_eq!(stored(), 3, "nothing was stored again");
    assert_eq!(subject.due(&lease, Scope::All).await, [leased]);
    drop(lease);
    // A new one of the same millisecond is new.
    again(b"another").await;
    assert_eq!(stored(), 4);
}

pub(super) async fn what_was_delivered_under_a_lease_that_is_over_counts(subject: Subject) {
    let ids = [subject.accept(&["a@example.org"]).await, subject.accept(&["a@example.org"]).await];
    let name = domain("example.org");
    let mut leases = Vec::new();
    for _ in 0..2 {
        let LeaseAnswer::Leased(lease) = subject.store.lease(&name, DrainCause::Atrn).await.unwrap() else {
            panic!("an ATRN takes over")
        };
        leases.push(lease);
    }
    let settlements = [(ids[0], Outcome::Delivered), (ids[1], failed())]
        .map(|(id, outcome)| crate::Settlement { id, outcomes: vec![(0, outcome)] });
    let settled = subject.store.settle(&leases[0], settlements.into()).await;
    assert!(matches!(settled, Err(StoreError::Fenced)));
    assert_eq!(subject.due(&leases[1], Scope::All).await, [ids[1]], "only what was delivered was recorded");
}
