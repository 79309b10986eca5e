//! Mail goes out.

use std::time::Duration;

use restante_types::DeliveryState;

use super::{START, Subject, deferred, domain, key, reply};
use crate::{
    DrainCause, DrainReport, HoldKind, HoldOrder, LeaseAnswer, Outcome, Scope, Settlement, StoreError,
};

pub(super) async fn a_drain_delivers_oldest_first_and_leaves_nothing(subject: Subject) {
    let mut ids = Vec::new();
    for _ in 0..50 {
        subject.clock.pass(Duration::from_secs(1));
        ids.push(subject.accept(&["a@example.org"]).await);
        subject.accept(&["a@example.com"]).await;
    }
    let lease = subject.lease("example.org").await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = subject.store.due(&lease, Scope::All, after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 7);
        after = Some(last.id);
        seen.extend(page.iter().map(|work| work.id));
        let delivered = |id| Settlement { id, outcomes: vec![(0, Outcome::Delivered)] };
        subject.store.settle(&lease, page.iter().map(|work| delivered(work.id)).collect()).await.unwrap();
        let stats = subject.store.stats(&domain("example.org"));
        let left = ids.len() - seen.len();
        assert_eq!(stats.messages, left as u64);
        assert_eq!(stats.oldest, (left > 0).then(|| START.plus(Duration::from_secs(seen.len() as u64 + 1))));
        assert_eq!(stats.draining.unwrap().delivered, seen.len() as u64);
    }
    assert_eq!(seen, ids);
    let stats = subject.store.stats(&domain("example.org"));
    assert_eq!((stats.messages, stats.bytes, stats.oldest, stats.newest), (0, 0, None, None));
    assert!(matches!(subject.store.get(&key("example.org", ids[0])).await, Err(StoreError::NotFound)));
    assert_eq!(subject.waiting("example.com"), 50);
}

pub(super) async fn each_recipient_has_its_own_outcome(subject: Subject) {
    let id = subject.accept(&["a@example.org", "b@example.org", "c@example.org"]).await;
    let lease = subject.lease("example.org").await;
    let failed = Outcome::Failed { reply: reply(550) };
    subject.settle(&lease, id, vec![(0, Outcome::Delivered), (1, deferred(None)), (2, failed)]).await;
    let work = subject.store.due(&lease, Scope::All, None, 9).await.unwrap();
    assert_eq!((work.len(), &work[0].waiting[..], work[0].attempts), (1, &[1][..], 1));
    let entry = subject.store.get(&key("example.org", id)).await.unwrap();
    let states: Vec<_> = entry.recipients.iter().map(|recipient| recipient.state).collect();
    assert_eq!(states, [DeliveryState::Delivered, DeliveryState::Deferred, DeliveryState::Failed]);
    assert_eq!(entry.recipients[2].last_reply, Some(reply(550)));
    assert_eq!((entry.state, entry.recipients[1].attempts), (DeliveryState::Deferred, 1));
    subject.settle(&lease, id, vec![(1, Outcome::Delivered)]).await;
    let stats = subject.store.stats(&domain("example.org"));
    assert_eq!((stats.messages, stats.parked.get(&DeliveryState::Failed)), (0, Some(&1)));
    assert!(subject.due(&lease, Scope::All).await.is_empty());
}

pub(super) async fn one_lease_per_domain(subject: Subject) {
    subject.accept(&["a@example.org"]).await;
    let lease = subject.lease("example.org").await;
    let other = subject.lease("example.com").await;
    let busy = subject.store.lease(&domain("example.org"), DrainCause::Flush).await.unwrap();
    assert!(matches!(busy, LeaseAnswer::Busy));
    assert_eq!(subject.store.asked_again(&lease), Some(DrainCause::Flush));
    assert_eq!(subject.store.asked_again(&lease), None);
    let generation = lease.generation();
    drop((lease, other));
    assert!(subject.lease("example.org").await.generation() > generation);
}

pub(super) async fn a_request_during_a_drain_is_not_lost(subject: Subject) {
    subject.accept(&["a@example.org"]).await;
    let mut watch = subject.store.watch();
    let lease = subject.lease("example.org").await;
    let started = subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap();
    assert_eq!((started.messages, started.running), (1, true));
    assert!(watch.try_recv().is_err(), "the holder is told, not the watcher");
    // The holder ends without having looked: the request goes to the watcher.
    subject.store.end_lease(lease, DrainReport::default()).await.unwrap();
    assert_eq!(watch.try_recv().unwrap().cause, DrainCause::Etrn);
}

