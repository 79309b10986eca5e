//! With the real store in a directory of its own, over real connections.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use restante_delivery::{
    Clock, Courier, Delivery, DeliveryParts, DomainDelivery, Mode, NextHop, NoRequesters, Nobody,
};
use restante_queue::conformance::message;
use restante_queue::{
    DomainStats, DrainCause, EmbeddedOptions, EmbeddedStore, Filter, HoldKind, HoldOrder, QueueStore,
};
use restante_types::{DeliveryState, Domain, DomainMap, ReversePath, UnixMillis};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::{Manner, ScriptedDns, Sink, World, all_of, domain};

const GREETING: &str = "220 primary.example ESMTP\r\n";

struct House {
    store: Arc<EmbeddedStore>,
    delivery: Option<Delivery>,
    domain: Domain,
    mode: Mode,
    _directory: TempDir,
}

fn now() -> UnixMillis {
    SystemTime::now().into()
}

impl House {
    fn new(primary: std::net::SocketAddr, delivery: DomainDelivery) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(EmbeddedOptions::new(directory.path())).unwrap());
        let mode = delivery.mode;
        let mut domains = DomainMap::default();
        domains.insert(
            domain("example.org"),
            true,
            DomainDelivery { primary: NextHop::Literal(primary), ..delivery },
        );
        let settings = Arc::new(ArcSwap::from_pointee(World::settings(domains)));
        let clock: Clock = Arc::new(now);
        let delivery = Delivery::start(DeliveryParts {
            store: store.clone(),
            settings,
            lookup: Arc::new(ScriptedDns::new("")),
            carrier: Arc::new(Courier::default()),
            requesters: Arc::new(NoRequesters),
            witness: Arc::new(Nobody),
            clock,
        });
        Self { store, delivery: Some(delivery), domain: domain("example.org"), mode, _directory: directory }
    }

    async fn accept(&self, domain: &Domain, text: &str) {
        let recipient = format!("user0@{domain}");
        let mut message = message(&*self.store, now(), &[&recipient], text.as_bytes()).await;
        message.envelope.sender = ReversePath::Null;
        message.destinations[0].first_attempt = (self.mode == Mode::Push).then(now);
        self.store.accept(message).await.unwrap();
    }

    async fn fill(&self, count: usize) -> HashSet<String> {
        let texts: Vec<String> =
            (0..count).map(|n| format!("Subject: {n}\r\n\r\n{}\r\n", "x".repeat(n % 3000))).collect();
        for some in texts.chunks(50) {
            let accepted = some.iter().map(|text| self.accept(&self.domain, text));
            all_of(accepted).await;
        }
        texts.into_iter().collect()
    }

    fn stats(&self) -> DomainStats {
        self.store.stats(&self.domain)
    }

    async fn until(&self, what: impl Fn(&DomainStats) -> bool) -> DomainStats {
        let began = Instant::now();
        loop {
            let stats = self.stats();
            if what(&stats) {
                return stats;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{stats:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn close(mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.shutdown(Duration::from_secs(60)).await;
        }
        self.store.close().await;
    }
}

const fn idle(stats: &DomainStats) -> bool {
    stats.draining.is_none() && stats.last_drain.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_among_others_each_once() {
    let sink = Sink::start(GREETING, |_, _| Manner::Take).await;
    let house = House::new(sink.address, DomainDelivery::default());
    let other = domain("other.example.org");
    house.accept(&other, "Subject: other\r\n\r\nnot yours\r\n").await;
    let expected = house.fill(1000).await;
    let began = Instant::now();
    let started = house.store.start_drain(&house.domain, DrainCause::Etrn).unwrap();
    assert_eq!(started.messages, 1000);
    while sink.taken().len() < 1000 {
        assert!(began.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(1)).await;
    }
    println!("1000 messages in {:?}", began.elapsed());
    let stats = house.until(idle).await;
    assert_eq!((stats.messages, stats.bytes), (0, 0));
    let last = stats.last_drain.unwrap();
    assert_eq!((last.delivered, last.result.as_str()), (1000, "delivered all"));
    let taken = sink.taken();
    assert_eq!(taken.len(), 1000);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), expected);
    assert_eq!(house.store.stats(&other).messages, 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_in_the_middle_loses_and_repeats_nothing() {
    let held = Arc::new(AtomicBool::new(false));
    let stands = held.clone();
    let sink = Sink::start(GREETING, move |_, _| {
        // Slow until the hold stands, so that it comes in the middle.
        std::thread::sleep(Duration::from_millis(if stands.load(Ordering::SeqCst) { 1 } else { 10 }));
        Manner::Take
    })
    .await;
    let house = House::new(sink.address, DomainDelivery { connections: 2, ..DomainDelivery::default() });
    let expected = house.fill(600).await;
    house.store.start_drain(&house.domain, DrainCause::Etrn).unwrap();
    while sink.taken().len() < 100 {
        sleep(Duration::from_millis(1)).await;
    }
    house.store.hold_domain(&house.domain, HoldOrder::new(HoldKind::Operator, "maintenance")).await.unwrap();
    held.store(true, Ordering::SeqCst);
    let stats = house.until(idle).await;
    assert_eq!(stats.messages as usize + sink.taken().len(), 600);
    assert!(stats.messages > 0);
    house.store.release_domain(&house.domain).await.unwrap();
    house.store.start_drain(&house.domain, DrainCause::Flush).unwrap();
    house.until(|stats| stats.messages == 0).await;
    let taken = sink.taken();
    assert_eq!(taken.len(), 600);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), expected);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_mode_sends_as_it_comes() {
    let sink = Sink::start(GREETING, |_, _| Manner::Take).await;
    let house = House::new(sink.address, DomainDelivery { mode: Mode::Push, ..DomainDelivery::default() });
    house.accept(&house.domain, "Subject: one\r\n\r\n1\r\n").await;
    house.until(|stats| idle(stats) && stats.messages == 0).await;
    house.accept(&house.domain, "Subject: two\r\n\r\n2\r\n").await;
    house.until(|stats| idle(stats) && stats.messages == 0).await;
    assert_eq!(sink.taken().len(), 2);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_and_deferred_are_seen_in_the_list() {
    let sink = Sink::start(GREETING, |_, content| match content {
        text if text.contains("bad") => Manner::Say("554 5.6.0 no\r\n"),
        text if text.contains("later") => Manner::Say("451 4.3.0 not now\r\n"),
        _ => Manner::Take,
    })
    .await;
    let house = House::new(sink.address, DomainDelivery::default());
    for text in ["good", "bad", "later"] {
        house.accept(&house.domain, &format!("Subject: {text}\r\n\r\n{text}\r\n")).await;
    }
    house.store.start_drain(&house.domain, DrainCause::Etrn).unwrap();
    let stats = house.until(idle).await;
    assert_eq!(stats.messages, 1);
    let page = house.store.list(&Filter::default(), None, 10).await.unwrap();
    let seen: Vec<_> = page.entries.iter().map(|entry| (entry.state, entry.next_attempt)).collect();
    assert_eq!(seen, [(DeliveryState::Failed, None), (DeliveryState::Deferred, None)]);
    let reply = page.entries[1].recipients[0].last_reply.clone().unwrap();
    assert_eq!(reply.to_string(), "451 4.3.0 not now");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_says_nothing_holds_up_no_shutdown() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let house = House::new(silent.local_addr().unwrap(), DomainDelivery::default());
    house.accept(&house.domain, "Subject: one\r\n\r\n1\r\n").await;
    house.store.start_drain(&house.domain, DrainCause::Etrn).unwrap();
    let _held_open = silent.accept().await.unwrap();
    let (began, store, domain) = (Instant::now(), house.store.clone(), house.domain.clone());
    house.close().await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let stats = store.stats(&domain);
    assert_eq!((stats.messages, stats.draining), (1, None));
}
