//! The replies of RFC 1985 5.1, row by row, against a store that only counts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fake::{FakePrimaries, FakeStore, State};
use restante_queue::{DrainCause, HoldKind, HoldNote};
use restante_smtp::{EtrnAnswer, EtrnTarget};
use restante_turn::{Asker, DomainTurn, EtrnFrom, EtrnReply, FlushError, TurnDesk, TurnSettings};
use restante_types::{Domain, Reply, TlsFacts, UnixMillis};

const PRIMARY: &str = "192.0.2.1";
const FRIEND: &str = "198.51.100.7";
const STRANGER: &str = "203.0.113.9";

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

fn node(text: &str) -> EtrnTarget {
    EtrnTarget::Node(name(text))
}

fn from(address: &str) -> Asker {
    Asker { address: address.parse().unwrap(), identity: None, tls: None }
}

fn owner(identity: &str) -> Asker {
    Asker { identity: Some(identity.into()), ..from(STRANGER) }
}

fn rules(etrn_from: &[&str], etrn_reply: EtrnReply) -> DomainTurn {
    DomainTurn {
        etrn_from: etrn_from.iter().map(|text| text.parse::<EtrnFrom>().unwrap()).collect(),
        etrn_reply,
        etrn_interval: Duration::from_secs(15),
        ..DomainTurn::default()
    }
}

/// Domains of every kind; `*.below.example` has subdomains, `plain`, `truthful` and `uncounted` say so.
fn settings() -> TurnSettings {
    let mut settings = TurnSettings::default();
    let friends = ["primary", "198.51.100.0/24"];
    let mut put = |domain: &str, rules: DomainTurn| {
        settings.domains.insert(name(domain), rules.subdomains, rules);
    };
    let mut example = rules(&friends, EtrnReply::Auto);
    example.identities.insert("customer".into());
    example.certificates.insert([7; 32]);
    put("example.org", example);
    put(
        "empty.example",
        DomainTurn { identities: ["customer".into()].into(), ..rules(&friends, EtrnReply::Auto) },
    );
    put("plain.example", rules(&friends, EtrnReply::Plain));
    put("truthful.example", rules(&friends, EtrnReply::Truthful));
    put("truthful-empty.example", rules(&friends, EtrnReply::Truthful));
    put("uncounted.example", rules(&friends, EtrnReply::Uncounted));
    put("any.example", rules(&["any"], EtrnReply::Truthful));
    put("secret.example", rules(&[], EtrnReply::Auto));
    put("below.example", DomainTurn { subdomains: true, ..rules(&friends, EtrnReply::Auto) });
    put("own.below.example", rules(&[], EtrnReply::Auto));
    let members = vec![name("example.org"), name("below.example"), name("secret.example")];
    settings.groups.insert("customer42".into(), members);
    settings.groups.insert("closed".into(), vec![name("secret.example")]);
    settings
}

struct House {
    store: Arc<FakeStore>,
    desk: TurnDesk,
    now: Instant,
}

impl House {
    fn new() -> Self {
        let store = Arc::new(FakeStore::default());
        let counts = [
            ("example.org", 3),
            ("plain.example", 2),
            ("truthful.example", 4),
            ("uncounted.example", 5),
            ("any.example", 6),
            ("secret.example", 7),
            ("below.example", 10),
            ("a.below.example", 20),
            ("b.a.below.example", 30),
            ("own.below.example", 40),
            ("abelow.example", 50),
        ];
        store.0.lock().unwrap().messages = counts.into_iter().map(|(domain, n)| (name(domain), n)).collect();
        let primaries = FakePrimaries([(name("example.org"), PRIMARY.parse().unwrap())].into());
        let desk = TurnDesk::new(store.clone(), Arc::new(primaries), settings());
        Self { store, desk, now: Instant::now() }
    }

    fn ask(&self, asker: &Asker, target: &EtrnTarget) -> Result<EtrnAnswer, Reply> {
        self.desk.etrn(asker, target, self.now)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.store.0.lock().unwrap()
    }

    fn started(&self) -> Vec<String> {
        self.state().started.iter().map(|(domain, _)| domain.to_string()).collect()
    }
}

