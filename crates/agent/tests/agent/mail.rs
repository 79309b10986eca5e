//! Mail comes in and is handed on.

use std::time::Duration;

use restante_agent::{Kind, Progress, Tally};
use tokio::time::sleep;

use crate::support::{Behaviour, Bench, LIMIT, Provider, Sink, message, run, server, stuffed};

fn everything() -> Vec<&'static str> {
    vec!["SIZE 3000000", "8BITMIME", "SMTPUTF8", "DSN", "PIPELINING", "CHUNKING"]
}

/// [2645-5.3-agent]
#[tokio::test]
async fn messages_come_byte_for_byte_by_data_and_by_chunks() {
    let sink = Sink::start(Behaviour { keywords: everything(), ..Behaviour::default() }).await;
    let sent: Vec<Vec<u8>> = [10, 500, 40_000, 300_000, 2_000_000]
        .iter()
        .enumerate()
        .map(|(seed, size)| message(seed, *size))
        .collect();
    let script_sent = sent.clone();
    let (tally, result) = run(
        sink.local(),
        |_| {},
        move |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            for content in &script_sent {
                let said = talk.send(&["b@example.org", "c@EXAMPLE.com"], content).await;
                assert_eq!(said, "250 2.0.0 ok, 4711 is its name");
                talk.expect("MAIL FROM:<>", "250").await;
                talk.expect("RCPT TO:<b@example.org>", "250").await;
                for piece in content.chunks(70_001) {
                    talk.raw(format!("BDAT {}\r\n", piece.len()).as_bytes()).await;
                    talk.raw(piece).await;
                    assert!(talk.reply().await.starts_with("250"));
                }
                talk.expect("BDAT 0 LAST", "250 2.0.0 ok, 4711").await;
            }
            talk.quit().await;
        },
    )
    .await;
    assert_eq!(result.unwrap(), Kind::Collected);
    let bytes: usize = sent.iter().map(Vec::len).sum();
    assert_eq!(tally, Tally { messages: 10, bytes: 2 * bytes as u64, ..Tally::default() });
    let twice: Vec<Vec<u8>> = sent.iter().flat_map(|content| [content.clone(), content.clone()]).collect();
    assert!(sink.contents() == twice, "byte for byte");
    assert_eq!(sink.connections(), 1);
    let first = &sink.accepted()[0];
    assert_eq!(first.recipients, ["RCPT TO:<b@example.org>", "RCPT TO:<c@example.com>"]);
}

/// [2920-3.2]
#[tokio::test]
async fn a_pipelined_group_is_handed_on_in_order() {
    let sink = Sink::start(Behaviour::default()).await;
    let (tally, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            let one = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 6 LAST\r\nA: b\r\n";
            talk.raw((one.repeat(64) + "QUIT\r\n").as_bytes()).await;
            for _ in 0..3 * 64 {
                assert!(talk.reply().await.starts_with("250"));
            }
            assert!(talk.reply().await.starts_with("221"));
        },
    )
    .await;
    assert_eq!((tally.messages, result.unwrap()), (64, Kind::Collected));
    assert_eq!(sink.accepted().len(), 64);
}

/// [2645-5.3-agent] What is offered is what the local side has; PIPELINING and CHUNKING always.
#[tokio::test]
async fn keywords_are_those_of_the_local_side() {
    for (keywords, has, lacks) in [
        (everything(), vec!["SIZE 3000000", "8BITMIME", "SMTPUTF8", "DSN", "PIPELINING", "CHUNKING"], vec![]),
        (vec![], vec!["PIPELINING", "CHUNKING"], vec!["SIZE", "8BITMIME", "SMTPUTF8", "DSN"]),
        (vec!["8BITMIME"], vec!["8BITMIME"], vec!["SIZE", "DSN"]),
    ] {
        let sink = Sink::start(Behaviour { keywords, ..Behaviour::default() }).await;
        let (_, result) = run(
            sink.local(),
            |_| {},
            move |mut talk| async move {
                talk.greet(&["ATRN"]).await;
                let offered = talk.turn().await;
                assert!(has.iter().all(|word| offered.contains(word)), "{offered}");
                let never = ["STARTTLS", "AUTH", "ATRN", "ETRN"];
                assert!(!lacks.iter().chain(&never).any(|word| offered.contains(word)), "{offered}");
                for command in ["STARTTLS", "AUTH PLAIN", "ATRN", "TURN", "ETRN example.org"] {
                    talk.expect(command, "502").await;
                }
                talk.quit().await;
            },
        )
        .await;
        assert_eq!(result.unwrap(), Kind::NoMail);
    }
}

