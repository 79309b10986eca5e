//! What we try on our own.

use std::time::Duration;

use restante_types::DeliveryState;

use super::{START, Subject, deferred, domain, key};
use crate::{DrainCause, DrainReport, HoldKind, HoldOrder, Outcome, Scope};

const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn due_domains_come_in_time(subject: Subject) {
    assert_eq!(subject.store.next_due(), None);
    subject.accept(&["a@ondemand.example"]).await;
    subject.accept_pushed("a@b.example", START.plus(2 * MINUTE)).await;
    subject.accept_pushed("a@a.example", START.plus(3 * MINUTE)).await;
    let due = |minutes| subject.store.domains_due(START.plus(minutes * MINUTE), 10);
    assert_eq!(subject.store.next_due(), Some(START.plus(2 * MINUTE)));
    assert_eq!(due(1), []);
    assert_eq!(due(2), [domain("b.example")]);
    assert_eq!(due(3), [domain("b.example"), domain("a.example")]);
    assert_eq!(subject.store.domains_due(START.plus(9 * MINUTE), 1), [domain("b.example")]);
    let lease = subject.lease("b.example").await;
    assert_eq!(due(3), [domain("a.example")]);
    let not_before = Some(START.plus(10 * MINUTE));
    let report = DrainReport { result: "connection refused".to_owned(), not_before, misrouted: false };
    subject.store.end_lease(lease, report).await.unwrap();
    assert_eq!(due(9), [domain("a.example")]);
    assert_eq!(due(10), [domain("a.example"), domain("b.example")]);
    assert_eq!(subject.store.stats(&domain("b.example")).next_attempt, not_before);
    subject.store.hold_domain(&domain("a.example"), HoldOrder::new(HoldKind::Operator, "x")).await.unwrap();
    assert_eq!(due(10), [domain("b.example")]);
    subject.store.release_domain(&domain("a.example")).await.unwrap();
    assert_eq!(due(9), [domain("a.example")]);
}

pub(super) async fn notices_crowd_out_no_held_domain(subject: Subject) {
    let notices = |number: usize| format!("v@n{number}.example.notices.invalid");
    for number in 0..5 {
        subject.accept_pushed(&notices(number), START).await;
    }
    assert_eq!(subject.store.next_due(), Some(START));
    subject.accept_pushed("a@a.example", START.plus(2 * MINUTE)).await;
    subject.accept_pushed("a@b.example", START.plus(MINUTE)).await;
    let due = |limit| -> Vec<String> {
        let due = subject.store.domains_due(START.plus(9 * MINUTE), limit);
        due.iter().map(ToString::to_string).collect()
    };
    assert_eq!(due(1), ["b.example", "n0.example.notices.invalid"]);
    assert_eq!(due(3)[..3], ["b.example", "a.example", "n0.example.notices.invalid"]);
    assert_eq!(due(9).len(), 7);
    let lease = subject.lease("n0.example.notices.invalid").await;
    assert_eq!(due(1), ["b.example", "n1.example.notices.invalid"]);
    subject.store.end_lease(lease, DrainReport::default()).await.unwrap();
}

pub(super) async fn only_what_is_due_is_taken_on_schedule(subject: Subject) {
    let late = subject.accept_pushed("a@example.org", START.plus(9 * MINUTE)).await;
    let soon = subject.accept_pushed("a@example.org", START.plus(MINUTE)).await;
    let waits = subject.accept(&["a@example.org"]).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::DueBy(START)).await, []);
    assert_eq!(subject.due(&lease, Scope::DueBy(START.plus(MINUTE))).await, [soon]);
    assert_eq!(subject.due(&lease, Scope::DueBy(START.plus(9 * MINUTE))).await, [late, soon]);
    assert_eq!(subject.due(&lease, Scope::All).await, [late, soon, waits]);
    subject.settle(&lease, soon, vec![(0, deferred(Some(START.plus(5 * MINUTE))))]).await;
    assert_eq!(subject.due(&lease, Scope::DueBy(START.plus(4 * MINUTE))).await, []);
    assert_eq!(subject.due(&lease, Scope::DueBy(START.plus(5 * MINUTE))).await, [soon]);
    let entry = subject.store.get(&key("example.org", soon)).await.unwrap();
    assert_eq!(entry.next_attempt, Some(START.plus(5 * MINUTE)));
    assert_eq!(subject.store.stats(&domain("example.org")).next_attempt, Some(START.plus(5 * MINUTE)));
    subject.settle(&lease, soon, vec![(0, Outcome::Delivered)]).await;
    subject.settle(&lease, late, vec![(0, Outcome::Delivered)]).await;
    assert_eq!(subject.store.stats(&domain("example.org")).next_attempt, None);
    assert_eq!(subject.waiting("example.org"), 1);
}

pub(super) async fn resetting_forgets_the_retry_history(subject: Subject) {
    let pushed = subject.accept_pushed("a@example.org", START).await;
    let waits = subject.accept(&["a@example.org"]).await;
    let lease = subject.lease("example.org").await;
    for id in [pushed, waits] {
        subject.settle(&lease, id, vec![(0, deferred(Some(START.plus(60 * MINUTE))))]).await;
    }
    let not_before = Some(START.plus(60 * MINUTE));
    let report = DrainReport { result: String::new(), not_before, misrouted: false };
    subject.store.end_lease(lease, report).await.unwrap();
    assert_eq!(subject.store.domains_due(START.plus(MINUTE), 9), []);
    subject.store.reset_retries(&domain("example.org")).await.unwrap();
    assert_eq!(subject.store.domains_due(START.plus(MINUTE), 9), [domain("example.org")]);
    let lease = subject.lease("example.org").await;
    assert_eq!(
        subject.due(&lease, Scope::DueBy(START)).await,
        [pushed],
        "the other one waits to be asked for"
    );
    let work = subject.store.due(&lease, Scope::All, None, 9).await.unwrap();
    assert!(work.iter().all(|work| work.attempts == 0));
    let entry = subject.store.get(&key("example.org", pushed)).await.unwrap();
    assert_eq!((entry.state, entry.recipients[0].attempts), (DeliveryState::Deferred, 0));
}

pub(super) async fn new_mail_to_be_pushed_wakes_the_watcher(subject: Subject) {
    let mut watch = subject.store.watch();
    subject.accept(&["a@ondemand.example"]).await;
    subject.accept_pushed("a@later.example", START.plus(MINUTE)).await;
    assert!(watch.try_recv().is_err());
    subject.accept_pushed("a@example.org", START).await;
    subject.accept_pushed("a@example.org", START).await;
    let request = watch.try_recv().unwrap();
    assert_eq!((request.domain, request.cause), (domain("example.org"), DrainCause::Schedule));
    assert!(watch.try_recv().is_err());
    subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap();
    assert_eq!(watch.try_recv().unwrap().cause, DrainCause::Etrn, "whoever asks for everything is heard");
    subject.store.start_drain(&domain("example.org"), DrainCause::Schedule).unwrap();
    assert!(watch.try_recv().is_err());
    let lease = subject.lease("example.org").await;
    subject.accept_pushed("a@example.org", START).await;
    assert_eq!(subject.store.asked_again(&lease), Some(DrainCause::Schedule));
    subject.store.start_drain(&domain("example.org"), DrainCause::Etrn).unwrap();
    subject.accept_pushed("a@example.org", START).await;
    assert_eq!(subject.store.asked_again(&lease), Some(DrainCause::Etrn));
}
