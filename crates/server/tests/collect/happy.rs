//! What happens when everybody behaves.

use std::sync::Arc;

use restante_net::{ClientConnection, ClientTls, Connecting};
use restante_smtp::{ClientConfig, ClientEvent, ClientSession, Credentials, Mechanism, Secret};

use crate::caller::{Caller, LIMIT};
use crate::customer::Customer;
use crate::world::{PASSWORD, World, domain};

/// The next event of a client machine.
async fn next(connection: &mut ClientConnection<restante_net::Stream>) -> ClientEvent {
    loop {
        if let Some(event) = connection.poll_event() {
            return event;
        }
        connection.exchange().await;
    }
}

fn now() -> std::time::Instant {
    std::time::Instant::now()
}

// [9266-2] [2645-5.3-greeting] [2645-5.2.1-oldest]
#[tokio::test]
async fn a_customer_collects_over_tls_with_scram_plus() {
    let world = World::new();
    let texts = world.alternate(6).await;
    let stream = Connecting { address: world.odmr(), source: None, limit: LIMIT }.connect().await.unwrap();
    let config = Arc::new(ClientConfig { hostname: domain("customer.example"), own_names: Vec::new() });
    let mut connection = ClientConnection::new(stream, ClientSession::new(config.clone(), now()));
    assert_eq!(next(&mut connection).await, ClientEvent::Ready);
    assert!(connection.session_mut().start_tls(now()));
    assert_eq!(next(&mut connection).await, ClientEvent::TlsGranted);
    let fresh = |now| ClientSession::after_tls(config.clone(), now);
    let name = "mx2.example".try_into().unwrap();
    let mut connection = connection.upgrade(&ClientTls::opportunistic(), name, fresh).await.unwrap();
    assert_eq!(next(&mut connection).await, ClientEvent::Ready);
    let mut channel = connection.stream().channel().unwrap();
    let credentials = Credentials {
        name: "ada".to_owned(),
        password: Some(Secret::new(PASSWORD.to_owned())),
        external: false,
        plain: false,
    };
    let mechanism = connection.session_mut().authenticate(now(), &credentials, &mut channel);
    assert_eq!(mechanism.unwrap(), Mechanism::ScramSha256Plus);
    assert_eq!(next(&mut connection).await, ClientEvent::Authenticated);
    assert!(connection.session_mut().atrn(now(), &[domain("b.example"), domain("a.example")]));
    assert_eq!(next(&mut connection).await, ClientEvent::Turned);
    let stream = connection.turned().unwrap();
    assert_eq!(stream.tls().unwrap().version, "TLS1.3");
    let session = Customer::new().take(stream).await;
    assert_eq!(session.texts(), texts, "oldest first over both domains");
    assert_eq!(session.heard[0], "EHLO mx2.example");
    assert_eq!(session.heard.last().unwrap(), "QUIT");
    assert!(!session.heard.iter().any(|line| line.starts_with("STARTTLS")), "TLS stands");
    world.until_quiet().await;
    assert_eq!(world.waiting(), 0);
    assert_eq!((world.result("a.example"), world.result("b.example")), both("delivered all"));
}

fn both(result: &str) -> (String, String) {
    (result.to_owned(), result.to_owned())
}

// [2645-5.2.1-all]
#[tokio::test]
async fn without_a_name_all_domains_of_the_identity_come_and_no_others() {
    let world = World::new();
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    world.mail(&["c.example"], "A: 2\r\n\r\n").await;
    world.mail(&["shared.example"], "A: 3\r\n\r\n").await;
    // For one of hers and one of somebody else's: hers goes, the other stays.
    world.mail(&["c.example", "b.example"], "A: 4\r\n\r\n").await;
    let stream = Caller::known(world.smtp(), "ada").await.turn("ATRN").await;
    let session = Customer::new().take(stream).await;
    assert_eq!(session.texts(), ["A: 1\r\n\r\n", "A: 3\r\n\r\n", "A: 4\r\n\r\n"]);
    let recipients: Vec<_> = session.taken.iter().flat_map(|taken| taken.recipients.clone()).collect();
    assert_eq!(recipients, ["user@a.example", "user@shared.example", "user@b.example"]);
    world.until_quiet().await;
    assert_eq!((world.waiting(), world.stats("c.example").messages), (0, 2));
}

/// One copy crosses a slow line, not two.
#[tokio::test]
async fn a_message_for_two_of_the_domains_comes_once() {
    let world = World::new();
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    world.mail(&["a.example", "b.example"], "A: 2\r\n\r\n").await;
    world.mail(&["b.example"], "A: 3\r\n\r\n").await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN a.example,b.example").await;
    let session = Customer::new().take(stream).await;
    assert_eq!(session.texts(), ["A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n"]);
    assert_eq!(session.taken[1].recipients, ["user@a.example", "user@b.example"]);
    world.until_quiet().await;
    assert_eq!(world.waiting(), 0);
    for name in ["a.example", "b.example"] {
        assert_eq!(world.stats(name).last_drain.unwrap().delivered, 2);
    }
}

