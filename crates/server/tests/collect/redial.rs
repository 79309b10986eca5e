//! A customer that calls again while we still wait for its dead line.

use std::time::Duration;

use restante_queue::{DrainCause, QueueStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::caller::Caller;
use crate::customer::Customer;
use crate::world::{Plan, World, domain};

/// [2645-redial]
#[tokio::test]
async fn a_redial_takes_the_place_of_the_drain_before_it() {
    let world = World::new();
    let texts = world.alternate(5).await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    // Two messages are acknowledged, then the line is as good as dead.
    let silent = Customer::new().saying(|number| (number == 2).then_some(""));
    let dead = tokio::spawn(async move { silent.take(stream).await });
    world.until(|| world.waiting() == 3).await;
    let began = Instant::now();
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let session = Customer::new().take(stream).await;
    assert_eq!(session.texts(), texts[2..], "what was acknowledged does not come again");
    world.until_quiet().await;
    assert_eq!(world.waiting(), 0);
    dead.abort();
}

/// [2645-redial] A drain whose customer has not greeted gives way to every owner, one that is under way only to its own.
#[tokio::test]
async fn who_shares_a_domain_waits_for_a_drain_under_way() {
    let world = World::new();
    world.mail(&["shared.example"], "A: 1\r\n\r\n").await;
    world.mail(&["shared.example"], "A: 2\r\n\r\n").await;
    let unborn = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    let stream = Caller::known(world.odmr(), "bob").await.turn("ATRN shared.example").await;
    let silent = Customer::new().saying(|number| (number == 1).then_some(""));
    let under_way = tokio::spawn(async move { silent.take(stream).await });
    world.until(|| world.stats("shared.example").messages == 1).await;
    let mut ada = Caller::known(world.odmr(), "ada").await;
    ada.talk(&[("ATRN shared.example", "451 4.3.0"), ("NOOP", "250")]).await;
    // Another domain of hers is free all the same.
    world.mail(&["a.example"], "A: 3\r\n\r\n").await;
    let session = Customer::new().take(ada.turn("ATRN").await).await;
    assert_eq!(session.texts(), ["A: 3\r\n\r\n"]);
    assert_eq!(world.stats("shared.example").messages, 1, "it is still bob's turn");
    under_way.abort();
    drop(unborn);
}

/// [2645-7-451] A drain to the primary that has its connection goes on; whoever calls meanwhile is told to come later.
#[tokio::test]
async fn a_drain_to_the_primary_is_not_cut_in_two() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let primary = listener.local_addr().unwrap();
    let world = World::of(Plan { primary, ..Plan::default() });
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    world.store.start_drain(&domain("a.example"), DrainCause::Etrn).unwrap();
    let (mut connection, _) = listener.accept().await.unwrap();
    connection.write_all(b"220 primary.example\r\n").await.unwrap();
    let mut octets = [0; 64];
    let count = timeout(Duration::from_secs(20), connection.read(&mut octets)).await.unwrap().unwrap();
    assert!(octets[..count].starts_with(b"EHLO"));
    connection.write_all(b"250 primary.example\r\n").await.unwrap();
    let count = connection.read(&mut octets).await.unwrap();
    assert!(octets[..count].starts_with(b"MAIL"));
    let mut caller = Caller::known(world.odmr(), "ada").await;
    caller.talk(&[("ATRN a.example", "451 4.3.0")]).await;
}

/// [2645-unreached] A primary that does not answer keeps nobody from its mail who stands at the door.
#[tokio::test]
async fn a_drain_that_reached_nobody_gives_way() {
    // Connections to it stand in the kernel, and nobody greets.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::of(Plan { primary: listener.local_addr().unwrap(), ..Plan::default() });
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    world.store.start_drain(&domain("a.example"), DrainCause::Etrn).unwrap();
    let (_held, _) = listener.accept().await.unwrap();
    assert!(world.stats("a.example").draining.is_some());
    let began = Instant::now();
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN a.example").await;
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let session = Customer::new().take(stream).await;
    assert_eq!(session.texts(), ["A: 1\r\n\r\n"]);
    world.until_quiet().await;
    assert_eq!(world.waiting(), 0);
}

/// [4954-9-revoked] A right that goes while the earlier drain is waited for is gone: the new drain was not yet known to
/// whoever ends those without a right.
#[tokio::test]
async fn a_right_that_goes_while_a_call_waits_is_gone() {
    let world = World::new();
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    let mut old = world.drains.begin("ada", vec![domain("a.example")]);
    let mut caller = Caller::known(world.odmr(), "ada").await;
    caller.send("ATRN\r\n").await;
    // From here on the request has been allowed, and waits.
    old.cancelled().await;
    world.disown();
    drop(old);
    let answer = caller.reply().await;
    assert!(answer.starts_with("451 4.3.0"), "{answer}");
    assert_eq!((world.drains.len(), world.stats("a.example").messages), (0, 1));
}
