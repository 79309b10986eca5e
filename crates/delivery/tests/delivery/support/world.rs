//! A delivery with everything around it, on a clock that only tests move.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use restante_delivery::{
    Carrier, Clock, Courier, Delivery, DeliveryParts, DeliverySettings, DomainDelivery, Lookup, Mode, News,
    NextHop, NoRequesters, Requesters, Witness,
};
use restante_queue::{DrainCause, QueueStore};
use restante_types::{
    Body, DeliveryState, Domain, DomainMap, Envelope, QueueId, Recipient, Reply, ReversePath, UnixMillis,
};
use tokio::time::{Instant, sleep};

use super::carrier::{Script, ScriptedCarrier};
use super::dns::ScriptedDns;
use super::row::{Row, client};
use super::store::{FakeStore, content};

pub(crate) fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

pub(crate) fn reply(code: u16, text: &'static str) -> Reply {
    Reply::bare(code, text)
}

pub(crate) struct World {
    pub(crate) store: FakeStore,
    pub(crate) settings: Arc<ArcSwap<DeliverySettings>>,
    pub(crate) carrier: Arc<ScriptedCarrier>,
    pub(crate) delivery: Delivery,
    pub(crate) clock: Clock,
    pub(crate) domain: Domain,
    pub(crate) told: Told,
}

/// Keeps what it is told.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<News>>>);

impl Witness for Told {
    fn tell(&self, news: News) {
        self.0.lock().unwrap().push(news);
    }
}

impl Told {
    pub(crate) fn all(&self) -> Vec<News> {
        self.0.lock().unwrap().clone()
    }
}

const START: UnixMillis = UnixMillis(1_800_000_000_000);

impl World {
    /// One domain, `example.org`, pinned to an address.
    pub(crate) fn new(
        delivery: DomainDelivery,
        script: impl Fn(usize, &restante_delivery::Hop) -> Script + Send + Sync + 'static,
    ) -> Self {
        Self::with_dns(Arc::new(ScriptedDns::new("")), delivery, script)
    }

    pub(crate) fn with_dns(
        lookup: Arc<dyn Lookup>,
        delivery: DomainDelivery,
        script: impl Fn(usize, &restante_delivery::Hop) -> Script + Send + Sync + 'static,
    ) -> Self {
        let carrier = Arc::new(ScriptedCarrier::new(script));
        Self::with_carrier(lookup, delivery, (carrier.clone(), carrier), Arc::new(NoRequesters))
    }

    /// As [`new`](Self::new), with somebody who asks for mail to come to its own address.
    pub(crate) fn with_requesters(delivery: DomainDelivery, requesters: Arc<dyn Requesters>) -> Self {
        let carrier = Arc::new(ScriptedCarrier::new(|_, _| Script::default()));
        let dns = Arc::new(ScriptedDns::new(""));
        Self::with_carrier(dns, delivery, (carrier.clone(), carrier), requesters)
    }

    /// Over real connections to an address.
    pub(crate) fn wired(primary: std::net::SocketAddr, delivery: DomainDelivery) -> Self {
        let delivery = DomainDelivery { primary: NextHop::Literal(primary), ..delivery };
        let unused = Arc::new(ScriptedCarrier::new(|_, _| Script::default()));
        let way: Arc<dyn Carrier> = Arc::new(Courier::default());
        let dns = Arc::new(ScriptedDns::new(""));
        Self::with_carrier(dns, delivery, (way, unused), Arc::new(NoRequesters))
    }

    fn with_carrier(
        lookup: Arc<dyn Lookup>,
        delivery: DomainDelivery,
        (way, carrier): (Arc<dyn Carrier>, Arc<ScriptedCarrier>),
        requesters: Arc<dyn Requesters>,
    ) -> Self {
        let mut domains = DomainMap::default();
        domains.insert(domain("example.org"), true, delivery);
        let settings = Arc::new(ArcSwap::from_pointee(Self::settings(domains)));
        let began = Instant::now();
        let clock: Clock = Arc::new(move || START.plus(began.elapsed()));
        Self::begin((FakeStore::default(), settings, clock), lookup, (way, carrier), requesters)
    }

