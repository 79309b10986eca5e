//! A provider with two listeners, some customers, and mail for them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use restante_delivery::{
    Courier, Delivery, DeliveryParts, DeliverySettings, DomainDelivery, Found, Lookup, LookupError, Mx,
    NextHop, NoRequesters, Nobody, Tlsa,
};
use restante_net::{ClientCa, ServerTls};
use restante_queue::conformance::message;
use restante_queue::{DomainStats, EmbeddedOptions, EmbeddedStore, LowWater, QueueStore};
use restante_server::{
    HeldDomain, ListenSettings, ListenTls, Parts, Server, ServerLimits, ServerSettings, Service,
};
use restante_smtp::ScramKeys;
use restante_turn::{
    Account, AccountTurn, Accounts, DomainTurn, Drains, Fingerprint, Install, Kdf, Pbkdf2, PrimaryAddresses,
    StoredSecret, TurnDesk, TurnSettings,
};
use restante_types::{Domain, DomainMap, QueueId, ReversePath, UnixMillis};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct World {
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) server: Server,
    pub(crate) drains: Drains,
    desk: Arc<TurnDesk>,
    _delivery: Delivery,
    _dir: TempDir,
}

/// Nobody's addresses are known, and no name is.
struct Nowhere;

impl PrimaryAddresses for Nowhere {
    fn is_primary(&self, _: &Domain, _: IpAddr) -> bool {
        false
    }
}

#[async_trait]
impl Lookup for Nowhere {
    async fn mx(&self, _: &Domain) -> Result<Found<Mx>, LookupError> {
        Err(LookupError::NoName)
    }

    async fn addresses(&self, _: &Domain) -> Result<Found<IpAddr>, LookupError> {
        Err(LookupError::NoName)
    }

    async fn tlsa(&self, _: &Domain, _: u16) -> Result<Found<Tlsa>, LookupError> {
        Err(LookupError::NoName)
    }

    async fn txt(&self, _: &Domain) -> Result<Found<String>, LookupError> {
        Err(LookupError::NoName)
    }

    fn with_servers(&self, _: &[SocketAddr]) -> Option<Arc<dyn Lookup>> {
        None
    }
}

pub(crate) fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn now() -> UnixMillis {
    SystemTime::now().into()
}

/// `name` owns `domains`; TURN is for those whose name begins with `turn`.
fn account(name: &str, domains: &[&str]) -> Account {
    let keys = ScramKeys::derive(PASSWORD, name.as_bytes(), 4096);
    Account {
        name: name.to_owned(),
        domains: domains.iter().map(|name| domain(name)).collect(),
        secret: Some(StoredSecret::Derived(keys)),
        turn: name.starts_with("turn"),
        ..Account::default()
    }
}

/// `a.example` and `b.example` are ada's, `shared.example` is hers and bob's, `t.example` is turner's.
pub(crate) fn accounts() -> Vec<Account> {
    vec![
        account("ada", &["a.example", "b.example", "shared.example"]),
        account("bob", &["shared.example", "c.example"]),
        account("turner", &["t.example"]),
    ]
}

/// What may be different from test to test.
pub(crate) struct Plan {
    pub(crate) accounts: Vec<Account>,
    pub(crate) limits: ServerLimits,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) kdf: Option<Box<dyn Kdf>>,
    /// Where drains go that are not over the customer's own connection.
    pub(crate) primary: SocketAddr,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            accounts: accounts(),
            limits: ServerLimits::default(),
            client_ca: None,
            kdf: None,
            primary: "192.0.2.1:25".parse().unwrap(),
        }
    }
}