/// [1985-5.1-250] [1985-5.1-251] [1985-5.1-252] [1985-5.1-253] Success, by who asks and what `etrn-reply` says.
#[test]
fn success_tells_as_much_as_configured() {
    use EtrnAnswer::{NothingWaiting, Pending, PendingCount, Started};
    let table = [
        (from(PRIMARY), "example.org", PendingCount(3)),
        (from(FRIEND), "example.org", PendingCount(3)),
        (from("::ffff:198.51.100.7"), "example.org", PendingCount(3)),
        (owner("customer"), "example.org", PendingCount(3)),
        (from(FRIEND), "empty.example", Started),
        (owner("customer"), "empty.example", NothingWaiting),
        (from(FRIEND), "plain.example", Started),
        (from(FRIEND), "truthful.example", PendingCount(4)),
        (from(FRIEND), "truthful-empty.example", NothingWaiting),
        (from(FRIEND), "uncounted.example", Pending),
        (from(STRANGER), "any.example", Started),
        (from(FRIEND), "a.below.example", PendingCount(20)),
        (from(FRIEND), "never-had-mail.below.example", Started),
    ];
    for (asker, domain, expected) in table {
        let house = House::new();
        assert_eq!(house.ask(&asker, &node(domain)), Ok(expected), "{asker:?} {domain}");
        assert_eq!(house.started(), [domain]);
    }
}

/// [1985-5.1-253] The count stays what waits while a drain runs.
#[test]
fn a_request_during_a_drain_is_told_the_count_too() {
    let house = House::new();
    house.state().draining.insert(name("example.org"));
    assert_eq!(house.ask(&from(PRIMARY), &node("example.org")), Ok(EtrnAnswer::PendingCount(3)));
    assert_eq!(house.state().started, [(name("example.org"), DrainCause::Etrn)]);
}

/// [1985-5.1-decision] [1985-5.1-459] Unknown and forbidden are one answer, and neither asks the store for anything: the same way is
/// taken, so that neither text nor time tells them apart.
#[test]
fn unknown_and_forbidden_are_alike() {
    let house = House::new();
    let refused = [
        (from(STRANGER), node("example.org")),
        (from(STRANGER), node("unknown.example")),
        (from(FRIEND), node("secret.example")),
        (from(FRIEND), node("own.below.example")),
        (from(FRIEND), node("unknown.example")),
        (from(PRIMARY), node("empty.example")),
        (owner("somebody"), node("example.org")),
        (from(STRANGER), EtrnTarget::Subtree(name("unknown.example"))),
        (from(STRANGER), EtrnTarget::Subtree(name("example.org"))),
        (from(STRANGER), EtrnTarget::Group("nosuch".into())),
        (from(STRANGER), EtrnTarget::Group("closed".into())),
    ];
    let mut replies: Vec<Reply> = refused
        .iter()
        .map(|(asker, target)| house.ask(asker, target).expect_err("a stranger may not ask"))
        .collect();
    replies.dedup();
    let [reply] = &replies[..] else { panic!("more than one text: {replies:?}") };
    assert_eq!(reply.to_string().get(..10), Some("459 4.7.1 "));
    assert!(!reply.text.contains("example"));
    assert_eq!(house.state().asked, 0);
    assert!(house.started().is_empty());
}

/// [1985-5.1-decision] Holds, a rebuild and the interval are told only to who may ask.
#[test]
fn authorisation_comes_before_every_other_check() {
    let house = House::new();
    house.state().rebuilding = true;
    let note = HoldNote {
        kind: HoldKind::Operator,
        reason: "secret".into(),
        since: UnixMillis(0),
        until: None,
        pause_retention: false,
    };
    house.state().held.insert(name("example.org"), note);
    for domain in ["example.org", "plain.example", "unknown.example"] {
        assert_eq!(house.ask(&from(STRANGER), &node(domain)).unwrap_err().code.get(), 459);
    }
}

