//! Connections that were turned, as delivery gets them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use restante_delivery::{DomainDelivery, Leash, SessionLimits, Turned};
use restante_net::{Connecting, Listener, Stream};
use restante_queue::{DomainLease, DrainCause, HoldKind, LeaseAnswer, QueueStore};
use restante_types::{Domain, UnixMillis};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{World, content, domain};

const LIMIT: Duration = Duration::from_secs(20);

/// A leash that the test holds.
#[derive(Default)]
struct Rope {
    pull: Notify,
    pulled: AtomicBool,
    greeted: AtomicBool,
    dropped: AtomicBool,
}

struct Held(Arc<Rope>);

#[async_trait]
impl Leash for Held {
    async fn pulled(&mut self) {
        while !self.0.pulled.load(Ordering::SeqCst) {
            self.0.pull.notified().await;
        }
    }

    fn greeted(&self) {
        self.0.greeted.store(true, Ordering::SeqCst);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

/// Our end of a connection, and the customer's.
async fn connection() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local().unwrap();
    let connecting = Connecting { address, source: None, limit: LIMIT };
    let (there, here) = tokio::join!(connecting.connect(), listener.accept());
    (here.unwrap(), there.unwrap())
}

/// Messages alternately to two domains.
fn world(messages: u64) -> World {
    world_of(DomainDelivery::default(), messages)
}

fn world_of(delivery: DomainDelivery, messages: u64) -> World {
    let world = World::new(delivery, |_, _| crate::support::Script::default());
    for number in 0..messages {
        world.queue(&names()[usize::try_from(number % 2).unwrap()], number, 1, None);
    }
    world
}

fn names() -> [Domain; 2] {
    [domain("a.example.org"), domain("b.example.org")]
}

async fn leases(world: &World) -> Vec<DomainLease> {
    let mut leases = Vec::new();
    for name in names() {
        let Ok(LeaseAnswer::Leased(lease)) = world.store.lease(&name, DrainCause::Atrn).await else {
            panic!("nobody else drains");
        };
        leases.push(lease);
    }
    leases
}

async fn hand_in(
    world: &World,
    stream: Stream,
    leases: Vec<DomainLease>,
    limits: SessionLimits,
) -> Arc<Rope> {
    let rope = Arc::new(Rope::default());
    let leash = Box::new(Held(Arc::clone(&rope)));
    let (cause, identity) = (DrainCause::Atrn, "ada".to_owned());
    let turned = Turned { stream, leases, cause, identity, limits, leash };
    world.delivery.door().send(turned).await.unwrap_or_else(|_| panic!("it takes calls"));
    rope
}

async fn over(rope: &Rope) {
    let began = Instant::now();
    while !rope.dropped.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(3600));
        sleep(Duration::from_millis(1)).await;
    }
}

fn results(world: &World) -> Vec<String> {
    names().iter().map(|name| world.store.reports(name).last().unwrap().result.clone()).collect()
}

fn waiting(world: &World) -> usize {
    names().iter().map(|name| world.store.waiting(name)).sum()
}

/// Takes everything; what came, and the last command.
async fn take(stream: Stream, pause: Duration) -> (Vec<String>, String) {
    take_but(stream, pause, "@nobody").await
}

