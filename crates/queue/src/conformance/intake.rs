//! Mail comes in.

use restante_types::{DeliveryState, QueueId, UnixMillis};

use super::{START, Subject, domain, key, read_all};
use crate::{DrainCause, Filter, Scope, StoreError};

pub(super) async fn what_was_accepted_is_seen_at_once(subject: Subject) {
    for count in 1..=20 {
        let id = subject.accept(&["a@example.org"]).await;
        let started = subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap();
        assert_eq!((started.messages, started.running), (count, false));
        let entry = subject.store.get(&key("example.org", id)).await.unwrap();
        assert_eq!((entry.state, entry.arrived, entry.recipients.len()), (DeliveryState::Queued, START, 1));
        assert_eq!(entry.client.helo, "client.example");
        let lease = subject.lease("example.org").await;
        assert_eq!(subject.due(&lease, Scope::All).await.last(), Some(&id));
    }
    assert_eq!(subject.store.health().messages, 20);
}

pub(super) async fn content_comes_back_as_it_went_in(subject: Subject) {
    let large: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
    for content in [&b""[..], b"Subject: x\r\n\r\n.\r\n..\r\n", &large[..64 * 1024], &large] {
        let message = subject.message(&["a@example.org"], content).await;
        let id = subject.store.accept(message).await.unwrap().id();
        let entry = subject.store.get(&key("example.org", id)).await.unwrap();
        assert_eq!(entry.size, content.len() as u64);
        for _ in 0..2 {
            let reader = subject.store.open_content(&key("example.org", id)).await.unwrap();
            assert_eq!(reader.remaining(), content.len() as u64);
            assert!(read_all(reader).await == content, "{} octets", content.len());
        }
    }
    let none = subject.store.open_content(&key("example.com", QueueId::MAX)).await;
    assert!(matches!(none, Err(StoreError::NotFound)));
}

pub(super) async fn one_message_for_three_domains_is_three_entries(subject: Subject) {
    let id = subject.accept(&["a@one.example", "b@two.example", "c@one.example", "d@three.example"]).await;
    let entry = subject.store.get(&key("one.example", id)).await.unwrap();
    let addresses: Vec<_> = entry.recipients.iter().map(|recipient| recipient.mailbox.to_string()).collect();
    assert_eq!(addresses, ["a@one.example", "c@one.example"]);
    assert_eq!(entry.envelope.recipients.len(), 4);
    let page = subject.store.list(&Filter::default(), None, 10).await.unwrap();
    let domains: Vec<_> = page.entries.iter().map(|entry| entry.key.domain.to_string()).collect();
    assert_eq!(domains, ["one.example", "three.example", "two.example"]);
    for name in domains {
        assert_eq!(subject.waiting(&name), 1);
        let lease = subject.lease(&name).await;
        let work = subject.store.due(&lease, Scope::All, None, 9).await.unwrap().remove(0);
        let done = work.waiting.iter().map(|index| (*index, crate::Outcome::Delivered)).collect();
        subject.settle(&lease, id, done).await;
        assert_eq!(subject.waiting(&name), 0);
    }
    assert_eq!(subject.store.health().messages, 0);
}

pub(super) async fn a_repeated_accept_is_harmless(subject: Subject) {
    let first = subject.message(&["a@example.org"], b"once").await;
    let id = first.id;
    assert_eq!(subject.store.accept(first).await.unwrap().id(), id);
    for _ in 0..3 {
        let again = crate::NewMessage { id, ..subject.message(&["a@example.org"], b"once").await };
        assert_eq!(subject.store.accept(again).await.unwrap().id(), id);
    }
    assert_eq!(subject.waiting("example.org"), 1);
    let (one, two) = (
        subject.message(&["a@x.example"], b"twice").await,
        subject.message(&["a@x.example"], b"twice").await,
    );
    let two = crate::NewMessage { id: one.id, ..two };
    let (one, two) = tokio::join!(subject.store.accept(one), subject.store.accept(two));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(subject.waiting("x.example"), 1);
    let lease = subject.lease("x.example").await;
    assert_eq!(subject.due(&lease, Scope::All).await.len(), 1);
}

pub(super) async fn an_envelope_that_would_lose_a_recipient_is_refused(subject: Subject) {
    let mut unnamed = subject.message(&["a@example.org", "b@example.org"], b"x").await;
    unnamed.destinations[0].recipients.pop();
    assert!(subject.store.accept(unnamed).await.is_err());
    let mut beyond = subject.message(&["a@example.org"], b"x").await;
    beyond.destinations[0].recipients.push(1);
    assert!(subject.store.accept(beyond).await.is_err());
    let mut twice = subject.message(&["a@example.org"], b"x").await;
    let copy = twice.destinations[0].clone();
    twice.destinations.push(copy);
    assert!(subject.store.accept(twice).await.is_err());
    assert_eq!(subject.waiting("example.org"), 0);
}

pub(super) fn ids_grow(subject: Subject) {
    let times = [START.0, START.0 - 10_000_000, START.0 + 5, 0, START.0 + 5];
    let ids: Vec<_> = times.into_iter().map(|time| subject.store.mint(UnixMillis(time))).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

pub(super) async fn a_closed_store_is_unavailable(subject: Subject) {
    let id = subject.accept(&["a@example.org"]).await;
    let late = subject.message(&["a@example.org"], b"x").await;
    subject.store.close().await;
    subject.store.close().await;
    let unavailable = |error: StoreError| assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    unavailable(subject.store.accept(late).await.unwrap_err());
    unavailable(subject.store.ready_for_mail(1).unwrap_err());
    unavailable(subject.store.get(&key("example.org", id)).await.unwrap_err());
    unavailable(subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap_err());
    unavailable(subject.store.delete(&[key("example.org", id)], "x").await.unwrap_err());
    unavailable(subject.store.lease(&domain("example.org"), DrainCause::Etrn).await.unwrap_err());
}
