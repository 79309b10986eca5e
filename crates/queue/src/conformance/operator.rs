//! The operator's hand, and the passing of time.

use std::time::Duration;

use restante_types::{DeliveryState, UnixMillis};

use super::{START, Subject, deferred, domain, key, reply};
use crate::{DrainReport, Filter, HoldKind, HoldOrder, Outcome, Scope};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn entries_are_held_and_released(subject: Subject) {
    let held = subject.accept(&["a@example.org"]).await;
    let goes = subject.accept(&["b@example.org"]).await;
    let keys = [key("example.org", held), key("nowhere.example", held)];
    assert_eq!(subject.store.hold(&keys, "look at it").await.unwrap(), 1);
    let entry = subject.store.get(&keys[0]).await.unwrap();
    assert_eq!((entry.state, entry.held.as_deref()), (DeliveryState::Queued, Some("look at it")));
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [goes]);
    let stats = subject.store.stats(&domain("example.org"));
    assert_eq!((stats.messages, stats.parked.values().sum::<u64>()), (1, 1));
    assert_eq!(subject.store.release(&keys).await.unwrap(), 1);
    assert_eq!(subject.store.release(&keys).await.unwrap(), 0);
    assert_eq!(subject.due(&lease, Scope::All).await, [held, goes]);
    subject.settle(&lease, goes, vec![(0, Outcome::Failed { reply: reply(550) })]).await;
    assert_eq!(subject.waiting("example.org"), 1);
    assert_eq!(subject.store.release(&[key("example.org", goes)]).await.unwrap(), 1);
    assert_eq!(subject.due(&lease, Scope::All).await, [held, goes]);
}

pub(super) async fn what_was_deleted_can_be_restored(subject: Subject) {
    let ids = [subject.accept(&["a@example.org"]).await, subject.accept(&["a@example.org"]).await];
    let keys = ids.map(|id| key("example.org", id));
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, ids[1], vec![(0, Outcome::Failed { reply: reply(550) })]).await;
    assert_eq!(subject.store.delete(&keys, "spam").await.unwrap(), 2);
    assert_eq!(subject.store.delete(&keys, "spam").await.unwrap(), 0);
    assert!(subject.due(&lease, Scope::All).await.is_empty());
    assert_eq!(subject.store.list(&Filter::default(), None, 9).await.unwrap().entries.len(), 0);
    let stats = subject.store.stats(&domain("example.org"));
    assert_eq!((stats.messages, stats.parked), (0, [(DeliveryState::Deleted, 2)].into()));
    // The drain had it in hand already: a deferral does not bring it back, a delivery is a delivery.
    subject.settle(&lease, ids[0], vec![(0, deferred(None))]).await;
    assert_eq!(subject.store.get(&keys[0]).await.unwrap().state, DeliveryState::Deleted);
    assert_eq!(subject.store.restore(&keys).await.unwrap(), 2);
    assert_eq!(subject.store.restore(&keys).await.unwrap(), 0);
    assert_eq!(subject.store.get(&keys[1]).await.unwrap().state, DeliveryState::Failed);
    assert_eq!(subject.due(&lease, Scope::All).await, [ids[0]]);
}

pub(super) async fn what_is_over_is_purged(subject: Subject) {
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(subject.accept(&["a@example.org"]).await);
    }
    let keys: Vec<_> = ids.iter().map(|id| key("example.org", *id)).collect();
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, ids[0], vec![(0, Outcome::Failed { reply: reply(550) })]).await;
    subject.store.delete(&keys[1..2], "spam").await.unwrap();
    subject.clock.pass(DAY);
    subject.store.delete(&keys[2..3], "spam").await.unwrap();
    let name = domain("example.org");
    let purge = |deleted: UnixMillis, parked, limit| subject.store.purge(&name, deleted, parked, limit);
    assert_eq!(purge(START, START, 9).await.unwrap(), []);
    assert_eq!(purge(START.plus(Duration::from_millis(1)), START, 9).await.unwrap(), keys[1..2]);
    assert_eq!(purge(UnixMillis::MAX, START.plus(DAY), 1).await.unwrap(), keys[2..3]);
    assert_eq!(purge(UnixMillis::MAX, START.plus(DAY), 1).await.unwrap(), keys[0..1]);
    assert_eq!(purge(UnixMillis::MAX, UnixMillis::MAX, 9).await.unwrap(), [], "what waits is not purged");
    assert_eq!(subject.store.restore(&keys).await.unwrap(), 0);
    assert_eq!((subject.waiting("example.org"), subject.store.health().messages), (1, 1));
}

