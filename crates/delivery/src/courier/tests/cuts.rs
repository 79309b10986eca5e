//! Lines that go dead, and primaries that stop talking sense: nothing is lost, and nothing is done twice that was answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use DeliveryState::{Deferred, Delivered, Queued};
use restante_queue::{EmbeddedOptions, EmbeddedStore, SealedContent};
use restante_smtp::{ClientEvent, End, Stage};
use tokio::io::AsyncWriteExt;

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

/// As long as a file of its own, which ends in the middle.
async fn torn(directory: &std::path::Path) -> SealedContent {
    let store = EmbeddedStore::open(EmbeddedOptions::new(directory)).unwrap();
    let mut buffer = store.begin_content();
    while buffer.len() < 768 * 1024 {
        buffer.append(&[b'x'; 64 * 1024]);
        buffer.relieve().await.unwrap();
    }
    let sealed = buffer.seal().await.unwrap();
    let mut torn = 0;
    for file in std::fs::read_dir(directory.join("incoming")).unwrap() {
        let file = std::fs::OpenOptions::new().write(true).open(file.unwrap().path()).unwrap();
        file.set_len(384 * 1024).unwrap();
        torn += 1;
    }
    assert_eq!(torn, 1);
    sealed
}

/// What cannot be read to its end costs the connection, but nothing that went before it goes twice; unless the primary
/// says nothing about that.
#[tokio::test]
async fn content_that_breaks_off_makes_nothing_before_it_go_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut sealed = Some(torn(directory.path()).await);
    tokio::time::pause();
    let mut rows: Vec<Row> = (0..6).map(|number| row(number, 1, Body::SevenBit)).collect();
    rows[3].size = sealed.as_ref().map(SealedContent::len).unwrap();
    for hoards in [false, true] {
        let office = Office::open(rows.clone()).await;
        office.store.inside().elsewhere.extend(sealed.take().map(|content| (id(3), content)));
        let primary = Primary::new(ALL);
        let began = tokio::time::Instant::now();
        let end = office.round(&primary.clone().hoarding(hoards)).await;
        assert!(matches!(end, RoundEnd { end: End::Abandoned, tried: true, store: None }), "{end:?}");
        assert_eq!(primary.taken().len(), 3, "what went before it");
        assert_eq!(began.elapsed() > crate::limits::ANSWERS_BEFORE, hoards);
        assert_eq!(office.round(&primary).await.end, End::Quit);
        let (store, domain) = office.close().await;
        let all: Vec<DeliveryState> = (0..6).map(|number| states(&store, &domain, number)[0]).collect();
        assert_eq!(all, [Delivered, Delivered, Delivered, Queued, Delivered, Delivered]);
        let counts = counts(&primary);
        assert_eq!(counts.len(), 5);
        assert_eq!(counts.values().any(|count| *count > 1), hoards, "{counts:?}");
        sealed = store.inside().elsewhere.remove(&id(3));
    }
}

/// [5321-4.5.3.2-client]: silence is waited for at each stage as long as it deserves, but not for ever. What was taken
/// before it stays taken, and the next connection carries the rest, each once.
#[tokio::test(start_paused = true)]
async fn a_primary_that_falls_silent_anywhere_is_left() {
    let stages = [
        ("MAIL", Stage::Mail, 5),
        ("RCPT", Stage::Recipient, 5),
        ("DATA", Stage::Data, 2),
        ("CONTENT", Stage::Content, 10),
    ];
    for keywords in [ALL, &["PIPELINING"], &[]] {
        for (verb, stage, minutes) in stages {
            if verb == "DATA" && keywords.contains(&"CHUNKING") {
                continue;
            }
            let (office, asked) = (Office::with(3).await, Arc::new(AtomicUsize::new(0)));
            let primary = Primary::new(keywords);
            // At the second of its kind.
            let mute = primary.clone().saying(move |line| {
                let second = line.starts_with(verb) && asked.fetch_add(1, Ordering::SeqCst) == 1;
                second.then_some("mute")
            });
            let began = tokio::time::Instant::now();
            assert_eq!(left(&office, mute).await, End::TimedOut(stage), "{keywords:?} {verb}");
            let waited = began.elapsed().as_secs();
            assert!((minutes * 60..minutes * 60 + 30).contains(&waited), "{keywords:?} {verb}: {waited} s");
            assert_eq!(office.round(&primary).await.end, End::Quit, "{keywords:?} {verb}");
            let (store, domain) = office.close().await;
            let all: Vec<DeliveryState> = (0..3).map(|number| states(&store, &domain, number)[0]).collect();
            assert_eq!(all, [Delivered, Deferred, Delivered], "{keywords:?} {verb}");
            assert!(counts(&primary).values().all(|count| *count == 1), "{keywords:?} {verb}");
        }
    }
}

