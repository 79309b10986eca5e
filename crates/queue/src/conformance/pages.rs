//! Lists.

use std::time::Duration;

use restante_types::{DeliveryState, QueueId, ReversePath};

use super::{START, Subject, deferred, domain, key};
use crate::{Cursor, EntryKey, Filter};

async fn all(subject: &Subject, filter: &Filter, limit: usize) -> Vec<EntryKey> {
    let (mut keys, mut after) = (Vec::new(), None);
    for _ in 0..10_000 {
        let page = subject.store.list(filter, after.as_ref(), limit).await.unwrap();
        assert!(page.entries.len() <= limit);
        keys.extend(page.entries.into_iter().map(|entry| entry.key));
        let Some(next) = page.next else { return keys };
        after = Some(Cursor::parse(&next.encode()).expect("a cursor reads what it wrote"));
    }
    panic!("a list that does not end");
}

pub(super) async fn pages_show_everything_once(subject: Subject) {
    let mut keys = Vec::new();
    for number in 0..90 {
        let name = ["a.example", "a.example.org", "b.example"][number % 3];
        let id = subject.accept(&[&format!("x@{name}")]).await;
        keys.push(key(name, id));
    }
    keys.sort();
    for limit in [1, 7, 1000] {
        assert_eq!(all(&subject, &Filter::default(), limit).await, keys);
    }
    let one = Filter {
        domains: vec![domain("b.example"), domain("none.example"), domain("b.example")],
        ..Filter::default()
    };
    assert_eq!(all(&subject, &one, 7).await, keys[60..]);
    let ids: Vec<QueueId> = [3, 70, 40].map(|place: usize| keys[place].id).into();
    let some = Filter { ids, ..Filter::default() };
    assert_eq!(all(&subject, &some, 1).await, [keys[3].clone(), keys[40].clone(), keys[70].clone()]);
}

pub(super) async fn each_condition_of_the_filter_holds(subject: Subject) {
    let first = key("example.org", subject.accept(&["anna@example.org"]).await);
    subject.clock.pass(Duration::from_secs(60));
    let mut message = subject.message(&["bert@example.org"], &[b'x'; 5000]).await;
    message.envelope.sender = ReversePath::Null;
    let second = key("example.org", subject.store.accept(message).await.unwrap().id());
    let lease = subject.lease("example.org").await;
    subject.settle(&lease, second.id, vec![(0, deferred(None))]).await;
    let middle = START.plus(Duration::from_secs(30));
    let none = Filter::default();
    let text = |text: &str| Some(text.to_owned());
    let expected = [
        (Filter { from: text("SENDER@"), ..none.clone() }, vec![&first]),
        (Filter { from: text("<>"), ..none.clone() }, vec![&second]),
        (Filter { to: text("Anna"), ..none.clone() }, vec![&first]),
        (Filter { to: text("@example.org"), ..none.clone() }, vec![&first, &second]),
        (Filter { older_than: Some(middle), ..none.clone() }, vec![&first]),
        (Filter { younger_than: Some(middle), ..none.clone() }, vec![&second]),
        (Filter { larger: Some(4999), ..none.clone() }, vec![&second]),
        (Filter { larger: Some(5000), ..none.clone() }, vec![]),
        (Filter { smaller: Some(5000), ..none.clone() }, vec![&first]),
        (Filter { states: vec![DeliveryState::Deferred], ..none.clone() }, vec![&second]),
        (Filter { states: vec![DeliveryState::Deleted], ..none.clone() }, vec![]),
        (Filter { reason: text("because of 450"), ..none.clone() }, vec![&second]),
        (Filter { reason: text("nothing"), ..none.clone() }, vec![]),
        (Filter { to: text("anna"), larger: Some(4999), ..none }, vec![]),
    ];
    for (filter, keys) in expected {
        let found = all(&subject, &filter, 10).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), keys, "{filter:?}");
    }
}

pub(super) async fn stats_come_in_pages(subject: Subject) {
    for name in ["c.example", "a.example", "b.example"] {
        subject.accept(&[&format!("x@{name}")]).await;
    }
    let names = |page: Vec<crate::DomainStats>| {
        page.into_iter().map(|stats| stats.domain.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(subject.store.stats_page(None, 2)), ["a.example", "b.example"]);
    assert_eq!(names(subject.store.stats_page(Some(&domain("b.example")), 2)), ["c.example"]);
    let never = subject.store.stats(&domain("never.example"));
    assert_eq!((never.messages, never.oldest, never.parked.len()), (0, None, 0));
}