pub(super) async fn old_mail_expires_and_is_parked(subject: Subject) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(subject.accept(&["a@example.org"]).await);
        subject.clock.pass(DAY);
    }
    let name = domain("example.org");
    subject.store.hold(&[key("example.org", ids[0])], "evidence").await.unwrap();
    let cutoff = START.plus(3 * DAY);
    subject.store.hold_domain(&name, HoldOrder::new(HoldKind::Operator, "maintenance")).await.unwrap();
    assert_eq!(
        subject.store.expire(&name, cutoff, 9).await.unwrap().len(),
        0,
        "a stopped domain's clock is stopped"
    );
    subject.store.release_domain(&name).await.unwrap();
    assert_eq!(subject.store.expire(&name, cutoff, 1).await.unwrap().len(), 1);
    assert_eq!(subject.store.expire(&name, cutoff, 9).await.unwrap().len(), 1);
    assert_eq!(subject.store.expire(&name, cutoff, 9).await.unwrap().len(), 0);
    let stats = subject.store.stats(&name);
    assert_eq!((stats.messages, stats.parked.get(&DeliveryState::Expired)), (2, Some(&2)));
    assert_eq!(stats.oldest, Some(START.plus(3 * DAY)));
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, ids[3..]);
    assert_eq!(subject.store.release(&[key("example.org", ids[1])]).await.unwrap(), 1);
    assert_eq!(subject.store.stats(&name).oldest, Some(START.plus(DAY)));
}

pub(super) async fn nothing_expires_while_the_clock_is_in_doubt(subject: Subject) {
    let name = domain("example.org");
    let id = subject.accept(&["a@example.org"]).await;
    assert!(!subject.store.health().clock_doubted);
    subject.clock.set_wall(START.plus(30 * DAY));
    assert_eq!(subject.store.expire(&name, START.plus(20 * DAY), 9).await.unwrap().len(), 0);
    assert!(subject.store.health().clock_doubted);
    subject.store.delete(&[key("example.org", id)], "x").await.unwrap();
    assert!(subject.store.purge(&name, UnixMillis::MAX, UnixMillis::MAX, 9).await.unwrap().is_empty());
    subject.store.restore(&[key("example.org", id)]).await.unwrap();
    for _ in 0..7 {
        subject.clock.pass(Duration::from_secs(600));
        subject.store.health();
    }
    assert!(!subject.store.health().clock_doubted);
    assert_eq!(subject.store.expire(&name, START.plus(20 * DAY), 9).await.unwrap().len(), 1);
}

pub(super) async fn a_misrouted_domain_shows_as_such(subject: Subject) {
    let id = subject.accept(&["a@example.org"]).await;
    let lease = subject.lease("example.org").await;
    let report = DrainReport { result: "leads to ourselves".to_owned(), not_before: None, misrouted: true };
    subject.store.end_lease(lease, report).await.unwrap();
    let note = subject.store.stats(&domain("example.org")).held.unwrap();
    assert_eq!((note.kind, note.reason.as_str()), (HoldKind::Misrouted, "leads to ourselves"));
    let entry = subject.store.get(&key("example.org", id)).await.unwrap();
    assert_eq!(
        (entry.state, entry.recipients[0].state),
        (DeliveryState::Misrouted, DeliveryState::Misrouted)
    );
    let filter = Filter { states: vec![DeliveryState::Misrouted], ..Filter::default() };
    assert_eq!(subject.store.list(&filter, None, 9).await.unwrap().entries.len(), 1);
    subject.store.release_domain(&domain("example.org")).await.unwrap();
    assert_eq!(subject.store.get(&key("example.org", id)).await.unwrap().state, DeliveryState::Queued);
}
