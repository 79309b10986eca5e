//! The whole way, over real connections on loopback.

use std::collections::HashSet;

use restante_delivery::DomainDelivery;
use restante_queue::DrainCause;
use restante_types::DeliveryState;

use crate::support::{Manner, Sink, World, content};

const GREETING: &str = "220 primary.example ESMTP\r\n";

fn several() -> DomainDelivery {
    DomainDelivery { connections: 4, ..DomainDelivery::default() }
}

fn one() -> DomainDelivery {
    DomainDelivery { connections: 1, ..DomainDelivery::default() }
}

#[tokio::test]
async fn every_message_arrives_once_and_as_it_was() {
    let sink = Sink::start(GREETING, |_, _| Manner::Take).await;
    let world = World::wired(sink.address, several());
    world.fill(1000);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let taken = sink.taken();
    assert_eq!(taken.len(), 1000);
    let expected: HashSet<String> = (0..1000).map(|number| content(World::id(number))).collect();
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), expected);
    assert_eq!(world.store.waiting(&world.domain), 0);
    assert_eq!(world.last_result(), "delivered all");
    assert!((2..=4).contains(&sink.connections()), "{}", sink.connections());
}

#[tokio::test]
async fn what_was_not_answered_is_sent_again_and_nothing_else() {
    let sink = Sink::start(GREETING, |number, _| if number == 30 { Manner::Cut } else { Manner::Take }).await;
    let world = World::wired(sink.address, one());
    world.fill(100);
    for drain in 1..=4 {
        world.ask(DrainCause::Etrn);
        world.drains(drain).await;
    }
    assert_eq!(world.store.waiting(&world.domain), 0);
    let taken = sink.taken();
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 100);
    // One message per cut line was taken without an answer; only those come twice.
    assert_eq!(taken.len(), 103);
}

#[tokio::test]
async fn each_recipient_gets_its_own_outcome() {
    let sink = Sink::start(GREETING, |_, _| Manner::Take).await;
    let world = World::wired(sink.address, one());
    world.queue(&world.domain, 1, 4, None);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let row = world.store.row(&world.domain, World::id(1));
    let states =
        [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Deferred, DeliveryState::Delivered];
    assert_eq!(row.states, states);
    assert_eq!(row.replies[1].as_ref().unwrap().to_string(), "550 5.1.1 no such user");
    assert_eq!(row.replies[2].as_ref().unwrap().to_string(), "452 4.2.2 full");
    assert_eq!(sink.taken(), [content(World::id(1))]);
}

#[tokio::test]
async fn refused_after_the_content_is_parked_or_stays() {
    let sink = Sink::start(GREETING, |number, _| match number {
        1 => Manner::Say("554 5.6.0 I do not like it\r\n"),
        2 => Manner::Say("451 4.3.0 not now\r\n"),
        _ => Manner::Take,
    })
    .await;
    let world = World::wired(sink.address, one());
    world.fill(3);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let state = |number| world.store.row(&world.domain, World::id(number)).states[0];
    assert_eq!(
        [state(0), state(1), state(2)],
        [DeliveryState::Failed, DeliveryState::Deferred, DeliveryState::Delivered]
    );
}

#[tokio::test]
async fn nobody_there_is_told_in_status() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let world = World::wired(address, one());
    world.fill(10);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    let port = address.port();
    assert_eq!(world.last_result(), format!("450 4.4.1 connection refused by [127.0.0.1]:{port}"));
    assert_eq!(world.store.waiting(&world.domain), 10);
}

#[tokio::test]
async fn a_greeting_with_our_own_name_is_a_loop() {
    let sink = Sink::start("220 mx2.example.net ESMTP\r\n", |_, _| Manner::Take).await;
    let world = World::wired(sink.address, one());
    world.fill(10);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert!(world.store.reports(&world.domain)[0].misrouted, "{}", world.last_result());
    assert_eq!(world.store.waiting(&world.domain), 10);
}

#[tokio::test]
async fn a_server_that_refuses_everybody_defers() {
    // 5yz to the greeting is about the moment, not about the messages
    let sink = Sink::start("554 5.3.2 go away\r\n", |_, _| Manner::Take).await;
    let world = World::wired(sink.address, one());
    world.fill(10);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.store.waiting(&world.domain), 10);
    assert!(world.last_result().contains("5.3.2"), "{}", world.last_result());
}
