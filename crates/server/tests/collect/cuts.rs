//! Lines that go dead.

use std::collections::BTreeMap;

use crate::caller::Caller;
use crate::customer::{Customer, Session};
use crate::world::World;

/// How often each message came, and how often it was acknowledged.
fn counts(sessions: &[Session]) -> BTreeMap<&str, (usize, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for taken in sessions.iter().flat_map(|session| &session.taken) {
        let count = counts.entry(taken.content.as_str()).or_default();
        count.0 += 1;
        count.1 += usize::from(taken.acknowledged);
    }
    counts
}

/// [2645-cut] The line goes dead after each reply of the customer in turn; the next call brings the rest. What was acknowledged
/// never comes again, and nothing is lost.
#[tokio::test]
async fn a_cut_at_every_reply_loses_nothing_and_doubles_only_what_was_not_acknowledged() {
    let mut breath = 0;
    loop {
        let world = World::new();
        let texts = world.alternate(4).await;
        let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
        let first = Customer::new().breath(breath).take(stream).await;
        let whole = first.heard.last().is_some_and(|line| line == "QUIT");
        world.until_quiet().await;
        let acknowledged = first.taken.iter().filter(|taken| taken.acknowledged).count();
        let left = usize::try_from(world.waiting()).unwrap();
        assert_eq!(left, texts.len() - acknowledged, "after {breath} replies: {first:?}");
        let mut sessions = vec![first];
        if left > 0 {
            let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
            sessions.push(Customer::new().take(stream).await);
            world.until_quiet().await;
        }
        assert_eq!(world.waiting(), 0);
        let counts = counts(&sessions);
        assert_eq!(counts.len(), texts.len(), "{breath}: {counts:?}");
        for (text, (came, acknowledged)) in counts {
            assert_eq!(acknowledged, 1, "{breath}: {text}");
            assert!(came <= 2, "{breath}: {text}");
        }
        if whole {
            break;
        }
        breath += 1;
    }
    assert!(breath > 12, "it was cut in many places, not {breath}");
}

/// A customer that refuses, puts off, and says goodbye in the middle.
#[tokio::test]
async fn refusals_and_421_are_what_they_are_everywhere() {
    let world = World::new();
    world.alternate(6).await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    let customer = Customer::new().saying(|number| match number {
        1 => Some("451 4.2.1 later\r\n"),
        2 => Some("550 5.7.1 never\r\n"),
        4 => Some("421 4.3.2 shutting down\r\n"),
        _ => None,
    });
    let session = customer.take(stream).await;
    world.until_quiet().await;
    assert_eq!(session.taken.iter().filter(|taken| taken.acknowledged).count(), 2);
    // Messages 1 and 5 to b.example, 4 to a.example; 2 is parked.
    assert_eq!((world.stats("a.example").messages, world.stats("b.example").messages), (1, 2));
    let (a, b) = (world.stats("a.example").last_drain.unwrap(), world.stats("b.example").last_drain.unwrap());
    assert_eq!((a.delivered, a.deferred, a.failed), (1, 1, 1));
    assert_eq!((b.delivered, b.deferred, b.failed), (1, 1, 0));
    assert!(a.result.contains("421 4.3.2 shutting down"), "{}", a.result);
}
