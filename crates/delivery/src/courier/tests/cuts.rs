//! Lines that go dead, and primaries that stop talking sense: nothing is lost, and nothing is done twice that was answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use DeliveryState::{Deferred, Delivered, Queued};
use restante_smtp::End;

use super::primary::ALL;
use super::*;

/// How often each message was taken.
fn counts(primary: &Primary) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for taken in primary.taken() {
        *counts.entry(taken.content).or_default() += 1;
    }
    counts
}

/// The primary goes silent after each octet of its side in turn. What it said yes to is delivered; at most the message
/// that it was at is deferred; the next connection carries the rest.
#[tokio::test(start_paused = true)]
async fn a_line_that_goes_dead_anywhere_loses_nothing() {
    for keywords in [ALL, &["PIPELINING"], &[]] {
        let mut cut = 60;
        loop {
            let office = Office::with(6).await;
            let primary = Primary::new(keywords);
            let first = office.round(&primary.clone().with_breath(cut)).await;
            if first.end == End::Quit {
                break;
            }
            let taken_first = primary.taken().len();
            let second = office.round(&primary).await;
            assert_eq!(
                second.end,
                End::Quit,
                "{keywords:?} {cut} {first:?} {:?}",
                primary.commands.lock().unwrap()
            );
            let (store, domain) = office.close().await;
            let all: Vec<DeliveryState> = (0..6).map(|number| states(&store, &domain, number)[0]).collect();
            let deferred = all.iter().filter(|state| **state == Deferred).count();
            let delivered = all.iter().filter(|state| **state == Delivered).count();
            assert!(deferred <= 1 && delivered + deferred == 6, "{keywords:?} {cut}: {all:?}");
            let counts = counts(&primary);
            assert!(counts.values().all(|count| *count <= 2), "{keywords:?} {cut}");
            let twice = counts.values().filter(|count| **count == 2).count();
            assert!(twice <= taken_first, "{keywords:?} {cut}");
            cut += 1;
        }
        assert!(cut > 200, "{keywords:?}: the conversation was cut in many places");
    }
}

/// [5321-3.8-client]
#[tokio::test(start_paused = true)]
async fn a_421_defers_its_message_and_leaves_the_others_to_the_next_connection() {
    let office = Office::with(10).await;
    let primary = Primary::new(ALL).saying(|asked| (asked == "CONTENT 4").then_some("421 4.3.2 enough"));
    let end = office.round(&primary).await;
    assert!(matches!(end, RoundEnd { end: End::Refused { .. }, tried: true, store: None }), "{end:?}");
    let peaceful = primary.clone().saying(|_| None);
    assert_eq!(office.round(&peaceful).await.end, End::Quit);
    let (store, domain) = office.close().await;
    let all: Vec<DeliveryState> = (0..10).map(|number| states(&store, &domain, number)[0]).collect();
    let mut expected = vec![Delivered; 10];
    expected[4] = Deferred;
    assert_eq!(all, expected);
    assert!(counts(&primary).values().all(|count| *count == 1));
}

/// [5321-4.5.4.1-mail] It is about that message and this moment: the next is asked anew, and so is the same one later.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_sender_defers_its_message_and_no_other() {
    for refused in ["550 5.7.1 not you", "553 5.1.8 no such sender", "451 4.3.0 later"] {
        let office = Office::with(10).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let primary = Primary::new(ALL).saying(move |line| {
            let fourth = line.starts_with("MAIL") && count.fetch_add(1, Ordering::SeqCst) == 3;
            fourth.then_some(refused)
        });
        assert_eq!(office.round(&primary).await.end, End::Quit);
        assert_eq!(asked.load(Ordering::SeqCst), 10, "nobody else is judged by it");
        let (store, domain) = office.close().await;
        let all: Vec<DeliveryState> = (0..10).map(|number| states(&store, &domain, number)[0]).collect();
        let mut expected = vec![Delivered; 10];
        expected[3] = Deferred;
        assert_eq!(all, expected, "{refused}");
    }
}

/// A primary that is no primary: the first message is noted, the others are as they were, and nobody waits for ever.
#[tokio::test(start_paused = true)]
async fn nonsense_ends_the_round_and_settles_nothing_else() {
    for nonsense in ["HTTP/1.1 400 Bad Request", "354 go on", "250-a\r\n251 b", "099 no", "999 what", ""] {
        for command in ["MAIL", "RCPT", "CONTENT"] {
            let office = Office::with(3).await;
            let primary =
                Primary::new(ALL).saying(move |asked| asked.starts_with(command).then_some(nonsense));
            let end = office.round(&primary).await;
            assert!(matches!(end.end, End::Protocol(_)), "{nonsense:?} to {command}: {end:?}");
            let (store, domain) = office.close().await;
            let all: Vec<DeliveryState> = (0..3).map(|number| states(&store, &domain, number)[0]).collect();
            assert_eq!(all, [Deferred, Queued, Queued], "{nonsense:?} to {command}");
        }
    }
}

/// [5321-4.5.3.2-client]: silence after the content is waited for, but not for ever.
#[tokio::test(start_paused = true)]
async fn a_primary_that_falls_silent_is_left() {
    let office = Office::with(3).await;
    let primary = Primary::new(ALL).saying(|asked| (asked == "CONTENT 1").then_some("mute"));
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    let feed = office.owner.feed();
    let silent = async {
        primary.clone().converse(theirs).await;
    };
    let round = async { Round::new(ready(ours).await, &feed, "primary").run().await };
    let began = tokio::time::Instant::now();
    let end = tokio::select! {
        end = round => end,
        () = silent => panic!("it only falls silent"),
    };
    assert_eq!(end.end, End::TimedOut(restante_smtp::Stage::Content));
    assert!(began.elapsed().as_secs() >= 600, "ten minutes");
    drop(feed);
    let (store, domain) = office.close().await;
    let all: Vec<DeliveryState> = (0..3).map(|number| states(&store, &domain, number)[0]).collect();
    assert_eq!(all, [Delivered, Deferred, Queued]);
}
