//! What is refused, by us or by the local side.

use restante_agent::{Class, Failure, Kind};

use crate::support::{Behaviour, Sink, message, run};

/// [2645-agent-domains] [5321-4.5.1-agent]
#[tokio::test]
async fn foreign_recipients_are_refused_and_never_reach_the_local_side() {
    let sink = Sink::start(Behaviour::default()).await;
    let (tally, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            talk.expect("MAIL FROM:<a@x.example>", "250").await;
            for foreign in [
                "b@elsewhere.example",
                "b@sub.example.org",
                "b@example.org.elsewhere.example",
                "b%elsewhere.example@example.org",
                "elsewhere.example!b@example.org",
                "\"b@elsewhere.example\"@example.org",
                "b@[127.0.0.1]",
                "b@[IPv6:::1]",
            ] {
                talk.expect(&format!("RCPT TO:<{foreign}>"), "550 5.7.1 ").await;
            }
            talk.expect("DATA", "554").await;
            talk.expect("RCPT TO:<@elsewhere.example:b@example.org>", "250").await;
            talk.expect("RCPT TO:<postmaster>", "250").await;
            talk.raw(b"BDAT 6 LAST\r\nA: b\r\n").await;
            assert!(talk.reply().await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    assert_eq!(result.unwrap(), Kind::Collected);
    assert_eq!(tally.refused, 8);
    let message = &sink.accepted()[0];
    assert_eq!(message.recipients, ["RCPT TO:<b@example.org>", "RCPT TO:<postmaster@example.org>"]);
}

/// [2034-3-agent]
#[tokio::test]
async fn the_local_sides_refusals_go_back_as_they_are() {
    let sink = Sink::start(Behaviour {
        replies: vec![
            ("MAIL FROM:<later@", "451 4.7.1 Greylisted: come back"),
            ("MAIL FROM:<never@", "553 5.1.8 No such sender"),
            ("RCPT TO:<none@", "550 5.1.1 No such user here"),
            ("RCPT TO:<full@", "452 4.2.2 Mailbox full"),
            ("RCPT TO:<bare@", "450 try later"),
        ],
        content: vec![
            ("spam", "554 5.7.1 Smells of spam"),
            ("slow", "451 4.3.0 Try again"),
            ("odd", "354 what?"),
        ],
        ..Behaviour::default()
    })
    .await;
    let (tally, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            assert_eq!(talk.ask("MAIL FROM:<later@x.example>").await, "451 4.7.1 Greylisted: come back");
            assert_eq!(talk.ask("MAIL FROM:<never@x.example>").await, "553 5.1.8 No such sender");
            talk.expect("MAIL FROM:<a@x.example>", "250").await;
            assert_eq!(talk.ask("RCPT TO:<none@example.org>").await, "550 5.1.1 No such user here");
            assert_eq!(talk.ask("RCPT TO:<full@example.org>").await, "452 4.2.2 Mailbox full");
            assert_eq!(talk.ask("RCPT TO:<bare@example.org>").await, "450 4.0.0 try later");
            talk.expect("RSET", "250").await;
            let mut send = async |content: &str| talk.send(&["b@example.org"], content.as_bytes()).await;
            assert_eq!(send("spam\r\n").await, "554 5.7.1 Smells of spam");
            assert_eq!(send("slow\r\n").await, "451 4.3.0 Try again");
            assert!(send("odd\r\n").await.starts_with("451 4.5.0"));
            assert!(send("good\r\n").await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    let failure = result.unwrap_err();
    assert!(matches!(failure, Failure::Deferred(5)), "{failure}");
    assert_eq!(failure.class(), Class::TryAgain);
    assert_eq!((tally.messages, tally.refused, tally.deferred), (1, 3, 5));
    assert_eq!(sink.contents(), [b"good\r\n"]);
}

#[tokio::test]
async fn a_message_larger_than_the_local_side_takes_is_refused_before_it() {
    let sink = Sink::start(Behaviour { keywords: vec!["SIZE 2000"], ..Behaviour::default() }).await;
    let (_, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            talk.expect("MAIL FROM:<a@x.example> SIZE=2001", "552 5.3.4").await;
            assert!(talk.send(&["b@example.org"], &message(1, 3000)).await.starts_with("552 5.3.4"));
            assert!(talk.send(&["b@example.org"], b"small\r\n").await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sink.contents(), [b"small\r\n"]);
}

#[tokio::test]
async fn a_local_side_that_dies_in_the_middle_puts_the_message_off_and_the_next_one_comes() {
    let sink = Sink::start(Behaviour { dies_after: Some(5), ..Behaviour::default() }).await;
    let (tally, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            assert!(talk.send(&["b@example.org"], &message(1, 500_000)).await.starts_with("451 4.4.2"));
            assert!(talk.send(&["b@example.org"], &message(2, 500)).await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    assert!(matches!(result, Err(Failure::Deferred(1))), "{result:?}");
    assert_eq!(tally.messages, 1);
    assert!(sink.contents() == [message(2, 500)]);
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn a_local_side_that_closes_instead_of_answering_content_has_not_taken_it() {
    let sink = Sink::start(Behaviour { content: vec![("gone", "")], ..Behaviour::default() }).await;
    let (tally, _) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            assert!(talk.send(&["b@example.org"], b"gone\r\n").await.starts_with("451 4.4.2"));
            talk.quit().await;
        },
    )
    .await;
    assert_eq!((tally.messages, tally.deferred), (0, 1));
}

#[tokio::test]
async fn a_connection_that_idled_out_is_opened_anew() {
    let sink = Sink::start(Behaviour { idles_out: true, ..Behaviour::default() }).await;
    let (tally, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            assert!(talk.send(&["b@example.org"], b"A: b\r\n").await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    assert_eq!((tally.messages, result.unwrap()), (1, Kind::Collected));
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn a_transaction_that_is_given_up_leaves_nothing_open_behind() {
    let sink = Sink::start(Behaviour::default()).await;
    let (_, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            for end in ["RSET", "EHLO again.example"] {
                talk.expect("MAIL FROM:<a@x.example>", "250").await;
                talk.expect("RCPT TO:<b@example.org>", "250").await;
                talk.expect(end, "250").await;
                talk.expect("MAIL FROM:<a@x.example>", "250").await;
                talk.expect("RCPT TO:<b@example.org>", "250").await;
                talk.raw(b"BDAT 6\r\nA: b\r\n").await;
                assert!(talk.reply().await.starts_with("250"));
                talk.expect(end, "250").await;
            }
            assert!(talk.send(&["b@example.org"], b"whole\r\n").await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    assert_eq!(result.unwrap(), Kind::Collected);
    assert_eq!(sink.contents(), [b"whole\r\n"]);
}
