//! TLS, and whom we take for the server.

use std::sync::Arc;

use restante_agent::{Class, Failure, Kind, Secured, ServerSettings};
use restante_net::{ServerTls, Trust};

use crate::support::{Behaviour, Pair, Sink, Talk, run};

const NAME: &str = "mx2.example.net";

async fn inside(talk: Talk, tls: Arc<ServerTls>, implicit: bool) {
    let mut talk = talk;
    if !implicit {
        talk.greet(&["STARTTLS"]).await;
        assert_eq!(talk.hear().await, "STARTTLS");
        talk.say("220 go").await;
    }
    let Some(mut talk) = talk.into_tls(&tls).await else { return };
    if implicit {
        talk.say("220 mx2.example.net").await;
    }
    if talk.left == 0 {
        return;
    }
    talk.hello(&["ATRN"]).await;
    talk.turn().await;
    assert!(talk.send(&["b@example.org"], b"A: b\r\n").await.starts_with("250"));
    talk.quit().await;
}

async fn collect(
    change: impl FnOnce(&mut ServerSettings),
    pair: &Pair,
    implicit: bool,
) -> Result<Kind, Failure> {
    let sink = Sink::start(Behaviour::default()).await;
    let tls = pair.tls();
    let (_, result) = run(sink.local(), change, move |talk| inside(talk, tls, implicit)).await;
    result
}

/// [3207-4-agent]
#[tokio::test]
async fn a_private_authority_or_a_fingerprint_is_trusted() {
    let pair = Pair::new(NAME);
    let fingerprint = fingerprint(&pair);
    for implicit in [false, true] {
        for trust in [Trust::Authorities(pair.file()), Trust::Fingerprint(fingerprint), Trust::Anyone] {
            let change = |settings: &mut ServerSettings| {
                settings.tls = if implicit { Secured::Implicit } else { Secured::StartTls };
                settings.trust = trust.clone();
            };
            assert_eq!(collect(change, &pair, implicit).await.unwrap(), Kind::Collected, "{trust:?}");
        }
    }
}

/// The SHA-256 of the certificate, by means that are not the agent's.
fn fingerprint(pair: &Pair) -> [u8; 32] {
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("grep -v -- - {} | base64 -d | sha256sum", pair.file().display()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    std::array::from_fn(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap())
}

#[tokio::test]
async fn a_wrong_certificate_is_not_talked_to() {
    let (pair, other) = (Pair::new(NAME), Pair::new(NAME));
    for (trust, name) in [
        (Trust::System, NAME),
        (Trust::Authorities(other.file()), NAME),
        (Trust::Authorities(pair.file()), "elsewhere.example"),
        (Trust::Fingerprint(fingerprint(&other)), NAME),
    ] {
        let change = |settings: &mut ServerSettings| {
            settings.tls = Secured::StartTls;
            settings.trust = trust.clone();
            settings.tls_name = name.try_into().unwrap();
        };
        let failure = collect(change, &pair, false).await.unwrap_err();
        assert_eq!(failure.class(), Class::NotAllowed, "{trust:?}: {failure}");
        assert!(
            failure.text().contains("certificate") || failure.text().contains("authorities"),
            "{failure}"
        );
    }
}

/// [3207-4-agent]
#[tokio::test]
async fn nothing_is_said_in_clear_where_tls_is_wanted() {
    let sink = Sink::start(Behaviour::default()).await;
    let pair = Pair::new(NAME);
    let trust = Trust::Authorities(pair.file());
    let change = |settings: &mut ServerSettings| {
        settings.tls = Secured::StartTls;
        settings.trust = trust.clone();
    };
    let (_, result) = run(sink.local(), change, |mut talk| async move {
        talk.greet(&["ATRN", "AUTH PLAIN"]).await;
        assert_eq!(talk.hear().await, "QUIT");
        talk.say("221 bye").await;
    })
    .await;
    let failure = result.unwrap_err();
    assert!(matches!(failure, Failure::NoTls(None)) && failure.class() == Class::NotAllowed, "{failure}");

    let (_, result) = run(sink.local(), change, |mut talk| async move {
        talk.greet(&["STARTTLS", "AUTH PLAIN"]).await;
        assert_eq!(talk.hear().await, "STARTTLS");
        talk.say("454 4.7.0 not now").await;
        assert_eq!(talk.hear().await, "QUIT");
    })
    .await;
    assert!(matches!(result, Err(Failure::NoTls(Some(_)))), "{result:?}");

    let (_, result) = run(sink.local(), change, |mut talk| async move {
        talk.greet(&["STARTTLS"]).await;
        talk.hear().await;
        talk.raw(b"220 go\r\n250 welcome\r\n").await;
        talk.hear().await;
    })
    .await;
    assert!(matches!(result, Err(Failure::Early(_))), "{result:?}");
}

#[tokio::test]
async fn a_handshake_with_somebody_who_knows_none_fails() {
    let sink = Sink::start(Behaviour::default()).await;
    let change = |settings: &mut ServerSettings| {
        settings.tls = Secured::Implicit;
        settings.trust = Trust::Anyone;
    };
    let (_, result) = run(sink.local(), change, |mut talk| async move {
        talk.say("220 mx2.example.net ESMTP, in clear").await;
    })
    .await;
    let failure = result.unwrap_err();
    assert!(matches!(failure, Failure::Tls(_)) && failure.class() == Class::Unavailable, "{failure}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_of_before_anybody_is_called() {
    let bench = crate::support::Bench::new();
    let provider = crate::support::Provider::once(|_| async { panic!("called") }).await;
    let sink = Sink::start(Behaviour::default()).await;
    let mut settings = crate::support::server(provider.port(), sink.local());
    settings.tls = Secured::StartTls;
    settings.trust = Trust::Authorities(bench.path().join("none.crt"));
    let (_, result) = bench.collect(&settings).await;
    let failure = result.unwrap_err();
    assert!(matches!(failure, Failure::TlsFiles(_)) && failure.text().contains("none.crt"), "{failure}");
    let pair = Pair::new(NAME);
    settings.trust = Trust::Authorities(pair.file());
    settings.login.certificate = Some((pair.file(), pair.file()));
    let (_, result) = bench.collect(&settings).await;
    assert!(matches!(result, Err(Failure::TlsFiles(_))), "{result:?}");
}