fn make_pair(dir: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["mx2.example".to_owned()]).unwrap();
    let (certificate, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

fn listeners() -> Vec<ListenSettings> {
    let address = "127.0.0.1:0".parse().unwrap();
    let (tls, strict) = (ListenTls::Required, false);
    let odmr = ListenSettings { address, service: Service::Odmr, tls, strict, atrn: false };
    let smtp = ListenSettings { service: Service::Smtp, tls: ListenTls::StartTls, atrn: true, ..odmr };
    vec![odmr, ListenSettings { address: "127.0.0.2:0".parse().unwrap(), ..smtp }]
}

fn turn_settings(accounts: &[Account]) -> TurnSettings {
    let mut domains: DomainMap<DomainTurn> = DomainMap::default();
    for name in ["a.example", "b.example", "shared.example", "c.example", "t.example"].map(domain) {
        let owners = accounts.iter().filter(|account| account.domains.contains(&name));
        let identities: BTreeSet<String> = owners.map(|account| account.name.clone()).collect();
        domains.insert(name, false, DomainTurn { identities, ..DomainTurn::default() });
    }
    let known = |account: &Account| AccountTurn {
        turn: account.turn,
        allow_cleartext: account.allow_cleartext,
        certificates: account.certificates.iter().map(|Fingerprint(octets)| *octets).collect(),
    };
    let accounts = accounts.iter().map(|account| (account.name.clone(), known(account))).collect();
    TurnSettings { domains, accounts, ..TurnSettings::default() }
}

fn delivery_settings(primary: SocketAddr) -> DeliverySettings {
    let mut domains = DomainMap::default();
    for name in ["a.example", "b.example", "shared.example", "c.example", "t.example"] {
        let delivery = DomainDelivery { primary: NextHop::Literal(primary), ..DomainDelivery::default() };
        domains.insert(domain(name), false, delivery);
    }
    DeliverySettings {
        hostname: domain("mx2.example"),
        own_addresses: Vec::new(),
        listeners: Vec::new(),
        source_addresses: Vec::new(),
        is_local: |_| false,
        notices: restante_delivery::NoticeSettings::default(),
        domains,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Plan::default())
    }

    pub(crate) fn of(plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let low_water = LowWater { percent: 0, octets: 0 };
        let options = EmbeddedOptions { low_water, ..EmbeddedOptions::new(dir.path().join("data")) };
        let store = Arc::new(EmbeddedStore::open(options).unwrap());
        let shared: Arc<dyn QueueStore> = Arc::clone(&store) as Arc<dyn QueueStore>;
        let delivery = Delivery::start(DeliveryParts {
            store: Arc::clone(&shared),
            settings: Arc::new(ArcSwap::from_pointee(delivery_settings(plan.primary))),
            lookup: Arc::new(Nowhere),
            carrier: Arc::new(Courier::default()),
            requesters: Arc::new(NoRequesters),
            witness: Arc::new(Nobody),
            clock: Arc::new(now),
        });
        let desk = TurnDesk::new(Arc::clone(&shared), Arc::new(Nowhere), turn_settings(&plan.accounts));
        let desk = Arc::new(desk);
        let kdf = plan.kdf.unwrap_or_else(|| Box::new(Pbkdf2));
        let accounts = Accounts::with_kdf(Install::new([7; 32]), kdf);
        accounts.load(plan.accounts);
        let (certificate, key) = make_pair(dir.path());
        let ca = plan.client_ca.map(|file| ClientCa::load(file).unwrap());
        let drains = Drains::default();
        let settings = ServerSettings {
            hostname: domain("mx2.example"),
            own_addresses: Vec::new(),
            listeners: listeners(),
            auth: accounts.offer(),
            turn: true,
            limits: plan.limits,
            domains: DomainMap::<HeldDomain>::default(),
            first_domain: None,
            lost: DomainMap::default(),
        };
        let parts = Parts {
            store: shared,
            desk: Arc::clone(&desk),
            accounts: Arc::new(accounts),
            drains: drains.clone(),
            others: Arc::new(crate::calls::Yielding(delivery.unreached())),
            senders: None,
            calls: crate::calls::join(delivery.door()),
            tls: Some(ServerTls::load_with(certificate, key, ca).unwrap()),
        };
        let server = Server::start(settings, parts).unwrap();
        Self { store, server, drains, desk, _delivery: delivery, _dir: dir }
    }

    /// Nobody owns anything from now on.
    pub(crate) fn disown(&self) {
        self.desk.reload(turn_settings(&[]));
    }

    /// The listener for on-demand mail relay.
    pub(crate) fn odmr(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    /// The listener for mail.
    pub(crate) fn smtp(&self) -> SocketAddr {
        self.server.local_addrs()[1]
    }

    /// Keeps a message with one recipient in each of the domains.
    pub(crate) async fn mail(&self, domains: &[&str], text: &str) -> QueueId {
        let recipients: Vec<String> = domains.iter().map(|name| format!("user@{name}")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let mut message = message(&*self.store, now(), &recipients, text.as_bytes()).await;
        message.envelope.sender = ReversePath::Null;
        self.store.accept(message).await.unwrap().id()
    }

    /// `count` messages, alternately to ada's domains; their texts in order.
    pub(crate) async fn alternate(&self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for number in 0..count {
            let text = format!("Subject: {number}\r\n\r\n.{}\r\n", "x".repeat(number * 37 % 900));
            self.mail(&[["a.example", "b.example"][number % 2]], &text).await;
            texts.push(text);
        }
        texts
    }

    pub(crate) fn stats(&self, name: &str) -> DomainStats {
        self.store.stats(&domain(name))
    }

    /// Messages that wait in ada's domains.
    pub(crate) fn waiting(&self) -> u64 {
        ["a.example", "b.example", "shared.example"].map(|name| self.stats(name).messages).iter().sum()
    }

    /// Waits until no drain runs.
    pub(crate) async fn until_quiet(&self) {
        let names = ["a.example", "b.example", "shared.example", "c.example", "t.example"];
        self.until(|| self.drains.is_empty() && names.iter().all(|name| self.stats(name).draining.is_none()))
            .await;
    }

    pub(crate) async fn until(&self, what: impl Fn() -> bool) {
        let began = Instant::now();
        while !what() {
            assert!(began.elapsed() < Duration::from_secs(20), "it never came to that");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// What `status` says of the last drain.
    pub(crate) fn result(&self, name: &str) -> String {
        self.stats(name).last_drain.map(|drain| drain.result).unwrap_or_default()
    }
}