/// What is said about the recipients of one domain is noted there, and not in the other.
#[tokio::test]
async fn a_message_for_two_domains_has_an_outcome_in_each() {
    let world = World::new();
    world.mail(&["b.example", "a.example"], "A: 1\r\n\r\n").await;
    world.mail(&["a.example", "b.example"], "A: 2\r\n\r\n").await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN").await;
    let session = Customer::new().refusing("@b.example").take(stream).await;
    assert!(session.taken.iter().all(|taken| taken.recipients == ["user@a.example"]), "{session:?}");
    world.until_quiet().await;
    let last = |name: &str| world.stats(name).last_drain.unwrap();
    assert_eq!((last("a.example").delivered, last("a.example").failed), (2, 0));
    assert_eq!((last("b.example").delivered, last("b.example").failed), (0, 2));
    assert_eq!((world.result("a.example").as_str(), world.waiting()), ("delivered all", 0));
    assert_eq!(world.result("b.example"), "550 5.1.1 no such user");
}

// [2645-5.2.1-450] [2645-5.2.1-453]
#[tokio::test]
async fn refusals_leave_the_connection_as_it_was() {
    let world = World::new();
    let mut caller = Caller::known(world.odmr(), "ada").await;
    caller.talk(&[("ATRN a.example", "453 "), ("NOOP", "250")]).await;
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    world.mail(&["c.example"], "A: 2\r\n\r\n").await;
    caller
        .talk(&[
            ("ATRN a.example,c.example", "450 "),
            ("ATRN nowhere.example", "450 "),
            ("ATRN a", "501"),
            ("NOOP", "250"),
        ])
        .await;
    assert!(world.drains.is_empty(), "nothing was begun");
    assert!(world.stats("a.example").draining.is_none());
    let session = Customer::new().take(caller.turn("ATRN a.example").await).await;
    assert_eq!(session.texts(), ["A: 1\r\n\r\n"]);
}

// [2645-5.2.1-451]
#[tokio::test]
async fn a_stopped_domain_is_451() {
    use restante_queue::{HoldKind, HoldOrder, QueueStore};
    let world = World::new();
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    world
        .store
        .hold_domain(&domain("a.example"), HoldOrder::new(HoldKind::Operator, "maintenance"))
        .await
        .unwrap();
    Caller::known(world.odmr(), "ada").await.talk(&[("ATRN a.example", "451 4.3.0")]).await;
    assert!(world.drains.is_empty());
}

// [2645-5.4]
#[tokio::test]
async fn the_listener_for_relay_does_nothing_else() {
    let world = World::new();
    let mut caller = Caller::connect(world.odmr()).await;
    caller.talk(&[("ATRN", "530"), ("AUTH PLAIN AA==", "530")]).await;
    let (mut caller, offer) = Caller::secured_with(world.odmr(), None).await;
    assert!(offer.contains("ATRN") && offer.contains("AUTH SCRAM-SHA-256-PLUS"), "{offer}");
    caller
        .talk(&[
            ("ATRN a.example", "530"),
            ("MAIL FROM:<>", "502"),
            ("ETRN a.example", "502"),
            ("TURN", "502"),
            ("HELP", "502"),
            ("NOOP", "250"),
            ("QUIT", "221"),
        ])
        .await;
}

/// New mail that comes during the drain of its domain goes with it when somebody asks for it.
#[tokio::test]
async fn an_etrn_during_the_drain_is_served_over_its_connection() {
    use restante_queue::{DrainCause, QueueStore};
    let world = Arc::new(World::new());
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN a.example").await;
    let (handle, during) = (tokio::runtime::Handle::current(), Arc::clone(&world));
    let customer = Customer::new().saying(move |number| {
        if number == 0 {
            let world = Arc::clone(&during);
            let late = handle.spawn(async move {
                world.mail(&["a.example"], "A: 2\r\n\r\n").await;
                world.store.start_drain(&domain("a.example"), DrainCause::Etrn).unwrap();
            });
            // The answer waits for it.
            while !late.is_finished() {
                std::thread::yield_now();
            }
        }
        None
    });
    let session = tokio::task::spawn_blocking({
        let handle = tokio::runtime::Handle::current();
        move || handle.block_on(customer.take(stream))
    });
    assert_eq!(session.await.unwrap().texts(), ["A: 1\r\n\r\n", "A: 2\r\n\r\n"]);
}

/// A connection that was turned still takes a place among those of its client.
#[tokio::test]
async fn a_turned_connection_keeps_its_place() {
    use restante_server::ServerLimits;
    let limits = ServerLimits { connections_per_client: 1, ..ServerLimits::default() };
    let world = World::of(crate::world::Plan { limits, ..crate::world::Plan::default() });
    world.mail(&["a.example"], "A: 1\r\n\r\n").await;
    let stream = Caller::known(world.odmr(), "ada").await.turn("ATRN a.example").await;
    world.until(|| world.server.connections() == 0).await;
    let connecting = Connecting { address: world.odmr(), source: None, limit: LIMIT };
    let mut refused = connecting.connect().await.unwrap();
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut refused, &mut said).await.unwrap();
    assert!(said.starts_with("421 4.7.0"), "{said}");
    Customer::new().take(stream).await;
    world.until_quiet().await;
    Caller::connect(world.odmr()).await;
}
