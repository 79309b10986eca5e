//! Customers that do not behave.

use restante_queue::{HoldKind, HoldOrder, QueueStore};
use tokio::io::AsyncWriteExt;

use crate::caller::Caller;
use crate::customer::Customer;
use crate::world::{World, domain};

/// [2645-early] What stands behind ATRN would pass for the greeting: nothing of it is read, and nothing is sent.
#[tokio::test]
async fn a_greeting_that_comes_with_the_command_closes() {
    for command in ["ATRN a.example", "ATRN"] {
        let world = World::new();
        world.mail(&["a.example"], "A: 1\r\n\r\n").await;
        let mut caller = Caller::known(world.odmr(), "ada").await;
        let said = caller.ask(&format!("{command}\r\n220 customer.example ready\r\n")).await;
        assert!(said.starts_with("554 5.5.0"), "{said}");
        assert_eq!(caller.reply().await, "", "closed, and no 250 before it");
        world.until_quiet().await;
        assert_eq!(world.stats("a.example").messages, 1);
        assert!(world.stats("a.example").last_drain.is_none_or(|drain| drain.delivered == 0));
        // Its lease is free again.
        let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN a.example").await;
        assert_eq!(Customer::new().take(stream).await.texts(), ["A: 1\r\n\r\n"]);
    }
}

#[tokio::test]
async fn a_customer_that_greets_554_gets_nothing_and_the_report_says_so() {
    let world = World::new();
    world.alternate(3).await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    let session = Customer::new().greeting("554 5.3.2 closed for today").take(stream).await;
    assert_eq!(session.heard, ["QUIT"]);
    world.until_quiet().await;
    assert_eq!(world.waiting(), 3);
    assert_eq!(world.result("a.example"), "554 5.3.2 closed for today");
    assert_eq!(world.result("b.example"), "554 5.3.2 closed for today");
}

#[tokio::test]
async fn a_customer_that_hangs_up_or_talks_nonsense_gets_nothing() {
    for nonsense in ["", "GET / HTTP/1.1\r\n\r\n", "220-\r\n", "999 what\r\n"] {
        let world = World::new();
        world.mail(&["a.example"], "A: 1\r\n\r\n").await;
        let mut stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        world.until_quiet().await;
        assert_eq!(world.waiting(), 1, "{nonsense:?}");
        assert!(world.result("a.example").starts_with("450 4."), "{}", world.result("a.example"));
    }
}

/// The operator's stop ends the drain of that domain behind the message under way; the other goes on.
#[tokio::test]
async fn a_domain_that_is_stopped_during_the_drain_stays() {
    let world = std::sync::Arc::new(World::new());
    let texts = world.alternate(150).await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    let stopping = std::sync::Arc::clone(&world);
    let handle = tokio::runtime::Handle::current();
    let customer = Customer::new().saying(move |number| {
        if number == 10 {
            let world = std::sync::Arc::clone(&stopping);
            let name = domain("b.example");
            let stopped = handle.spawn(async move {
                world.store.hold_domain(&name, HoldOrder::new(HoldKind::Operator, "wait")).await
            });
            while !stopped.is_finished() {
                std::thread::yield_now();
            }
        }
        None
    });
    let handle = tokio::runtime::Handle::current();
    let session = tokio::task::spawn_blocking(move || handle.block_on(customer.take(stream))).await.unwrap();
    world.until_quiet().await;
    assert_eq!(world.stats("a.example").messages, 0, "nobody stopped this one");
    let left = world.stats("b.example").messages;
    assert!(left > 0 && left < 75, "{left}");
    assert_eq!(session.taken.len() as u64, 150 - left);
    assert!(session.texts().iter().all(|text| texts.iter().any(|sent| sent == text)));
    assert!(world.result("b.example").contains("the domain was stopped"), "{}", world.result("b.example"));
}

/// Whoever loses its right to one of the domains loses the connection, and no mail.
#[tokio::test]
async fn a_right_that_is_taken_away_ends_the_drain() {
    let world = World::new();
    world.alternate(3).await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    let customer = Customer::new().saying(|number| (number == 1).then_some(""));
    let taking = tokio::spawn(async move { customer.take(stream).await });
    world.until(|| world.stats("a.example").draining.is_some_and(|drain| drain.delivered == 1)).await;
    assert_eq!(world.drains.end_unless(|_, name| *name != domain("b.example")), 1);
    world.until_quiet().await;
    taking.abort();
    assert_eq!(world.waiting(), 2);
    assert!(world.result("b.example").contains("cancelled"), "{}", world.result("b.example"));
}

/// A list of ten thousand domains.
#[tokio::test]
async fn a_list_without_end_is_refused() {
    let world = World::new();
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    let mut caller = Caller::known(world.odmr(), "ada").await;
    let list: Vec<String> = (0..10_000).map(|number| format!("d{number}.example")).collect();
    let said = caller.ask(&format!("ATRN {}\r\n", list.join(","))).await;
    assert!(said.starts_with("500 ") || said.starts_with("501 ") || said.starts_with("450 "), "{said}");
    caller.talk(&[("NOOP", "250")]).await;
}