/// [1985-5.1-decision] A stranger's `@` or `#` is no way to make us walk over the store: where the rules leave hope that
/// it is a primary of some queue below, once, and not again for a while; the primary itself is not held up by that.
#[test]
fn a_strangers_subtree_costs_no_walk() {
    let mut only_networks = settings();
    let friends = DomainTurn { subdomains: true, ..rules(&["198.51.100.0/24"], EtrnReply::Auto) };
    only_networks.domains.insert(name("below.example"), true, friends);
    let subtree = EtrnTarget::Subtree(name("below.example"));
    let group = EtrnTarget::Group("customer42".into());
    let asked = |house: &House| std::mem::take(&mut house.state().asked);

    let house = House::new();
    house.desk.reload(only_networks);
    for target in [&subtree, &group] {
        assert_eq!(house.ask(&from(STRANGER), target).unwrap_err().code.get(), 459);
    }
    assert_eq!(asked(&house), 0);
    assert!(house.ask(&from(FRIEND), &subtree).is_ok());

    let mut house = House::new();
    let primaries = FakePrimaries([(name("a.below.example"), PRIMARY.parse().unwrap())].into());
    house.desk = TurnDesk::new(house.store.clone(), Arc::new(primaries), settings());
    assert_eq!(house.ask(&from(STRANGER), &subtree).unwrap_err().code.get(), 459);
    assert!(asked(&house) > 0);
    for other in ["below.example", "x.below.example", "y.below.example"] {
        let other = EtrnTarget::Subtree(name(other));
        assert_eq!(house.ask(&from(STRANGER), &other).unwrap_err().code.get(), 459);
    }
    assert_eq!(asked(&house), 0);
    assert_eq!(house.ask(&from(PRIMARY), &subtree), Ok(EtrnAnswer::PendingCount(20)));
    house.now += Duration::from_secs(16);
    assert_eq!(house.ask(&from(PRIMARY), &subtree), Ok(EtrnAnswer::PendingCount(20)));
    assert_eq!(house.started(), ["a.below.example", "a.below.example"]);
}

/// [1985-5.1-458] 458 for a hold of any kind, and for a store that cannot; the operator's words stay with us.
#[test]
fn holds_and_trouble_are_458() {
    for kind in [HoldKind::Operator, HoldKind::Orphaned, HoldKind::Misrouted] {
        let house = House::new();
        let note = HoldNote {
            kind,
            reason: "private words".into(),
            since: UnixMillis(0),
            until: None,
            pause_retention: false,
        };
        house.state().held.insert(name("example.org"), note);
        let reply = house.ask(&from(PRIMARY), &node("example.org")).unwrap_err();
        assert_eq!(reply.to_string().get(..10), Some("458 4.3.0 "));
        assert!(!reply.text.contains("private"));
        assert!(house.started().is_empty());
    }
    let house = House::new();
    house.state().rebuilding = true;
    let reply = house.ask(&from(PRIMARY), &node("example.org")).unwrap_err();
    assert_eq!(reply.to_string().get(..10), Some("458 4.3.0 "));
    house.state().rebuilding = false;
    assert!(house.ask(&from(PRIMARY), &node("example.org")).is_ok(), "a failure uses up no interval");
}

/// [1985-5.1-interval] Asked again too soon: 458 with the wait; only for the unauthenticated, and each network for itself.
#[test]
fn the_interval_is_each_askers_own() {
    let mut house = House::new();
    assert_eq!(house.ask(&from(STRANGER), &node("example.org")).unwrap_err().code.get(), 459);
    assert!(house.ask(&from(PRIMARY), &node("example.org")).is_ok(), "a stranger uses up nothing");
    house.now += Duration::from_millis(4_500);
    let reply = house.ask(&from(PRIMARY), &node("example.org")).unwrap_err();
    assert_eq!(reply.to_string(), "458 4.3.0 Asked again too soon, try again in 11 s");
    assert!(house.ask(&from(FRIEND), &node("example.org")).is_ok());
    assert!(house.ask(&from(PRIMARY), &EtrnTarget::Group("customer42".into())).is_err());
    for _ in 0..3 {
        assert!(house.ask(&owner("customer"), &node("example.org")).is_ok(), "an owner need not wait");
    }
    house.now += Duration::from_millis(10_500);
    assert!(house.ask(&from(PRIMARY), &node("example.org")).is_ok());
}

