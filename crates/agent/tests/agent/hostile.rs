//! Providers that are none, or mean no good. Each ends in a clear word, and loses nothing.

use restante_agent::{Class, Failure, Kind, Tally};

use crate::support::{Behaviour, Sink, Talk, run};

async fn outcome<F>(script: impl FnOnce(Talk) -> F + Send + 'static) -> Failure
where
    F: Future<Output = ()> + Send + 'static,
{
    let sink = Sink::start(Behaviour::default()).await;
    let (tally, result) = run(sink.local(), |_| {}, script).await;
    assert_eq!((tally, sink.accepted().len()), (Tally::default(), 0));
    result.unwrap_err()
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (greeting, class, word) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], Class::Unavailable, "no SMTP reply"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Class::Unavailable, "no SMTP reply"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", Class::Unavailable, "no SMTP reply"),
        (b"\0\0\0\n", Class::Unavailable, "no SMTP reply"),
        (b"354 go on\r\n", Class::Unavailable, "greeting"),
        (b"554 5.7.1 not you\r\n", Class::Unavailable, "not you"),
        (b"421 4.3.2 later\r\n", Class::TryAgain, "later"),
        (b"", Class::TryAgain, "greeting"),
    ] {
        let failure = outcome(move |mut talk| async move { talk.raw(greeting).await }).await;
        assert_eq!(failure.class(), class, "{failure}");
        assert!(failure.text().contains(word), "{failure}");
    }
}

#[tokio::test]
async fn replies_without_end() {
    let line = [b"250 ".as_slice(), &[b'x'; 1 << 20], b"\r\n"].concat();
    let lines = b"250-and so on\r\n".repeat(1 << 20);
    for octets in [line, lines] {
        let failure = outcome(move |mut talk| async move {
            talk.say("220 mx2.example.net").await;
            talk.hear().await;
            talk.raw(&octets).await;
        })
        .await;
        assert_eq!(failure.class(), Class::Unavailable, "{failure}");
        assert!(failure.text().contains("a re"), "{failure}");
    }
}

/// [2645-early-agent] [2645-5.3-agent]
#[tokio::test]
async fn who_talks_before_we_have_greeted_is_left() {
    for early in ["EHLO mx2.example.net\r\n", "220 x\r\n", "\r\n", "x"] {
        let failure = outcome(move |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.hear().await;
            talk.raw(format!("250 OK now reversing the connection\r\n{early}").as_bytes()).await;
            assert_eq!(talk.hear().await, "");
        })
        .await;
        assert!(matches!(failure, Failure::Early(_)), "{failure}");
    }
}

#[tokio::test]
async fn who_turns_and_leaves_or_never_speaks_smtp() {
    for (said, word) in
        [(&b""[..], "QUIT"), (b"GET / HTTP/1.0\r\n\r\n", "lost"), (b"MAIL FROM:<a@x.example>\r\n", "lost")]
    {
        let failure = outcome(move |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.hear().await;
            talk.say("250 OK now reversing the connection").await;
            assert!(talk.hear().await.starts_with("220 primary.example"));
            talk.raw(said).await;
        })
        .await;
        assert!(matches!(failure, Failure::Cut(_)) && failure.to_string().contains(word), "{failure}");
    }
}

#[tokio::test]
async fn who_says_nothing_but_nonsense_is_left() {
    let failure = outcome(|mut talk| async move {
        talk.greet(&["ATRN"]).await;
        talk.turn().await;
        for _ in 0..20 {
            if talk.ask("XYZZY").await.is_empty() {
                return;
            }
        }
        panic!("it goes on and on");
    })
    .await;
    assert!(matches!(failure, Failure::Cut(_)) && failure.to_string().contains("no sense"), "{failure}");
}

/// A hundred thousand transactions that come to nothing, and one that does.
#[tokio::test]
async fn many_commands_cost_nothing() {
    let sink = Sink::start(Behaviour::default()).await;
    let (tally, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            for _ in 0..20 {
                talk.raw(&b"NOOP\r\nRSET\r\n".repeat(500)).await;
                for _ in 0..1000 {
                    assert!(talk.reply().await.starts_with("250"));
                }
            }
            assert!(talk.send(&["b@example.org"], b"A: b\r\n").await.starts_with("250"));
            talk.quit().await;
        },
    )
    .await;
    assert_eq!((tally.messages, result.unwrap()), (1, Kind::Collected));
}

#[tokio::test]
async fn what_the_other_side_says_cannot_steer_a_terminal() {
    let failure = outcome(|mut talk| async move {
        talk.greet(&["ATRN"]).await;
        talk.hear().await;
        talk.raw(b"450 \x1b[2Jgone\x07\xe2\x80\xae\r\n").await;
        talk.hear().await;
    })
    .await;
    let text = failure.text();
    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
}