#[tokio::test]
async fn parameters_are_handed_on_where_they_are_known() {
    let sink = Sink::start(Behaviour { keywords: everything(), ..Behaviour::default() }).await;
    let (_, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            talk.expect("MAIL FROM:<ü@x.example> SIZE=6 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ1", "250")
                .await;
            talk.expect("RCPT TO:<b@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@example.org", "250")
                .await;
            talk.raw(b"BDAT 6 LAST\r\nA: b\r\n").await;
            assert!(talk.reply().await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    assert!(result.is_ok());
    let message = &sink.accepted()[0];
    assert_eq!(message.mail, "MAIL FROM:<ü@x.example> SIZE=6 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ1");
    assert_eq!(
        message.recipients,
        ["RCPT TO:<b@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@example.org"]
    );
}

/// [2033-4.2]
#[tokio::test]
async fn lmtp_gets_one_recipient_at_a_time() {
    let bench = Bench::new();
    let behaviour = Behaviour { lmtp: true, ..Behaviour::default() };
    let tcp = Sink::start(behaviour.clone()).await;
    let unix = Sink::unix(&bench.path().join("lmtp"), behaviour);
    for sink in [tcp, unix] {
        let content = message(1, 5000);
        let sent = content.clone();
        let (tally, result) = run(
            sink.local(),
            |_| {},
            move |mut talk| async move {
                talk.greet(&["ATRN"]).await;
                talk.turn().await;
                talk.expect("MAIL FROM:<a@x.example>", "250").await;
                talk.expect("RCPT TO:<b@example.org>", "250").await;
                talk.expect("RCPT TO:<c@example.org>", "452 4.5.3").await;
                talk.expect("DATA", "354").await;
                talk.raw(&stuffed(&sent)).await;
                assert!(talk.reply().await.starts_with("250 2.0.0 ok, 4711"));
                assert!(talk.send(&["c@example.org"], &sent).await.starts_with("250"));
                talk.quit().await;
            },
        )
        .await;
        assert_eq!(result.unwrap(), Kind::Collected);
        assert_eq!((tally.messages, tally.deferred), (2, 0));
        assert!(sink.contents() == [content.clone(), content]);
    }
}

#[tokio::test]
async fn a_maildir_gets_each_message_once_and_whole() {
    let bench = Bench::new();
    let root = bench.path().join("box");
    let sent: Vec<Vec<u8>> = (0..5).map(|seed| message(seed, 100 + seed * 30_000)).collect();
    let script_sent = sent.clone();
    let (tally, result) = run(
        Some(format!("maildir:{}", root.display())),
        |_| {},
        move |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            let offered = talk.turn().await;
            assert!(offered.contains("8BITMIME") && offered.contains("SMTPUTF8") && !offered.contains("DSN"));
            for content in &script_sent {
                assert!(
                    talk.send(&["b@example.org", "c@example.com"], content)
                        .await
                        .starts_with("250 2.0.0 delivered")
                );
            }
            // The last one breaks off.
            talk.expect("MAIL FROM:<a@sender.example>", "250").await;
            talk.expect("RCPT TO:<b@example.org>", "250").await;
            talk.expect("DATA", "354").await;
            talk.raw(b"A: b\r\n\r\nhalf").await;
        },
    )
    .await;
    assert!(result.unwrap_err().to_string().contains("lost"));
    assert_eq!(tally.messages, 5);
    let files =
        std::fs::read_dir(root.join("new")).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let head = "Return-Path: <a@sender.example>\nDelivered-To: b@example.org\nDelivered-To: c@example.com\n";
    let mut got: Vec<Vec<u8>> = files.collect();
    let mut wanted: Vec<Vec<u8>> = sent
        .iter()
        .map(|content| {
            (head.to_owned() + &String::from_utf8_lossy(content).replace("\r\n", "\n")).into_bytes()
        })
        .collect();
    got.sort();
    wanted.sort();
    assert!(got == wanted, "each once, whole");
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn content_is_handed_on_while_it_comes_and_acknowledged_only_behind_the_local_side() {
    let slowness = Duration::from_millis(300);
    let sink = Sink::start(Behaviour { slowness, ..Behaviour::default() }).await;
    let seen = sink.clone();
    let (_, result) = run(
        sink.local(),
        |_| {},
        move |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            talk.expect("MAIL FROM:<a@x.example>", "250").await;
            talk.expect("RCPT TO:<b@example.org>", "250").await;
            talk.expect("DATA", "354").await;
            for lines in [10, 20, 30] {
                talk.raw(&b"0123456789\r\n".repeat(10)).await;
                let waited = tokio::time::Instant::now();
                while seen.lines() < lines {
                    assert!(waited.elapsed() < LIMIT, "{} lines of {lines} were handed on", seen.lines());
                    sleep(Duration::from_millis(5)).await;
                }
            }
            talk.raw(b".\r\n").await;
            talk.hears_nothing().await;
            assert!(seen.accepted().is_empty());
            assert!(talk.reply().await.starts_with("250"));
            assert_eq!(seen.accepted().len(), 1);
            talk.quit().await;
        },
    )
    .await;
    assert!(result.is_ok());
}

#[tokio::test]
async fn progress_is_told() {
    let sink = Sink::start(Behaviour::default()).await;
    let (ask, answer) = tokio::sync::oneshot::channel::<()>();
    let provider = Provider::once(|mut talk| async move {
        talk.greet(&["ATRN"]).await;
        talk.turn().await;
        talk.send(&["b@example.org"], &message(1, 1000)).await;
        answer.await.unwrap();
        talk.quit().await;
    })
    .await;
    let bench = Bench::new();
    let mut shown = bench.shown.subscribe();
    let settings = server(provider.port(), sink.local());
    let watching = async {
        let told = |progress: &Progress| matches!(progress, Progress::Collecting { messages: 1, bytes } if *bytes >= 1000);
        shown.wait_for(told).await.unwrap();
        ask.send(()).unwrap();
    };
    let ((_, result), ()) = tokio::join!(bench.collect(&settings), watching);
    assert_eq!(result.unwrap(), Kind::Collected);
    assert_eq!(*bench.shown.borrow(), Progress::Idle);
    provider.ended().await;
}