pub(super) async fn a_domain_stands_in_the_watch_once(subject: Subject) {
    subject.accept(&["a@example.org"]).await;
    subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap();
    let mut watch = subject.store.watch();
    for _ in 0..100 {
        let started = subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap();
        assert_eq!((started.messages, started.running), (1, false));
    }
    let empty = subject.store.start_drain(&domain("empty.example"), DrainCause::Etrn).unwrap();
    assert_eq!(empty.messages, 0);
    let request = watch.try_recv().unwrap();
    assert_eq!((request.domain, request.cause), (domain("example.org"), DrainCause::Etrn));
    assert!(watch.try_recv().is_err());
    drop(subject.lease("example.org").await);
    subject.store.start_drain(&domain("example.org"), DrainCause::Flush).unwrap();
    assert_eq!(watch.try_recv().unwrap().cause, DrainCause::Flush);
    subject.clock.pass(Duration::from_secs(3600));
    subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap();
    assert!(watch.try_recv().is_ok(), "a request that nobody followed does not block the domain for ever");
}

pub(super) async fn a_stop_fences_the_drain_but_not_what_it_delivered(subject: Subject) {
    let ids = [subject.accept(&["a@example.org"]).await, subject.accept(&["a@example.org"]).await];
    let lease = subject.lease("example.org").await;
    assert!(!subject.store.is_fenced(&lease));
    subject
        .store
        .hold_domain(&domain("example.org"), HoldOrder::new(HoldKind::Operator, "moving"))
        .await
        .unwrap();
    assert!(subject.store.is_fenced(&lease));
    assert!(matches!(subject.store.due(&lease, Scope::All, None, 9).await, Err(StoreError::Fenced)));
    subject.settle(&lease, ids[0], vec![(0, Outcome::Delivered)]).await;
    drop(lease);
    let held = subject.store.lease(&domain("example.org"), DrainCause::Etrn).await.unwrap();
    assert!(matches!(held, LeaseAnswer::Held));
    let mut watch = subject.store.watch();
    assert_eq!(subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap().messages, 1);
    assert!(watch.try_recv().is_err());
    assert_eq!(subject.store.held_domains()[0].1.reason, "moving");
    assert!(subject.store.release_domain(&domain("example.org")).await.unwrap());
    assert!(!subject.store.release_domain(&domain("example.org")).await.unwrap());
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [ids[1]]);
}

pub(super) async fn a_new_atrn_takes_over_the_earlier_one(subject: Subject) {
    let id = subject.accept(&["a@example.org"]).await;
    let name = domain("example.org");
    let LeaseAnswer::Leased(first) = subject.store.lease(&name, DrainCause::Atrn).await.unwrap() else {
        panic!()
    };
    let busy = subject.store.lease(&name, DrainCause::Etrn).await.unwrap();
    assert!(matches!(busy, LeaseAnswer::Busy), "anybody else waits");
    let LeaseAnswer::Leased(second) = subject.store.lease(&name, DrainCause::Atrn).await.unwrap() else {
        panic!()
    };
    assert!(subject.store.is_fenced(&first) && !subject.store.is_fenced(&second));
    let late = vec![Settlement { id, outcomes: vec![(0, deferred(None))] }];
    assert!(matches!(subject.store.settle(&first, late).await, Err(StoreError::Fenced)));
    let ended = subject.store.end_lease(first, DrainReport::default()).await;
    assert!(matches!(ended, Err(StoreError::Fenced)));
    assert!(!subject.store.is_fenced(&second), "the first one's end gives nothing back");
    assert_eq!(subject.due(&second, Scope::All).await, [id]);
}

pub(super) async fn a_drain_is_remembered(subject: Subject) {
    let ids = [subject.accept(&["a@example.org"]).await, subject.accept(&["a@example.org"]).await];
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, ids[0], vec![(0, Outcome::Delivered)]).await;
    subject.settle(&lease, ids[1], vec![(0, deferred(None))]).await;
    assert!(subject.store.stats(&domain("example.org")).draining.is_some());
    let report = DrainReport { result: "450 later".to_owned(), not_before: None, misrouted: false };
    subject.store.end_lease(lease, report).await.unwrap();
    let stats = subject.store.stats(&domain("example.org"));
    let last = stats.last_drain.unwrap();
    assert_eq!((last.delivered, last.deferred, last.failed, last.at), (1, 1, 0, START));
    assert_eq!((last.result.as_str(), stats.draining), ("450 later", None));
}
