//! [8461-3.3-pause] [8461-3.3-renew] [8461-3.3-alert] [8461-5.1] Policies found, kept, renewed, and kept on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use restante_delivery::{
    DeliverySettings, DomainDelivery, Hop, LookupError, NoticeSettings, TlsParts, TlsPolicies, TlsPolicy,
};
use restante_types::{DomainMap, UnixMillis};

use crate::house::{HOST, domain};
use crate::journal::Journal;
use crate::mta_sts::{Web, policy};
use crate::zone::Zone;

const TXT: &str = "_mta-sts.example.org";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Scene {
    policies: Arc<TlsPolicies>,
    zone: Arc<Zone>,
    web: Arc<Web>,
    time: Arc<AtomicU64>,
}

impl Scene {
    /// One policy in force, of which nobody knows yet.
    fn new(file: Option<&Path>) -> Self {
        let zone = Arc::new(Zone::default());
        zone.txt(TXT, &["v=STSv1; id=a;"]);
        let web = Web::new(&policy("enforce", &[HOST]));
        Self::with(zone, web, Arc::new(AtomicU64::new(1_800_000_000_000)), file)
    }

    fn with(zone: Arc<Zone>, web: Arc<Web>, time: Arc<AtomicU64>, file: Option<&Path>) -> Self {
        let ticks = time.clone();
        let parts = TlsParts {
            lookup: zone.clone(),
            fetch: web.clone(),
            file: file.map(Path::to_owned),
            clock: Arc::new(move || UnixMillis(ticks.load(Ordering::SeqCst))),
        };
        Self { policies: Arc::new(TlsPolicies::new(parts)), zone, web, time }
    }

    /// The same world after a restart.
    fn restarted(self, file: Option<&Path>) -> Self {
        let Self { zone, web, time, .. } = self;
        Self::with(zone, web, time, file)
    }

    fn pass(&self, time: Duration) {
        self.time.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn says(&self) -> Result<String, String> {
        let hop = Hop { name: Some(domain(HOST)), ..Hop::literal("192.0.2.1:25".parse().unwrap(), None) };
        let delivery = DomainDelivery { tls: TlsPolicy::MtaSts, ..DomainDelivery::default() };
        let demand = self.policies.demand(&domain("example.org"), &delivery, &hop).await;
        demand.map(|demand| demand.to_string()).map_err(|unmet| unmet.to_string())
    }

    async fn enforces(&self, id: &str) {
        let said = self.says().await.unwrap();
        assert!(said.ends_with(&format!("(mode enforce, policy {id} of example.org)")), "{said}");
    }
}

#[tokio::test]
async fn it_is_fetched_once_for_many() {
    let scene = Scene::new(None);
    let asked = tokio::join!(scene.says(), scene.says(), scene.says(), scene.says());
    assert!(asked.0.is_ok() && asked.1.is_ok() && asked.2.is_ok() && asked.3.is_ok());
    assert_eq!((scene.zone.asked(TXT), scene.web.asked()), (1, 1));
    // A minute later the DNS is asked again, and says that nothing is new.
    scene.pass(Duration::from_secs(61));
    scene.enforces("a").await;
    assert_eq!((scene.zone.asked(TXT), scene.web.asked()), (2, 1));
}

#[tokio::test]
async fn a_new_id_brings_a_new_policy() {
    let scene = Scene::new(None);
    scene.enforces("a").await;
    scene.zone.txt(TXT, &["v=STSv1; id=b;"]);
    scene.web.says(Some(&policy("enforce", &["new.example.org"])));
    scene.pass(Duration::from_secs(61));
    let why = scene.says().await.unwrap_err();
    assert!(why.contains("does not list mail.example.org"), "{why}");
    assert_eq!(scene.web.asked(), 2);
}

/// [8461-3.3-renew]
#[tokio::test]
async fn it_is_renewed_long_before_it_ends() {
    let scene = Scene::new(None);
    scene.enforces("a").await;
    scene.pass(DAY + HOUR);
    scene.enforces("a").await;
    assert_eq!(scene.web.asked(), 2);
    // What was renewed counts from then: seven days after the first fetch most of a day is left.
    scene.web.says(None);
    scene.pass(6 * DAY);
    scene.enforces("a").await;
    scene.pass(DAY + HOUR);
    let why = scene.says().await.unwrap_err();
    assert!(why.contains("HTTP status 503"), "{why}");
}

/// [8461-5.1]
#[tokio::test]
async fn what_was_found_holds_until_it_ends_whatever_becomes_of_dns_and_web() {
    for trouble in
        [LookupError::NoName, LookupError::NoRecords, LookupError::Temporary("SERVFAIL".to_owned())]
    {
        let scene = Scene::new(None);
        scene.enforces("a").await;
        scene.zone.no_txt(TXT, trouble);
        scene.pass(7 * DAY - HOUR);
        scene.enforces("a").await;
        scene.pass(HOUR);
        assert!(scene.says().await.is_err());
        assert_eq!(scene.web.asked(), 1);
    }
    // A policy that is announced and cannot be had, or makes no sense, changes nothing either.
    for text in [None, Some("version: STSv1\r\nmode: enforce\r\n")] {
        let scene = Scene::new(None);
        scene.enforces("a").await;
        scene.zone.txt(TXT, &["v=STSv1; id=b;"]);
        scene.web.says(text);
        scene.pass(DAY);
        scene.enforces("a").await;
    }
}

/// [8461-3.3-pause]
#[tokio::test]
async fn a_web_server_with_trouble_is_left_alone() {
    let scene = Scene::new(None);
    scene.web.says(None);
    assert!(scene.says().await.unwrap_err().contains("HTTP status 503"));
    scene.pass(Duration::from_secs(61));
    let why = scene.says().await.unwrap_err();
    assert!(why.ends_with("policy a could not be fetched a moment ago"), "{why}");
    assert_eq!(scene.web.asked(), 1);
    // Another policy is another matter.
    scene.zone.txt(TXT, &["v=STSv1; id=b;"]);
    scene.web.says(Some(&policy("enforce", &[HOST])));
    scene.pass(Duration::from_secs(61));
    scene.enforces("b").await;
    let scene = Scene::new(None);
    scene.web.says(None);
    assert!(scene.says().await.is_err());
    scene.web.says(Some(&policy("enforce", &[HOST])));
    scene.pass(Duration::from_secs(301));
    scene.enforces("a").await;
}

/// [8461-3.3-alert] With the time that is left, for as long as something is kept.
#[tokio::test]
async fn a_renewal_that_fails_is_told() {
    let (journal, scene) = (Journal::open(), Scene::new(None));
    scene.enforces("a").await;
    assert!(journal.about("sts_policy")[0].contains("id=\"a\" mode=enforce renewed=false"));
    scene.web.says(None);
    scene.pass(2 * DAY);
    scene.enforces("a").await;
    let told = journal.about("sts_renewal_failed");
    let left = format!("seconds={}", 5 * 24 * 3600);
    assert!(told.len() == 1 && told[0].contains("HTTP status 503") && told[0].contains(&left), "{told:?}");
    scene.web.says(Some(&policy("enforce", &[HOST])));
    scene.pass(HOUR);
    scene.enforces("a").await;
    assert!(journal.about("sts_policy")[1].contains("renewed=true"));
    assert_eq!(journal.about("sts_renewal_failed").len(), 1);
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mta-sts.json");
    let scene = Scene::new(Some(&file));
    scene.enforces("a").await;
    let scene = scene.restarted(Some(&file));
    scene.zone.no_txt(TXT, LookupError::NoName);
    scene.web.says(None);
    scene.pass(6 * DAY);
    scene.enforces("a").await;
    assert_eq!(scene.web.asked(), 1);
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["mta-sts.json"]);
    // What ended while we were down has ended.
    scene.pass(DAY);
    assert!(scene.restarted(Some(&file)).says().await.is_err());
}

