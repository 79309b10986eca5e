//! Stops with an end, pauses of a domain's clock, and marks.

use std::time::Duration;

use restante_types::{Domain, QueueId, UnixMillis};

use super::{START, Subject, domain, key};
use crate::{Conclusion, HoldKind, HoldOrder, Outcome, Pauses, Scope};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn order(pause_retention: bool, until: Option<UnixMillis>) -> HoldOrder {
    HoldOrder { until, pause_retention, ..HoldOrder::new(HoldKind::Operator, "maintenance") }
}

pub(super) async fn a_stop_with_an_end_says_when_it_is_over(subject: Subject) {
    let end = START.plus(DAY);
    let (name, other) = (domain("example.org"), domain("example.com"));
    subject.store.hold_domain(&name, order(true, Some(end))).await.unwrap();
    subject.store.hold_domain(&other, order(true, None)).await.unwrap();
    let note = subject.store.stats(&name).held.unwrap();
    assert_eq!((note.until, note.pause_retention, note.since), (Some(end), true, START));
    assert!(subject.store.holds_over(UnixMillis(end.0 - 1)).is_empty());
    assert_eq!(subject.store.holds_over(end), std::slice::from_ref(&name));
    subject.store.release_domain(&name).await.unwrap();
    assert!(subject.store.holds_over(UnixMillis::MAX).is_empty());
    let circuit = HoldOrder::new(HoldKind::Circuit, "5 of the first 10 were refused");
    subject.store.hold_domain(&name, circuit).await.unwrap();
    assert_eq!(subject.store.stats(&name).held.unwrap().kind, HoldKind::Circuit);
    let id = subject.accept(&["a@example.org"]).await;
    let entry = subject.store.get(&key("example.org", id)).await.unwrap();
    assert!(entry.state.waits(), "it waits like that of any domain the operator stopped");
}

pub(super) async fn mail_gets_no_older_while_its_clock_stands_still(subject: Subject) {
    let name = domain("example.org");
    let first = subject.accept(&["a@example.org"]).await;
    let pauses = || subject.store.stats(&name).pauses;
    let cutoff = |now: UnixMillis| pauses().cutoff(now, 2 * DAY);
    assert_eq!(pauses(), Pauses::default());
    subject.clock.pass(DAY);
    subject.store.hold_domain(&name, order(true, None)).await.unwrap();
    subject.clock.pass(DAY);
    assert!(pauses().is_running());
    // Another order takes its place; the day that was paused stays.
    subject.store.hold_domain(&name, order(false, None)).await.unwrap();
    assert!(!pauses().is_running());
    let second = subject.accept(&["a@example.org"]).await;
    subject.clock.pass(DAY);
    subject.store.hold_domain(&name, order(true, None)).await.unwrap();
    subject.clock.pass(10 * DAY);
    subject.store.release_domain(&name).await.unwrap();
    // Of thirteen days the first message's clock ran for two, the second one's for one.
    let now = START.plus(13 * DAY);
    assert_eq!(pauses().expires(START, 2 * DAY, now), now);
    assert_eq!(pauses().expires(START.plus(2 * DAY), 2 * DAY, now), now.plus(DAY));
    assert!(subject.store.expire(&name, cutoff(now), 9).await.unwrap().is_empty());
    subject.clock.pass(Duration::from_millis(1));
    let later = UnixMillis(now.0 + 1);
    assert_eq!(subject.store.expire(&name, cutoff(later), 9).await.unwrap(), [key("example.org", first)]);
    assert!(subject.store.expire(&name, cutoff(now.plus(DAY)), 9).await.unwrap().is_empty());
    let much_later = now.plus(2 * DAY);
    assert_eq!(
        subject.store.expire(&name, cutoff(much_later), 9).await.unwrap(),
        [key("example.org", second)]
    );
}

pub(super) async fn pauses_that_nobody_lived_through_are_forgotten(subject: Subject) {
    let name = domain("example.org");
    let id = subject.accept(&["a@example.org"]).await;
    subject.store.hold_domain(&name, order(true, None)).await.unwrap();
    subject.clock.pass(DAY);
    subject.store.release_domain(&name).await.unwrap();
    let paused = subject.store.stats(&name).pauses;
    assert_ne!(paused, Pauses::default());
    subject.clock.pass(DAY);
    let later = subject.accept(&["a@example.org"]).await;
    let lease = subject.lease("example.org").await;
    assert_eq!(subject.due(&lease, Scope::All).await, [id, later]);
    // What failed may be released again, and lived through it.
    subject.settle(&lease, id, vec![(0, Outcome::Failed { reply: super::reply(550) })]).await;
    subject.store.set_delay_mark(&name, id).await.unwrap();
    assert_eq!(subject.store.stats(&name).pauses, paused);
    subject.store.conclude(&key("example.org", id), &[0], Conclusion::Reported).await.unwrap();
    subject.store.set_delay_mark(&name, later).await.unwrap();
    assert_eq!(subject.store.stats(&name).pauses, Pauses::default());
}

pub(super) async fn nothing_parked_is_purged_while_its_domain_is_stopped(subject: Subject) {
    let (name, id) = (domain("example.org"), subject.accept(&["a@example.org"]).await);
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, id, vec![(0, Outcome::Failed { reply: super::reply(550) })]).await;
    drop(lease);
    subject.store.hold_domain(&name, order(false, None)).await.unwrap();
    let purge = || subject.store.purge(&name, UnixMillis::MAX, UnixMillis::MAX, 9);
    assert_eq!(purge().await.unwrap(), [], "nobody was told about it yet");
    subject.store.release_domain(&name).await.unwrap();
    assert_eq!(purge().await.unwrap(), [key("example.org", id)]);
}

pub(super) async fn marks_are_kept_per_domain(subject: Subject) {
    let name = domain("example.org");
    assert_eq!(subject.store.delay_mark(&name), None);
    for mark in [QueueId::MIN, subject.accept(&["a@example.org"]).await] {
        subject.store.set_delay_mark(&name, mark).await.unwrap();
        assert_eq!(subject.store.delay_mark(&name), Some(mark));
    }
    assert_eq!(subject.store.delay_mark(&domain("example.com")), None);
}

pub(super) async fn the_queues_below_a_name_are_found(subject: Subject) {
    let names =
        ["example.org", "b.example.org", "a.b.example.org", "xexample.org", "x-b.example.org", "org.x"];
    for name in names {
        subject.accept(&[&format!("x@{name}")]).await;
    }
    let below = |top: &str| {
        let (mut found, mut after): (Vec<Domain>, Option<Domain>) = Default::default();
        loop {
            let page = subject.store.queues_below(&domain(top), after.as_ref(), 1);
            let Some(stats) = page.into_iter().next() else { break };
            assert_eq!(stats.messages, 1);
            after = Some(stats.domain.clone());
            found.push(stats.domain);
        }
        let at_once: Vec<_> =
            subject.store.queues_below(&domain(top), None, 9).into_iter().map(|one| one.domain).collect();
        assert_eq!(found, at_once);
        found.sort();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(below("example.org"), ["a.b.example.org", "b.example.org", "x-b.example.org"]);
    assert_eq!(below("b.example.org"), ["a.b.example.org"]);
    assert_eq!(below("org").len(), 5);
    assert!(below("rg").is_empty() && below("a.b.example.org").is_empty() && below("zz").is_empty());
}
