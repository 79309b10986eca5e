//! The real store and the real delivery, for one domain.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use restante_delivery::{
    Courier, Delivery, DeliveryParts, DeliverySettings, DomainDelivery, FetchError, Lookup, NextHop,
    NoRequesters, Nobody, NoticeSettings, PolicyFetch, TlsParts, TlsPolicies, TlsPolicy, TlsTrust,
};
use restante_net::Trust;
use restante_queue::conformance::message;
use restante_queue::{DrainCause, EmbeddedOptions, EmbeddedStore, Filter, QueueStore};
use restante_types::{Domain, DomainMap, ReversePath, UnixMillis};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::primary::Primary;
use crate::zone::Zone;

/// The host that the domain's mail goes to, where it has a name.
pub(crate) const HOST: &str = "mail.example.org";
/// Messages in the queue of each house.
pub(crate) const MESSAGES: usize = 2;
/// For a handshake that hangs, where none has to go through.
pub(crate) const SHORT: Duration = Duration::from_millis(500);

pub(crate) fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn now() -> UnixMillis {
    SystemTime::now().into()
}

/// What the outside world is.
pub(crate) struct World {
    pub(crate) zone: Arc<Zone>,
    pub(crate) fetch: Arc<dyn PolicyFetch>,
    /// The authorities of the system.
    pub(crate) authorities: Trust,
    /// For a handshake.
    pub(crate) handshake: Duration,
}

impl World {
    /// With this DNS, nobody's web, and an authority.
    pub(crate) fn new(zone: Zone, authorities: &Path) -> Self {
        let authorities = Trust::Authorities(authorities.to_owned());
        Self { zone: Arc::new(zone), fetch: Arc::new(NoWeb), authorities, handshake: Duration::from_secs(30) }
    }
}

/// No policy anywhere.
pub(crate) struct NoWeb;

#[async_trait::async_trait]
impl PolicyFetch for NoWeb {
    async fn fetch(&self, _: &Domain, _: &Arc<dyn Lookup>) -> Result<String, FetchError> {
        Err(FetchError::Status(404))
    }
}

pub(crate) struct House {
    store: Arc<EmbeddedStore>,
    delivery: Delivery,
    domain: Domain,
    _directory: TempDir,
}

/// By name.
pub(crate) fn to_host(primary: &Primary, tls: TlsPolicy) -> DomainDelivery {
    let hop = NextHop::Host { name: domain(HOST), port: primary.address.port() };
    DomainDelivery { primary: hop, tls, connections: 1, ..DomainDelivery::default() }
}

/// By address.
pub(crate) fn to_address(primary: &Primary, tls: TlsPolicy) -> DomainDelivery {
    DomainDelivery { primary: NextHop::Literal(primary.address), ..to_host(primary, tls) }
}

pub(crate) fn trusting(delivery: DomainDelivery, trust: TlsTrust) -> DomainDelivery {
    DomainDelivery { trust, ..delivery }
}

impl House {
    /// With [`MESSAGES`] for `example.org`.
    pub(crate) async fn open(delivery: DomainDelivery, world: &World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(EmbeddedOptions::new(directory.path())).unwrap());
        let mut domains = DomainMap::default();
        domains.insert(domain("example.org"), false, delivery);
        let settings = DeliverySettings {
            hostname: domain("mx2.example.net"),
            own_addresses: Vec::new(),
            listeners: Vec::new(),
            source_addresses: Vec::new(),
            is_local: |_| false,
            notices: NoticeSettings::default(),
            domains,
        };
        let parts = TlsParts {
            lookup: world.zone.clone(),
            fetch: world.fetch.clone(),
            file: Some(directory.path().join("mta-sts.json")),
            clock: Arc::new(now),
        };
        let policies = TlsPolicies::new(parts).with_authorities(world.authorities.clone());
        let delivery = Delivery::start(DeliveryParts {
            store: store.clone(),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            lookup: world.zone.clone(),
            carrier: Arc::new(Courier::new(Arc::new(policies.with_handshake(world.handshake)))),
            requesters: Arc::new(NoRequesters),
            witness: Arc::new(Nobody),
            clock: Arc::new(now),
        });
        let house = Self { store, delivery, domain: domain("example.org"), _directory: directory };
        house.refill().await;
        house
    }

    /// [`MESSAGES`] more.
    pub(crate) async fn refill(&self) {
        for number in 0..MESSAGES {
            self.accept(number).await;
        }
    }

    async fn accept(&self, number: usize) {
        let content = format!("Subject: {number}\r\n\r\nhello\r\n");
        let recipient = format!("user{number}@example.org");
        let mut message = message(&*self.store, now(), &[&recipient], content.as_bytes()).await;
        message.envelope.sender = ReversePath::Null;
        self.store.accept(message).await.unwrap();
    }

    /// Drains once; how many messages wait afterwards, and why.
    pub(crate) async fn drain(&self) -> (usize, String) {
        let before = self.store.stats(&self.domain).last_drain.map(|drain| drain.at);
        self.store.start_drain(&self.domain, DrainCause::Flush).unwrap();
        let began = Instant::now();
        loop {
            let stats = self.store.stats(&self.domain);
            if stats.draining.is_none() && stats.last_drain.map(|drain| drain.at) != before {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "a drain that does not end");
            sleep(Duration::from_millis(2)).await;
        }
        let page = self.store.list(&Filter::default(), None, 10).await.unwrap();
        let reply = page.entries.first().and_then(|entry| entry.recipients[0].last_reply.clone());
        let waiting = usize::try_from(self.store.stats(&self.domain).messages).unwrap();
        (waiting, reply.map(|reply| reply.to_string()).unwrap_or_default())
    }

    pub(crate) async fn close(self) {
        self.delivery.shutdown(Duration::from_secs(10)).await;
        self.store.close().await;
    }
}

/// One drain from beginning to end.
pub(crate) async fn drain(delivery: DomainDelivery, world: &World) -> (usize, String) {
    let house = House::open(delivery, world).await;
    let result = house.drain().await;
    house.close().await;
    result
}

/// A drain that must leave everything where it was, and nothing at the primary; the reason.
pub(crate) async fn deferred(delivery: DomainDelivery, world: &World, primary: &Primary) -> String {
    let (waiting, why) = drain(delivery, world).await;
    assert_eq!((waiting, primary.taken()), (MESSAGES, (0, 0)), "{why}");
    why
}

/// A drain that must bring everything, inside TLS.
pub(crate) async fn delivered(delivery: DomainDelivery, world: &World, primary: &Primary) {
    let before = primary.taken().1;
    let (waiting, why) = drain(delivery, world).await;
    assert_eq!((waiting, primary.taken()), (0, (0, before + MESSAGES)), "{why}");
}