    /// The same queue, and a delivery that knows nothing.
    pub(crate) fn restarted(
        self,
        script: impl Fn(usize, &restante_delivery::Hop) -> Script + Send + Sync + 'static,
    ) -> Self {
        let Self { store, settings, clock, delivery, .. } = self;
        drop(delivery);
        let carrier = Arc::new(ScriptedCarrier::new(script));
        let dns = Arc::new(ScriptedDns::new(""));
        Self::begin((store, settings, clock), dns, (carrier.clone(), carrier), Arc::new(NoRequesters))
    }

    fn begin(
        (store, settings, clock): (FakeStore, Arc<ArcSwap<DeliverySettings>>, Clock),
        lookup: Arc<dyn Lookup>,
        (way, carrier): (Arc<dyn Carrier>, Arc<ScriptedCarrier>),
        requesters: Arc<dyn Requesters>,
    ) -> Self {
        let told = Told::default();
        let delivery = Delivery::start(DeliveryParts {
            store: Arc::new(store.clone()),
            settings: settings.clone(),
            lookup,
            carrier: way,
            requesters,
            witness: Arc::new(told.clone()),
            clock: clock.clone(),
        });
        Self { store, settings, carrier, delivery, clock, domain: domain("example.org"), told }
    }

    pub(crate) fn settings(domains: DomainMap<DomainDelivery>) -> DeliverySettings {
        DeliverySettings {
            hostname: domain("mx2.example.net"),
            own_addresses: vec!["203.0.113.7".parse().unwrap()],
            listeners: vec!["127.0.0.1:2525".parse().unwrap()],
            source_addresses: Vec::new(),
            is_local: |address| address.to_string() == "203.0.113.8",
            notices: restante_delivery::NoticeSettings::default(),
            domains,
        }
    }

    pub(crate) fn pinned() -> DomainDelivery {
        DomainDelivery {
            primary: NextHop::Literal("192.0.2.1:25".parse().unwrap()),
            ..DomainDelivery::default()
        }
    }

    pub(crate) fn push() -> DomainDelivery {
        DomainDelivery { mode: Mode::Push, ..Self::pinned() }
    }

    /// The `number`th id.
    pub(crate) fn id(number: u64) -> QueueId {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        QueueId::from_bytes(bytes)
    }

    /// Puts a message with so many recipients into a queue.
    pub(crate) fn queue(
        &self,
        domain: &Domain,
        number: u64,
        recipients: usize,
        next_attempt: Option<UnixMillis>,
    ) {
        let to = |index: usize| Recipient {
            mailbox: format!("user{index}@{domain}").parse().unwrap(),
            notify: None,
            original: None,
        };
        let envelope = Envelope {
            sender: ReversePath::Null,
            recipients: (0..recipients).map(to).collect(),
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        };
        let row = Row {
            envelope: Arc::new(envelope),
            client: client(),
            size: content(Self::id(number)).len() as u64,
            arrived: (self.clock)(),
            next_attempt,
            attempts: 0,
            states: vec![DeliveryState::Queued; recipients],
            replies: vec![None; recipients],
        };
        self.store.inside().queue(domain).rows.insert(Self::id(number), row);
    }

    /// Messages with one recipient each, that wait to be asked for.
    pub(crate) fn fill(&self, count: u64) {
        (0..count).for_each(|number| self.queue(&self.domain, number, 1, None));
    }

    pub(crate) fn ask(&self, cause: DrainCause) {
        self.store.start_drain(&self.domain, cause).unwrap();
    }

    /// Waits until so many drains have ended.
    pub(crate) async fn drains(&self, count: usize) {
        let done = async {
            while self.store.reports(&self.domain).len() < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(24 * 3600), done).await.unwrap();
    }

    pub(crate) fn last_result(&self) -> String {
        self.store.reports(&self.domain).last().unwrap().result.clone()
    }
}