/// Takes everything but for recipients with this in their address.
async fn take_but(stream: Stream, pause: Duration, refused: &str) -> (Vec<String>, String) {
    let (mut stream, mut taken, mut line) = (BufReader::new(stream), Vec::new(), String::new());
    stream.write_all(b"220 customer.example\r\n").await.unwrap();
    loop {
        line.clear();
        if timeout(LIMIT, stream.read_line(&mut line)).await.unwrap().unwrap() == 0 {
            return (taken, line);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[0] {
            "EHLO" => "250-customer.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
            "BDAT" => {
                let mut chunk = vec![0; words[1].parse().unwrap()];
                stream.read_exact(&mut chunk).await.unwrap();
                taken.push(String::from_utf8(chunk).unwrap());
                sleep(pause).await;
                "250 ok\r\n"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await.unwrap();
                return (taken, line);
            }
            "RCPT" if line.contains(refused) => "550 5.1.1 nobody here\r\n",
            _ => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn expected(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| content(World::id(number))).collect()
}

const SPENT: &str = "the limit of one session was reached";

/// [2645-limits] So many messages and no more; then QUIT, and the next call brings the rest.
#[tokio::test]
async fn a_session_ends_with_its_messages() {
    let world = world(10);
    for (limit, from, to) in [(7, 0, 7), (7, 7, 10)] {
        let (ours, theirs) = connection().await;
        let limits = SessionLimits { messages: limit, ..SessionLimits::default() };
        let rope = hand_in(&world, ours, leases(&world).await, limits).await;
        let (taken, last) = take(theirs, Duration::ZERO).await;
        assert_eq!((taken, last.trim_end()), (expected(from..to), "QUIT"));
        over(&rope).await;
        assert!(rope.greeted.load(Ordering::SeqCst));
        let cut_short = results(&world).iter().all(|result| result.ends_with(SPENT));
        assert_eq!(cut_short, to < 10, "{:?}", results(&world));
    }
    assert_eq!(waiting(&world), 0);
}

/// [2645-limits] The message that goes beyond the octets still goes, whole.
#[tokio::test]
async fn a_session_ends_with_its_octets() {
    let world = world(10);
    let size = content(World::id(0)).len() as u64;
    let (ours, theirs) = connection().await;
    let limits = SessionLimits { octets: 2 * size + 1, ..SessionLimits::default() };
    let rope = hand_in(&world, ours, leases(&world).await, limits).await;
    let (taken, last) = take(theirs, Duration::ZERO).await;
    assert_eq!((taken, last.trim_end()), (expected(0..3), "QUIT"));
    over(&rope).await;
    assert_eq!(waiting(&world), 7);
}

/// [2645-limits] When its time is over the messages under way are finished.
#[tokio::test]
async fn a_session_ends_with_its_time() {
    let world = world(1000);
    let (ours, theirs) = connection().await;
    let limits = SessionLimits { time: Duration::from_secs(1), ..SessionLimits::default() };
    let rope = hand_in(&world, ours, leases(&world).await, limits).await;
    let (taken, last) = take(theirs, Duration::from_millis(5)).await;
    assert_eq!(last.trim_end(), "QUIT");
    over(&rope).await;
    assert!(!taken.is_empty() && taken.len() < 1000, "{}", taken.len());
    assert_eq!(waiting(&world), 1000 - taken.len());
    assert!(results(&world).iter().all(|result| result.ends_with(SPENT)), "{:?}", results(&world));
}

/// [2645-5.3-greeting] Five minutes, then the leases are back and the report says why.
#[tokio::test]
async fn a_customer_that_never_greets_is_left() {
    let world = world(2);
    let (ours, _theirs) = connection().await;
    let leases = leases(&world).await;
    let rope = hand_in(&world, ours, leases, SessionLimits::default()).await;
    tokio::time::pause();
    let began = Instant::now();
    over(&rope).await;
    assert!(began.elapsed() >= Duration::from_secs(299), "{:?}", began.elapsed());
    assert!(!rope.greeted.load(Ordering::SeqCst));
    let said = &results(&world)[0];
    assert!(said.starts_with("450 4.4.2 the customer at") && said.contains("the greeting"), "{said}");
    assert_eq!(waiting(&world), 2);
}

/// [2645-5.2.1-empty] As after TURN, where nothing held is no refusal.
#[tokio::test]
async fn a_call_with_nothing_held_is_greeted_and_left() {
    let world = world(0);
    let (ours, theirs) = connection().await;
    let rope = hand_in(&world, ours, Vec::new(), SessionLimits::default()).await;
    let (taken, last) = take(theirs, Duration::ZERO).await;
    assert_eq!((taken.len(), last.trim_end()), (0, "QUIT"));
    over(&rope).await;
}

/// [2645-redial] Before the greeting nothing is waited for.
#[tokio::test]
async fn a_leash_pulled_before_the_greeting_ends_it_at_once() {
    let world = world(2);
    let (ours, mut theirs) = connection().await;
    let rope = hand_in(&world, ours, leases(&world).await, SessionLimits::default()).await;
    sleep(Duration::from_millis(20)).await;
    rope.pulled.store(true, Ordering::SeqCst);
    rope.pull.notify_waiters();
    let began = Instant::now();
    over(&rope).await;
    assert!(
        began.elapsed() < LIMIT,
        "a greeting is waited for as long as five minutes: {:?}",
        began.elapsed()
    );
    assert_eq!(theirs.read(&mut [0; 10]).await.unwrap_or(0), 0, "closed");
    assert!(results(&world)[0].contains("cancelled"), "{:?}", results(&world));
    assert_eq!(waiting(&world), 2);
}

/// What was said until the shutdown counts, what is under way is finished, the rest stays.
#[tokio::test]
async fn a_shutdown_lets_the_messages_under_way_finish() {
    let world = world(200);
    let (ours, theirs) = connection().await;
    let rope = hand_in(&world, ours, leases(&world).await, SessionLimits::default()).await;
    let taking = tokio::spawn(take(theirs, Duration::from_millis(5)));
    while waiting(&world) == 200 {
        sleep(Duration::from_millis(1)).await;
    }
    let store = world.store.clone();
    world.delivery.shutdown(Duration::from_secs(20)).await;
    assert!(rope.dropped.load(Ordering::SeqCst));
    let (taken, last) = taking.await.unwrap();
    assert_eq!(last.trim_end(), "QUIT");
    let left: usize = names().iter().map(|name| store.waiting(name)).sum();
    assert!(left > 0 && taken.len() == 200 - left, "{left} {}", taken.len());
}

/// A shutdown that has no patience left cuts the line; what was answered is recorded.
#[tokio::test]
async fn a_shutdown_without_patience_records_what_was_said() {
    let world = world(6);
    let (ours, theirs) = connection().await;
    let rope = hand_in(&world, ours, leases(&world).await, SessionLimits::default()).await;
    let answered = Arc::new(Mutex::new(0));
    let count = Arc::clone(&answered);
    let taking = tokio::spawn(async move {
        let (mut stream, mut line) = (BufReader::new(theirs), String::new());
        stream.write_all(b"220 customer.example\r\n").await.unwrap();
        loop {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.first().copied() {
                Some("BDAT") => {
                    let mut chunk = vec![0; words[1].parse().unwrap()];
                    stream.read_exact(&mut chunk).await.unwrap();
                    if *count.lock().unwrap() == 2 {
                        std::future::pending::<()>().await;
                    }
                    *count.lock().unwrap() += 1;
                    stream.write_all(b"250 ok\r\n").await.unwrap();
                }
                Some("EHLO") => stream.write_all(b"250-customer.example\r\n250 CHUNKING\r\n").await.unwrap(),
                _ => stream.write_all(b"250 ok\r\n").await.unwrap(),
            }
        }
    });
    while waiting(&world) > 4 {
        sleep(Duration::from_millis(1)).await;
    }
    let store = world.store.clone();
    world.delivery.shutdown(Duration::from_millis(50)).await;
    taking.abort();
    assert!(rope.dropped.load(Ordering::SeqCst));
    let left: usize = names().iter().map(|name| store.waiting(name)).sum();
    assert_eq!((left, *answered.lock().unwrap()), (4, 2));
}

/// A customer that refuses too much stops its domain, as a primary does; the other domain of the call goes on.
#[tokio::test]
async fn a_circuit_opens_on_a_turned_connection_too() {
    let world = world(100);
    let arrived = UnixMillis((world.clock)().0 - 2 * 3_600_000);
    for queue in world.store.inside().queues.values_mut() {
        queue.rows.values_mut().for_each(|row| row.arrived = arrived);
    }
    let (ours, theirs) = connection().await;
    let rope = hand_in(&world, ours, leases(&world).await, SessionLimits::default()).await;
    let (_, last) = take_but(theirs, Duration::ZERO, "@a.example.org").await;
    assert_eq!(last.trim_end(), "QUIT");
    over(&rope).await;
    let [refused, other] = names();
    assert_eq!(world.store.stats(&refused).held.map(|note| note.kind), Some(HoldKind::Circuit));
    assert!(results(&world)[0].starts_with("stopped: 5 of "), "{:?}", results(&world));
    assert_eq!(results(&world)[1], "delivered all");
    assert!(world.store.stats(&other).held.is_none() && world.store.waiting(&other) == 0);
    timeout(LIMIT, async {
        while world.store.waiting(&refused) < 50 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("what was refused goes back");
    assert_eq!(world.told.all().len(), 1);
}

/// Each domain of a call has its own rate; the line is kept while all of them wait.
#[tokio::test]
async fn the_rate_holds_on_a_turned_connection_too() {
    let rate = std::num::NonZeroU32::new(600);
    let world = world_of(DomainDelivery { rate, ..DomainDelivery::default() }, 12);
    let (ours, theirs) = connection().await;
    let began = Instant::now();
    let rope = hand_in(&world, ours, leases(&world).await, SessionLimits::default()).await;
    let (taken, last) = take(theirs, Duration::ZERO).await;
    assert_eq!((taken.len(), last.trim_end()), (12, "QUIT"));
    assert!(
        began.elapsed() >= Duration::from_millis(460),
        "six of each, ten a second: {:?}",
        began.elapsed()
    );
    over(&rope).await;
    assert_eq!(waiting(&world), 0);
}
