//! Alarms over a real store, with a clock that the test sets.

mod mail;
mod once;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use restante_delivery::{DeliverySettings, News, PostRoom, Witness};
use restante_queue::conformance::message;
use restante_queue::{EmbeddedOptions, EmbeddedStore, IndexHealth, LowWater, QueueStore};
use restante_types::{Domain, DomainMap, Mailbox, ReversePath, UnixMillis};
use tempfile::TempDir;

use super::sender::Pace;
use super::{Alarms, Attached, Settings, Watched, lock};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// 2026-01-31T12:00:00Z.
const NOON: UnixMillis = UnixMillis(1_769_860_800_000);

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

/// example.org is collected, with its subdomains; push.example is pushed.
fn settings() -> Settings {
    let mut domains = DomainMap::default();
    let owner: Mailbox = "owner@elsewhere.example".parse().unwrap();
    let org = Watched {
        on_demand: true,
        retention: 100 * HOUR,
        uncollected: Some(24 * HOUR),
        owner: Some(owner.clone()),
    };
    domains.insert(name("push.example"), false, Watched { on_demand: false, owner: None, ..org.clone() });
    domains.insert(name("example.org"), true, org);
    Settings {
        hostname: name("mx2.example.net"),
        domains,
        webhook: None,
        mail: true,
        mail_to: Some(owner),
        certificate: None,
    }
}

/// For one call, where none is to end by it.
const LONG: Duration = Duration::from_secs(30);

struct World {
    directory: TempDir,
    alarms: Alarms,
    call_time: Duration,
    attached: Arc<Attached>,
    clock: Arc<AtomicU64>,
}

impl World {
    async fn new(settings: Settings) -> Self {
        Self::with_call_time(settings, LONG).await
    }

    async fn with_call_time(settings: Settings, call_time: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(NOON.0));
        let attached = opened(&directory, "data", LowWater::default(), &clock).await;
        let alarms = made(&directory, settings, &clock, call_time);
        alarms.0.attached.store(Some(attached.clone()));
        Self { directory, alarms, call_time, attached, clock }
    }

    /// Another store takes the place of the first.
    async fn attach(&mut self, name: &str, low_water: LowWater) {
        self.attached = opened(&self.directory, name, low_water, &self.clock).await;
        self.alarms.0.attached.store(Some(self.attached.clone()));
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.load(Ordering::SeqCst))
    }

    fn wait(&self, span: Duration) {
        self.clock.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// A new run with what the old one left. Nothing is written on the way out, as after a crash.
    fn restart(&mut self, settings: Settings) {
        self.alarms = made(&self.directory, settings, &self.clock, self.call_time);
        self.alarms.0.attached.store(Some(self.attached.clone()));
    }

    async fn put(&self, domain: &str) {
        let (store, recipient) = (&*self.attached.store, format!("a@{domain}"));
        let mut message = message(store, self.now(), &[&recipient], b"Subject: x\r\n\r\nx\r\n").await;
        message.envelope.sender = ReversePath::Null;
        store.accept(message).await.unwrap();
    }

    /// Deletes what waits for a domain.
    async fn empty(&self, domain: &str) {
        let filter = restante_queue::Filter { domains: vec![name(domain)], ..Default::default() };
        let page = self.attached.store.list(&filter, None, 100).await.unwrap();
        let keys: Vec<_> = page.entries.into_iter().map(|entry| entry.key).collect();
        self.attached.store.delete(&keys, "").await.unwrap();
    }

    async fn look(&self) {
        self.alarms.hear(self.now()).await;
        self.alarms.look_at(&self.attached, self.now()).await;
    }

    async fn news(&self, news: News) {
        Witness::tell(&self.alarms, news);
        self.alarms.hear(self.now()).await;
    }

    fn open(&self) -> Vec<String> {
        self.alarms.open().into_iter().map(|alarm| alarm.event).collect()
    }

    /// The calls that wait, as `event open|closed`; they are taken.
    fn calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut lock(&self.alarms.0.memory).calls);
        let told = calls.iter().map(|call| {
            let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
            let open = if body["open"].as_bool().unwrap() { "opens" } else { "closes" };
            format!("{} {open}", body["event"].as_str().unwrap())
        });
        told.collect()
    }
}

async fn opened(
    directory: &TempDir,
    name: &str,
    low_water: LowWater,
    clock: &Arc<AtomicU64>,
) -> Arc<Attached> {
    let options = EmbeddedOptions { low_water, ..EmbeddedOptions::new(directory.path().join(name)) };
    let store: Arc<dyn QueueStore> = Arc::new(EmbeddedStore::open(options).unwrap());
    while store.health().index != IndexHealth::Ready {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let routes = DeliverySettings {
        hostname: self::name("mx2.example.net"),
        own_addresses: Vec::new(),
        listeners: Vec::new(),
        source_addresses: Vec::new(),
        is_local: |_| false,
        notices: restante_delivery::NoticeSettings::default(),
        domains: DomainMap::default(),
    };
    let post = PostRoom::new(store.clone(), Arc::new(ArcSwap::from_pointee(routes)), told(clock));
    Arc::new(Attached { store, post })
}

fn told(clock: &Arc<AtomicU64>) -> restante_delivery::Clock {
    let clock = clock.clone();
    Arc::new(move || UnixMillis(clock.load(Ordering::SeqCst)))
}

fn made(directory: &TempDir, settings: Settings, clock: &Arc<AtomicU64>, time: Duration) -> Alarms {
    let pace = Pace {
        time,
        pause: Duration::from_millis(50),
        pause_max: Duration::from_millis(100),
        ..Pace::default()
    };
    let data = directory.path().join("data");
    Alarms::paced(&data, settings, Arc::default(), told(clock), pace)
}

/// With a webhook, so that each change leaves a call.
fn called(url: &str) -> Settings {
    let webhook = super::Webhook { url: url.to_owned(), secret_file: None };
    Settings { webhook: Some(webhook), ..settings() }
}
