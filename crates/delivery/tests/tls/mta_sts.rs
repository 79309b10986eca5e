//! [8461-3.4] [8461-4.1] [8461-4.2] [8461-5-enforce] [8461-5-testing] [8461-5-none] [8461-5-absent] MTA-STS, met and not met.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use restante_delivery::{
    DomainDelivery, FetchError, Hop, Lookup, PolicyFetch, TlsParts, TlsPolicies, TlsPolicy,
};
use restante_types::{Domain, UnixMillis};

use crate::chain::{Authority, Valid};
use crate::house::{HOST, MESSAGES, World, deferred, delivered, domain, drain, to_address, to_host};
use crate::journal::Journal;
use crate::primary::{Manner, Primary};
use crate::zone::Zone;

/// The text of a policy that is kept for a week.
pub(crate) fn policy(mode: &str, mx: &[&str]) -> String {
    let mx: String = mx.iter().map(|name| format!("mx: {name}\r\n")).collect();
    format!("version: STSv1\r\nmode: {mode}\r\n{mx}max_age: 604800\r\n")
}

/// A web in which every domain has the same policy, or none.
pub(crate) struct Web {
    text: Mutex<Option<String>>,
    asked: AtomicUsize,
}

impl Web {
    pub(crate) fn new(text: &str) -> Arc<Self> {
        Arc::new(Self { text: Mutex::new(Some(text.to_owned())), asked: AtomicUsize::new(0) })
    }

