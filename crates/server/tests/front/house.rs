//! A server with everything that it needs, for one test.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use restante_net::ServerTls;
use restante_queue::{EmbeddedOptions, EmbeddedStore, Entry, Filter, LowWater, QueueStore};
use restante_senders::Senders;
use restante_server::{
    HeldDomain, ListenSettings, ListenTls, Others, Parts, Server, ServerLimits, ServerSettings, Service,
};
use restante_smtp::AuthOffer;
use restante_turn::{
    Accounts, DomainTurn, Drains, EtrnFrom, Install, PrimaryAddresses, TurnDesk, TurnSettings,
};
use restante_types::{Domain, DomainMap};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::peer::Peer;

/// A server that runs, and the store behind it.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) dir: TempDir,
}

struct NoPrimaries;
impl PrimaryAddresses for NoPrimaries {
    fn is_primary(&self, _: &Domain, _: IpAddr) -> bool {
        false
    }
}

pub(crate) fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

pub(crate) fn listener(tls: ListenTls) -> ListenSettings {
    let address = "127.0.0.1:0".parse().unwrap();
    ListenSettings { address, service: Service::Smtp, tls, strict: false, atrn: false }
}

/// Mail is held for `example.org`, `example.com` (pushed) and everything at and below `example.net`.
pub(crate) fn settings() -> ServerSettings {
    let mut domains = DomainMap::default();
    domains.insert(domain("example.org"), false, HeldDomain::default());
    domains.insert(domain("example.com"), false, HeldDomain { push: true, ..HeldDomain::default() });
    let wide = HeldDomain { subdomains: true, ..HeldDomain::default() };
    domains.insert(domain("example.net"), true, wide);
    ServerSettings {
        hostname: domain("mx2.example"),
        own_addresses: Vec::new(),
        listeners: vec![listener(ListenTls::StartTls)],
        auth: AuthOffer::default(),
        turn: false,
        limits: ServerLimits { message_size: 1_000_000, ..ServerLimits::default() },
        domains,
        first_domain: Some(domain("example.org")),
        lost: DomainMap::default(),
    }
}

/// A self-signed pair in two files.
pub(crate) fn make_pair(dir: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["mx2.example".to_owned()]).unwrap();
    let (certificate, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

/// Nothing is delivered here.
struct NoOthers;
impl Others for NoOthers {
    fn give_way<'a>(&'a self, _: &'a [Domain], _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async {})
    }
}

impl House {
    pub(crate) fn new(settings: ServerSettings) -> Self {
        Self::build(settings, LowWater { percent: 0, octets: 0 })
    }

    pub(crate) fn build(settings: ServerSettings, low_water: LowWater) -> Self {
        Self::with_senders(settings, low_water, None)
    }

    pub(crate) fn with_senders(
        settings: ServerSettings,
        low_water: LowWater,
        senders: Option<Arc<Senders>>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { low_water, ..EmbeddedOptions::new(dir.path().join("data")) };
        let store = Arc::new(EmbeddedStore::open(options).unwrap());
        let (certificate, key) = make_pair(dir.path());
        let tls = Some(ServerTls::load(certificate, key).unwrap());
        let mut domains = DomainMap::default();
        let anybody = DomainTurn { etrn_from: vec![EtrnFrom::Any], ..DomainTurn::default() };
        domains.insert(domain("example.org"), false, anybody);
        let turn = TurnSettings { domains, ..TurnSettings::default() };
        let shared: Arc<dyn QueueStore> = Arc::clone(&store) as Arc<dyn QueueStore>;
        let desk = Arc::new(TurnDesk::new(Arc::clone(&shared), Arc::new(NoPrimaries), turn));
        let accounts = Arc::new(Accounts::new(Install::new([7; 32])));
        let (calls, _nobody) = mpsc::channel(1);
        let drains = Drains::default();
        let others = Arc::new(NoOthers);
        let parts = Parts { store: shared, desk, accounts, drains, others, senders, calls, tls: tls.clone() };
        let server = Server::start(settings, parts).unwrap();
        Self { server, store, tls, dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    /// Connected, greeted, nothing said.
    pub(crate) async fn connect(&self) -> Peer {
        let mut peer = Peer::connect(self.address()).await;
        let greeting = peer.reply().await;
        assert!(greeting.starts_with("220 mx2.example "), "{greeting}");
        peer
    }

    /// Connected, after EHLO.
    pub(crate) async fn hello(&self) -> Peer {
        let mut peer = self.connect().await;
        let answer = peer.ask("EHLO client.example\r\n").await;
        assert!(answer.starts_with("250-mx2.example"), "{answer}");
        peer
    }

    /// All entries, in the order of domain and arrival.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        let page = self.store.list(&Filter::default(), None, 1000).await.unwrap();
        assert!(page.next.is_none());
        page.entries
    }

    pub(crate) async fn content(&self, entry: &Entry) -> Vec<u8> {
        let mut reader = self.store.open_content(&entry.key).await.unwrap();
        let mut all = Vec::new();
        while let Some(piece) = reader.next().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        all
    }

    /// The content of an entry, cut behind our own line.
    pub(crate) async fn split(&self, entry: &Entry) -> (String, Vec<u8>) {
        let content = self.content(entry).await;
        let mut end = 0;
        loop {
            end += content[end..].windows(2).position(|two| two == b"\r\n").unwrap() + 2;
            if content.get(end) != Some(&b'\t') {
                break;
            }
        }
        (String::from_utf8(content[..end].to_vec()).unwrap(), content[end..].to_vec())
    }
}
