//! TURN, RFC 821.

use crate::caller::Caller;
use crate::customer::Customer;
use crate::world::World;

/// [821-turn] [821-turn-refused] Off for whom it is not switched on, and never announced.
#[tokio::test]
async fn turn_is_for_accounts_that_have_it() {
    let world = World::new();
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    let (_, offer) = Caller::secured_with(world.smtp(), None).await;
    assert!(!offer.contains("TURN"), "{offer}");
    let mut caller = Caller::known(world.smtp(), "ada").await;
    caller.talk(&[("TURN", "502"), ("NOOP", "250")]).await;
    assert_eq!(world.waiting(), 1);
}

/// [821-turn] With mail, and without.
#[tokio::test]
async fn turn_sends_what_is_held_and_says_quit() {
    let world = World::new();
    world.mail(&["t.example"], "A: 1\r\n\r\n").await;
    let stream = Caller::known(world.smtp(), "turner").await.turn("TURN").await;
    let session = Customer::new().take(stream).await;
    assert_eq!(session.texts(), ["A: 1\r\n\r\n"]);
    world.until_quiet().await;
    let stream = Caller::known(world.smtp(), "turner").await.turn("TURN").await;
    let session = Customer::new().take(stream).await;
    assert_eq!(session.heard, ["EHLO mx2.example", "QUIT"]);
}

/// [2645-early] The same for TURN.
#[tokio::test]
async fn nothing_early_crosses_turn() {
    let world = World::new();
    let mut caller = Caller::known(world.smtp(), "turner").await;
    let said = caller.ask("TURN\r\n220 customer.example\r\n").await;
    assert!(said.starts_with("554 5.5.0"), "{said}");
    assert_eq!(caller.reply().await, "");
}