    /// From now on it says this, or is gone.
    pub(crate) fn says(&self, text: Option<&str>) {
        *self.text.lock().unwrap() = text.map(str::to_owned);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PolicyFetch for Web {
    async fn fetch(&self, _: &Domain, _: &Arc<dyn Lookup>) -> Result<String, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // Long enough for a second one to come meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        self.text.lock().unwrap().clone().ok_or(FetchError::Status(503))
    }
}

fn world(authority: &Authority, mode: &str, mx: &[&str]) -> World {
    let zone = Zone::default();
    zone.txt("_mta-sts.example.org", &["v=STSv1; id=20260101;"]);
    let mut world = World::new(zone, &authority.file());
    world.fetch = Web::new(&policy(mode, mx));
    world
}

/// [8461-4.2] [8461-5-enforce]
#[tokio::test]
async fn enforced_it_wants_a_certificate_for_a_host_that_is_listed() {
    let authority = Authority::new("system");
    let good = Primary::start(Manner::Works, &authority.issue(&[HOST], Valid::Now));
    for mx in [&[HOST][..], &["other.example", "*.example.org"]] {
        delivered(to_host(&good, TlsPolicy::MtaSts), &world(&authority, "enforce", mx), &good).await;
    }
    let enforced = || world(&authority, "enforce", &[HOST]);
    let bad = [
        (authority.issue(&[HOST], Valid::Past), "has expired"),
        (authority.issue(&["example.org", "mta-sts.example.org"], Valid::Now), "is not for mail.example.org"),
        (Authority::new("theirs").issue(&[HOST], Valid::Now), "not by an authority that counts"),
    ];
    for (shown, wanted) in &bad {
        let primary = Primary::start(Manner::Works, shown);
        let why = deferred(to_host(&primary, TlsPolicy::MtaSts), &enforced(), &primary).await;
        assert!(why.starts_with("450 4.7.5 ") && why.contains(wanted), "{why}");
        assert_eq!(primary.seen().len(), 1);
    }
}

/// [8461-4.1] A host that is not listed is not even called.
#[tokio::test]
async fn a_host_that_is_not_listed_is_left_out() {
    let authority = Authority::new("system");
    let good = Primary::start(Manner::Works, &authority.issue(&[HOST, "127.0.0.1"], Valid::Now));
    for mx in ["example.org", "*.mail.example.org", "*.org", "other.example.org"] {
        let why =
            deferred(to_host(&good, TlsPolicy::MtaSts), &world(&authority, "enforce", &[mx]), &good).await;
        let wanted = "450 4.7.0 left out: the MTA-STS policy of example.org does not list mail.example.org";
        assert_eq!(why, wanted, "{mx}");
    }
    let why =
        deferred(to_address(&good, TlsPolicy::MtaSts), &world(&authority, "enforce", &["*.org"]), &good)
            .await;
    assert!(why.ends_with("lists names, and this next hop is an address"), "{why}");
    assert_eq!(good.seen().len(), 0);
}

/// [8461-5-testing] [8461-5-none]
#[tokio::test]
async fn testing_and_none_keep_nothing() {
    let journal = Journal::open();
    let authority = Authority::new("system");
    for mode in ["testing", "none"] {
        let bad = Authority::new("theirs").issue(&["elsewhere.example"], Valid::Past);
        let primary = Primary::start(Manner::Works, &bad);
        delivered(to_host(&primary, TlsPolicy::MtaSts), &world(&authority, mode, &["mx.example"]), &primary)
            .await;
        let clear = Primary::start(Manner::Missing, &bad);
        let (waiting, why) =
            drain(to_host(&clear, TlsPolicy::MtaSts), &world(&authority, mode, &["mx.example"])).await;
        assert_eq!((waiting, clear.taken()), (0, (MESSAGES, 0)), "{why}");
    }
    // What would be left out by the policy that is tested: once for each of the two drains.
    let told = journal.about("sts_testing");
    assert!(told.len() == 2 && told[0].contains("does not list mail.example.org"), "{told:?}");
}

/// [8461-5-absent] The domain has none, or it cannot be had: whoever asked for MTA-STS counts on one.
#[tokio::test]
async fn without_a_policy_it_waits() {
    let authority = Authority::new("system");
    let primary = Primary::start(Manner::Works, &authority.issue(&[HOST], Valid::Now));
    let none = World::new(Zone::default(), &authority.file());
    let why = deferred(to_host(&primary, TlsPolicy::MtaSts), &none, &primary).await;
    assert_eq!(why, "450 4.7.0 no MTA-STS policy of example.org: _mta-sts.example.org has no TXT record");
    let announced = World::new(Zone::default(), &authority.file());
    announced.zone.txt("_mta-sts.example.org", &["v=STSv1; id=1;"]);
    let why = deferred(to_host(&primary, TlsPolicy::MtaSts), &announced, &primary).await;
    assert!(why.ends_with("policy 1 cannot be fetched from mta-sts.example.org: HTTP status 404"), "{why}");
    let mut nonsense = world(&authority, "enforce", &[HOST]);
    nonsense.fetch = Web::new("<html>");
    let why = deferred(to_host(&primary, TlsPolicy::MtaSts), &nonsense, &primary).await;
    assert!(why.contains("a line that is no key and value"), "{why}");
    assert_eq!(primary.seen().len(), 0);
}

/// What `restante route` shows.
#[tokio::test]
async fn demands_are_told_in_words() {
    let authority = Authority::new("system");
    let hop = Hop { name: Some(domain(HOST)), ..Hop::literal("192.0.2.1:25".parse().unwrap(), None) };
    let told = async |mode: &str, tls: TlsPolicy| {
        let World { zone, fetch, .. } = world(&authority, mode, &["*.example.org"]);
        let parts = TlsParts { lookup: zone, fetch, file: None, clock: Arc::new(|| UnixMillis(1)) };
        let delivery = DomainDelivery { tls, ..DomainDelivery::default() };
        let policies = TlsPolicies::new(parts);
        policies.demand(&domain("example.org"), &delivery, &hop).await.unwrap().to_string()
    };
    for (mode, tls, words) in [
        (
            "enforce",
            TlsPolicy::MtaSts,
            "mta-sts: a certificate for mail.example.org by the system's authorities (mode enforce, policy 20260101 of example.org)",
        ),
        (
            "testing",
            TlsPolicy::MtaSts,
            "mta-sts: example.org is testing (mode testing, policy 20260101); encrypted where offered",
        ),
        (
            "none",
            TlsPolicy::MtaSts,
            "mta-sts: example.org has switched it off (mode none, policy 20260101); encrypted where offered",
        ),
        ("none", TlsPolicy::Verify, "verify: a certificate for mail.example.org by the system's authorities"),
        ("none", TlsPolicy::Require, "require: encrypted, whatever certificate is shown"),
        (
            "none",
            TlsPolicy::Opportunistic,
            "opportunistic: encrypted where the next hop offers it, in clear otherwise",
        ),
    ] {
        assert_eq!(told(mode, tls).await, words);
    }
}