#[tokio::test]
async fn a_file_that_cannot_be_read_or_written_is_no_reason_to_fail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mta-sts.json");
    for text in ["", "{", "{\"version\":2,\"policies\":[]}", "[]"] {
        std::fs::write(&file, text).unwrap();
        let scene = Scene::new(Some(&file));
        scene.enforces("a").await;
        assert_eq!(scene.web.asked(), 1);
        scene.restarted(Some(&file)).enforces("a").await;
    }
    Scene::new(Some(&folder.path().join("nowhere/mta-sts.json"))).enforces("a").await;
}

#[tokio::test]
async fn one_that_must_not_be_kept_is_not() {
    let scene = Scene::new(None);
    scene.web.says(Some("version: STSv1\nmode: enforce\nmx: mail.example.org\nmax_age: 0\n"));
    scene.enforces("a").await;
    scene.pass(Duration::from_secs(61));
    scene.enforces("a").await;
    assert_eq!(scene.web.asked(), 2, "fetched for each look");
    scene.web.says(None);
    scene.pass(Duration::from_secs(61));
    assert!(scene.says().await.is_err());
}

/// [8461-3.3-renew] Found before it is needed, renewed while nobody asks, forgotten where nobody wants it.
#[tokio::test(start_paused = true)]
async fn the_keeper_looks_after_all() {
    let scene = Scene::new(None);
    let settings = |tls: TlsPolicy| {
        let mut domains = DomainMap::default();
        domains.insert(domain("example.org"), true, DomainDelivery { tls, ..DomainDelivery::default() });
        DeliverySettings {
            hostname: domain("mx2.example.net"),
            own_addresses: Vec::new(),
            listeners: Vec::new(),
            source_addresses: Vec::new(),
            is_local: |_| false,
            notices: NoticeSettings::default(),
            domains,
        }
    };
    let current = Arc::new(ArcSwap::from_pointee(settings(TlsPolicy::MtaSts)));
    let keeper = tokio::spawn(scene.policies.clone().keep(current.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.web.asked(), 1);
    scene.pass(DAY + HOUR);
    tokio::time::sleep(HOUR).await;
    assert_eq!(scene.web.asked(), 2);
    current.store(Arc::new(settings(TlsPolicy::Require)));
    tokio::time::sleep(HOUR).await;
    scene.zone.no_txt(TXT, LookupError::NoName);
    assert!(scene.says().await.is_err(), "forgotten");
    keeper.abort();
}
