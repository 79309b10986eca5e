//! What the provider answers to ATRN, and what is made of it.

use restante_agent::{Class, Failure, Kind, Login, Protocol};

use crate::support::{Behaviour, Bench, Provider, Sink, run, server};

/// [2645-453-agent] [2645-7-agent]
#[tokio::test]
async fn every_answer_has_its_meaning() {
    for (answer, class) in [
        ("453 You have no mail", None),
        ("453 4.3.0 nothing", None),
        ("450 ATRN request refused", Some(Class::TryAgain)),
        ("450 4.7.1 not all of these are yours", Some(Class::NotAllowed)),
        ("451 cannot now", Some(Class::TryAgain)),
        ("502 never heard of it", Some(Class::Unavailable)),
        ("530 who are you", Some(Class::NotAllowed)),
        ("421 closing", Some(Class::TryAgain)),
    ] {
        let sink = Sink::start(Behaviour::default()).await;
        let (_, result) = run(
            sink.local(),
            |_| {},
            move |mut talk| async move {
                talk.greet(&["ATRN"]).await;
                assert_eq!(talk.hear().await, "ATRN example.org,example.com");
                talk.say(answer).await;
                if !answer.starts_with("421") {
                    assert_eq!(talk.hear().await, "QUIT");
                    talk.say("221 bye").await;
                }
            },
        )
        .await;
        match (result, class) {
            (Ok(kind), None) => assert_eq!(kind, Kind::NoMail, "{answer}"),
            (Err(failure), Some(class)) => assert_eq!(failure.class(), class, "{answer}: {failure}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
}

/// [2645-5.2.1-agent] 250 and then nothing but QUIT is "no mail" as well.
#[tokio::test]
async fn an_empty_session_is_fine() {
    let sink = Sink::start(Behaviour::default()).await;
    let (_, result) = run(
        sink.local(),
        |_| {},
        |mut talk| async move {
            talk.greet(&["ATRN"]).await;
            talk.turn().await;
            talk.quit().await;
        },
    )
    .await;
    assert_eq!(result.unwrap(), Kind::NoMail);
}

/// [821-turn-agent]
#[tokio::test]
async fn turn_names_no_domains() {
    let sink = Sink::start(Behaviour::default()).await;
    let turn = |settings: &mut restante_agent::ServerSettings| settings.protocol = Protocol::Turn;
    let (tally, result) = run(sink.local(), turn, |mut talk| async move {
        talk.greet(&[]).await;
        assert_eq!(talk.hear().await, "TURN");
        talk.turned().await;
        assert!(talk.send(&["b@example.com"], b"A: b\r\n").await.starts_with("250"));
        talk.quit().await;
    })
    .await;
    assert_eq!((tally.messages, result.unwrap()), (1, Kind::Collected));

    let (_, result) = run(sink.local(), turn, |mut talk| async move {
        talk.greet(&[]).await;
        assert_eq!(talk.hear().await, "TURN");
        talk.say("502 no").await;
        assert_eq!(talk.hear().await, "QUIT");
    })
    .await;
    assert_eq!(result.unwrap_err().class(), Class::Unavailable);
}

#[tokio::test]
async fn without_a_local_side_nobody_is_called() {
    let bench = Bench::new();
    let provider = Provider::once(|_| async { panic!("called") }).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for local in [
        closed.to_string(),
        format!("lmtp:{}/none", bench.path().display()),
        "maildir:/dev/null/x".to_owned(),
    ] {
        let (_, result) = bench.collect(&server(provider.port(), Some(local))).await;
        let failure = result.unwrap_err();
        assert!(matches!(failure, Failure::Local(_)) && failure.class() == Class::TryAgain, "{failure}");
    }
}

#[tokio::test]
async fn a_local_side_of_the_wrong_kind_is_told_of() {
    let bench = Bench::new();
    let lmtp = Sink::start(Behaviour { lmtp: true, ..Behaviour::default() }).await;
    let smtp = Sink::start(Behaviour { replies: vec![("EHLO", "500 what")], ..Behaviour::default() }).await;
    let as_smtp = lmtp.local().unwrap().replace("lmtp:", "");
    let as_lmtp = format!("lmtp:{}", smtp.local().unwrap());
    for local in [as_smtp, as_lmtp] {
        let (_, result) = bench.collect(&server(1, Some(local))).await;
        assert!(matches!(result, Err(Failure::Local(_))), "{result:?}");
    }
}

#[tokio::test]
async fn nobody_there_and_no_such_name() {
    let bench = Bench::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = Sink::start(Behaviour::default()).await;
    let (_, result) = bench.collect(&server(closed.port(), sink.local())).await;
    assert!(matches!(result, Err(Failure::Connect { .. })), "{result:?}");
    let mut settings = server(closed.port(), sink.local());
    settings.address = "does-not-exist.invalid:366".parse().unwrap();
    let (_, result) = bench.collect(&settings).await;
    assert!(matches!(result, Err(Failure::Lookup { .. })), "{result:?}");
    let known = bench.context.state.read().unwrap();
    let record = &known[&settings.name];
    assert_eq!((record.failures, record.result), (2, Some(Kind::Failed)));
    assert!(record.reason.as_ref().unwrap().contains("does-not-exist.invalid"));
}

/// [4954-4-agent] No password in clear, none by CRAM-MD5, whatever the server would like.
#[tokio::test]
async fn a_password_is_not_shown_in_clear() {
    let bench = Bench::new();
    let secret = bench.path().join("secret");
    std::fs::write(&secret, "hush\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let sink = Sink::start(Behaviour::default()).await;
    for offered in ["AUTH PLAIN LOGIN", "AUTH CRAM-MD5", "AUTH EXTERNAL", "ATRN"] {
        let login =
            Login { account: Some("me".to_owned()), secret_file: Some(secret.clone()), certificate: None };
        let (_, result) = run(
            sink.local(),
            |settings| settings.login = login,
            move |mut talk| async move {
                talk.greet(&[offered]).await;
                assert!(matches!(talk.hear().await.as_str(), "" | "QUIT"));
            },
        )
        .await;
        let failure = result.unwrap_err();
        assert!(matches!(failure, Failure::NoLogin(_)) && failure.class() == Class::NotAllowed, "{failure}");
    }
}

/// [5802-agent] A server that says yes without proof is not the one that we have the account with.
#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_left() {
    let bench = Bench::new();
    let secret = bench.path().join("secret");
    std::fs::write(&secret, "hush\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let sink = Sink::start(Behaviour::default()).await;
    for (said, class) in [
        ("235 come in", Class::NotAllowed),
        ("334 bm9uc2Vuc2U=", Class::NotAllowed),
        ("334 !!!", Class::NotAllowed),
        ("535 5.7.8 no", Class::NotAllowed),
        ("454 4.7.0 not now", Class::TryAgain),
    ] {
        let login =
            Login { account: Some("me".to_owned()), secret_file: Some(secret.clone()), certificate: None };
        let (_, result) = run(
            sink.local(),
            |settings| settings.login = login,
            move |mut talk| async move {
                talk.greet(&["AUTH SCRAM-SHA-256"]).await;
                assert!(talk.hear().await.starts_with("AUTH SCRAM-SHA-256 "));
                talk.say(said).await;
                assert!(matches!(talk.hear().await.as_str(), "" | "*" | "QUIT"));
            },
        )
        .await;
        let failure = result.unwrap_err();
        assert_eq!(failure.class(), class, "{said}: {failure}");
    }
}

#[tokio::test]
async fn one_collection_of_one_server_at_a_time() {
    let sink = Sink::start(Behaviour::default()).await;
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let provider = Provider::once(|mut talk| async move {
        talk.greet(&["ATRN"]).await;
        talk.turn().await;
        wait.await.unwrap();
        talk.quit().await;
    })
    .await;
    let bench = Bench::new();
    let settings = server(provider.port(), sink.local());
    let mut shown = bench.shown.subscribe();
    let second = async {
        shown.wait_for(|progress| *progress != restante_agent::Progress::Idle).await.unwrap();
        let (_, result) = bench.collect(&settings).await;
        let failure = result.unwrap_err();
        assert!(matches!(failure, Failure::Busy) && failure.class() == Class::TryAgain);
        assert!(bench.context.state.read().unwrap().is_empty(), "it leaves no record");
        go.send(()).unwrap();
    };
    let ((_, result), ()) = tokio::join!(bench.collect(&settings), second);
    assert_eq!(result.unwrap(), Kind::NoMail);
    provider.ended().await;
}