/// One round with a primary that falls silent, up to our leaving it.
async fn left(office: &Office, primary: Primary) -> End {
    left_telling(office, primary, ForwardClient::Off).await
}

async fn left_telling(office: &Office, primary: Primary, forward: ForwardClient) -> End {
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    let feed = office.owner.feed();
    let round = async { Round::new(ready(ours).await, &feed, "primary").telling(forward).run().await };
    tokio::select! {
        end = round => end.end,
        () = primary.converse(theirs) => panic!("it only falls silent"),
    }
}

/// [5321-4.5.3.2-client] So it is where it falls silent between messages, to XCLIENT and to RSET; only the message that
/// RSET made way for was tried.
#[tokio::test(start_paused = true)]
async fn a_primary_that_falls_silent_between_messages_is_left() {
    let rows: [(_, &'static [&'static str], _, _); 3] = [
        ("XCLIENT", &["PIPELINING", "XCLIENT ADDR HELO"], Stage::Introduction, [Delivered; 3]),
        ("RSET", &[], Stage::Reset, [Deferred, Deferred, Delivered]),
        ("RSET", ALL, Stage::Reset, [Delivered, Delivered, Deferred]),
    ];
    for (verb, keywords, stage, expected) in rows {
        let (office, asked) = (Office::with(3).await, Arc::new(AtomicUsize::new(0)));
        let primary = Primary::new(keywords);
        // Without bursts it is said where a transaction came to nothing.
        let mute = primary.clone().saying(move |line| {
            let refused =
                keywords.is_empty() && line.starts_with("RCPT") && asked.fetch_add(1, Ordering::SeqCst) == 0;
            line.starts_with(verb).then_some("mute").or(refused.then_some("451 4.2.0 later"))
        });
        let forward = if verb == "XCLIENT" { ForwardClient::Xclient } else { ForwardClient::Off };
        let began = tokio::time::Instant::now();
        assert_eq!(left_telling(&office, mute, forward).await, End::TimedOut(stage), "{keywords:?}");
        assert_eq!(began.elapsed().as_secs() / 60, 5, "{verb}");
        assert_eq!(office.round(&primary).await.end, End::Quit, "{verb}");
        let (store, domain) = office.close().await;
        let all: Vec<DeliveryState> = (0..3).map(|number| states(&store, &domain, number)[0]).collect();
        assert_eq!(all, expected, "{verb} {keywords:?}");
        assert!(counts(&primary).values().all(|count| *count == 1), "{verb}");
    }
}

/// [5321-4.5.3.2-client] Nor is a primary waited for that says nothing at all, or nothing to EHLO.
#[tokio::test(start_paused = true)]
async fn a_primary_that_never_greets_is_left() {
    for (greeting, stage) in [("", Stage::Greeting), ("220 primary.example\r\n", Stage::Ehlo)] {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(greeting.as_bytes()).await.unwrap();
        let began = tokio::time::Instant::now();
        let mut connection = ready(ours).await;
        assert_eq!(connection.poll_event(), Some(ClientEvent::Ended(End::TimedOut(stage))));
        assert_eq!(began.elapsed().as_secs() / 60, 5, "{stage}");
    }
}
