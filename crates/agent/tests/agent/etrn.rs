//! ETRN, RFC 1985, from the client's side.

use std::time::Duration;

use restante_agent::{Class, Expect, Failure, Kind, Protocol, ServerSettings};

use crate::support::{Bench, Provider, run, server};

fn etrn(settings: &mut ServerSettings) {
    settings.protocol = Protocol::Etrn;
}

/// [1985-5.1-agent]
#[tokio::test]
async fn each_domain_is_asked_for_whatever_was_said_before() {
    for (first, second, result, announced) in [
        ("250 started", "253 7 messages pending", Ok(Kind::Asked), 7),
        ("251 nothing", "251 nothing", Ok(Kind::NoMail), 0),
        ("251 nothing", "252 pending", Ok(Kind::Asked), 0),
        (
            "253 OK, 40 pending messages for node example.org started",
            "253 OK, 2 pending",
            Ok(Kind::Asked),
            42,
        ),
        // [1985-5.1-253-agent] More than there can be, and then some more.
        ("253 18446744073709551615 pending", "253 2 pending", Ok(Kind::Asked), u64::MAX),
        ("253 18446744073709551616 pending", "251 nothing", Ok(Kind::Asked), 0),
        ("459 not allowed", "250 started", Err(Class::NotAllowed), 0),
        ("250 started", "458 not now", Err(Class::TryAgain), 0),
        ("458 not now", "553 what domain", Err(Class::NotAllowed), 0),
        ("502 what", "500 what", Err(Class::Unavailable), 0),
    ] {
        let (tally, outcome) = run(None, etrn, move |mut talk| async move {
            talk.greet(&[]).await;
            assert_eq!(talk.hear().await, "ETRN example.org");
            talk.hears_nothing().await;
            talk.say(first).await;
            assert_eq!(talk.hear().await, "ETRN example.com");
            talk.say(second).await;
            assert_eq!(talk.hear().await, "QUIT");
            talk.say("221 bye").await;
        })
        .await;
        assert_eq!(
            outcome.as_ref().map_err(Failure::class).copied(),
            result,
            "{first} {second}: {outcome:?}"
        );
        assert_eq!(tally.announced, announced);
        if let Err(failure) = outcome {
            assert!(failure.text().contains("ETRN example."), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_server_that_closes_in_between_is_told_of() {
    let (_, result) = run(None, etrn, |mut talk| async move {
        talk.greet(&["ETRN"]).await;
        talk.hear().await;
        talk.say("250 ok").await;
        talk.hear().await;
    })
    .await;
    let failure = result.unwrap_err();
    assert!(failure.class() == Class::TryAgain && failure.text().contains("ETRN"), "{failure}");
}

#[tokio::test]
async fn the_record_says_what_was_announced() {
    let bench = Bench::new();
    let provider = Provider::once(|mut talk| async move {
        talk.greet(&["ETRN"]).await;
        for _ in 0..2 {
            talk.hear().await;
            talk.say("253 3 messages").await;
        }
        talk.hear().await;
    })
    .await;
    let mut settings = server(provider.port(), None);
    etrn(&mut settings);
    settings.expect = Some(Expect { within: Duration::from_millis(1), at: bench.path().join("box") });
    let (_, result) = bench.collect(&settings).await;
    assert_eq!(result.unwrap(), Kind::Asked);
    provider.ended().await;
    let record = bench.context.state.read().unwrap().remove(&settings.name).unwrap();
    assert_eq!((record.tally.announced, record.result, record.failures), (6, Some(Kind::Asked), 0));
    assert!(record.last_run.is_some() && record.last_success >= record.last_run && record.reason.is_none());
}