/// [1985-5.3-subtree] `@d` is d and every name below, as far as the asker's rights go; empty is 459.
#[test]
fn a_subtree_is_cut_to_the_askers_rights() {
    let house = House::new();
    let subtree = EtrnTarget::Subtree(name("below.example"));
    assert_eq!(house.ask(&from(FRIEND), &subtree), Ok(EtrnAnswer::PendingCount(10 + 20 + 30)));
    assert_eq!(house.started(), ["a.below.example", "b.a.below.example", "below.example"]);

    let house = House::new();
    let subtree = EtrnTarget::Subtree(name("a.below.example"));
    assert_eq!(house.ask(&from(FRIEND), &subtree), Ok(EtrnAnswer::PendingCount(20 + 30)));

    let house = House::new();
    let subtree = EtrnTarget::Subtree(name("secret.example"));
    assert_eq!(house.ask(&from(FRIEND), &subtree).unwrap_err().code.get(), 459);
}

/// [1985-5.3-subtree] A part that is stopped or was just started does not stop the rest, and counts as far as it waits.
#[test]
fn the_rest_of_a_subtree_flows() {
    let house = House::new();
    let note = HoldNote {
        kind: HoldKind::Operator,
        reason: "x".into(),
        since: UnixMillis(0),
        until: None,
        pause_retention: false,
    };
    house.state().held.insert(name("a.below.example"), note);
    house.ask(&from(FRIEND), &node("below.example")).unwrap();
    let subtree = EtrnTarget::Subtree(name("below.example"));
    assert_eq!(house.ask(&from(FRIEND), &subtree), Ok(EtrnAnswer::PendingCount(10 + 30)));
    assert_eq!(house.started(), ["below.example", "b.a.below.example"]);
}

/// [1985-5.3-queue] `#name` is a group of the configuration, compared without case, cut to the asker's rights.
#[test]
fn a_group_is_its_domains() {
    let house = House::new();
    let group = EtrnTarget::Group("Customer42".into());
    assert_eq!(house.ask(&from(FRIEND), &group), Ok(EtrnAnswer::PendingCount(3 + 10 + 20 + 30)));
    assert_eq!(house.started(), ["a.below.example", "b.a.below.example", "below.example", "example.org"]);
}

/// A certificate that owns the domain is as good as an account.
#[test]
fn a_certificate_on_file_may_ask() {
    let with = |fingerprint| Asker {
        tls: Some(TlsFacts {
            version: "TLS1.3".into(),
            cipher: String::new(),
            peer_fingerprint: fingerprint,
        }),
        ..from(STRANGER)
    };
    let house = House::new();
    assert!(house.ask(&with(Some([7; 32])), &node("example.org")).is_ok());
    assert!(house.ask(&with(Some([8; 32])), &node("example.org")).is_err());
    assert!(house.ask(&with(None), &node("example.org")).is_err());
}

/// A reload is in force with the next request.
#[test]
fn a_reload_takes_rights_away() {
    let house = House::new();
    assert!(house.ask(&from(FRIEND), &node("example.org")).is_ok());
    house.desk.reload(TurnSettings::default());
    assert_eq!(house.ask(&from(FRIEND), &node("example.org")).unwrap_err().code.get(), 459);
}

/// [1985-5.1-at-once] The answer is there without a runtime that could wait for anything: these tests have none.
/// The operator's flush takes the same way to the drain, without rights and interval.
#[test]
fn flush_starts_what_is_not_stopped() {
    let house = House::new();
    for _ in 0..2 {
        assert_eq!(house.desk.flush(&name("example.org")).unwrap().messages, 3);
    }
    assert_eq!(house.state().started[0].1, DrainCause::Flush);
    assert!(
        house.desk.flush(&name("abelow.example")).is_ok(),
        "orphaned mail that was released can be flushed"
    );
    assert!(matches!(house.desk.flush(&name("unknown.example")), Err(FlushError::Unknown)));
    let note = HoldNote {
        kind: HoldKind::Operator,
        reason: "x".into(),
        since: UnixMillis(0),
        until: None,
        pause_retention: false,
    };
    house.state().held.insert(name("example.org"), note);
    assert!(matches!(house.desk.flush(&name("example.org")), Err(FlushError::Held(_))));
    house.state().rebuilding = true;
    assert!(matches!(house.desk.flush(&name("plain.example")), Err(FlushError::Store(_))));
}
