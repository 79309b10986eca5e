//! ATRN and TURN, row by row, and mail that goes to where it was asked for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../etrn/fake.rs"]
mod fake;
mod ledger;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake::{FakePrimaries, FakeStore, State};
use restante_queue::{HoldKind, HoldNote};
use restante_smtp::{EtrnAnswer, EtrnTarget};
use restante_turn::{
    AccountTurn, Asker, DomainTurn, EtrnFrom, EtrnReply, REQUESTER_LIFE, TurnDesk, TurnSettings,
};
use restante_types::{Domain, Reply, TlsFacts, UnixMillis};

const HOME: &str = "198.51.100.7";

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

fn names(texts: &[&str]) -> Vec<Domain> {
    texts.iter().map(|text| name(text)).collect()
}

fn stranger() -> Asker {
    let tls = TlsFacts { version: "TLS1.3".into(), cipher: String::new(), peer_fingerprint: None };
    Asker { address: HOME.parse().unwrap(), identity: None, tls: Some(tls) }
}

fn account(identity: &str) -> Asker {
    Asker { identity: Some(identity.into()), ..stranger() }
}

fn in_clear(asker: Asker) -> Asker {
    Asker { tls: None, ..asker }
}

fn showing(fingerprint: u8, mut asker: Asker) -> Asker {
    asker.tls.as_mut().unwrap().peer_fingerprint = Some([fingerprint; 32]);
    asker
}

fn owned(owners: &[&str]) -> DomainTurn {
    DomainTurn {
        identities: owners.iter().map(ToString::to_string).collect(),
        etrn_interval: Duration::from_secs(15),
        ..DomainTurn::default()
    }
}

/// Mail of `dynamic.example` goes to where its owner asks from.
fn dynamic() -> DomainTurn {
    DomainTurn {
        requester_port: Some(2525),
        etrn_from: vec![format!("{HOME}/32").parse().unwrap()],
        certificates: [[9; 32]].into(),
        ..owned(&["dynamic", "customer"])
    }
}

fn put(settings: &mut TurnSettings, rules: DomainTurn) {
    settings.domains.insert(name("dynamic.example"), false, rules);
}

fn on_file(settings: &mut TurnSettings) -> &mut BTreeSet<[u8; 32]> {
    &mut settings.accounts.get_mut("dynamic").unwrap().certificates
}

/// `customer` owns a, b, empty and everything below sub; `clear` shares b and needs no TLS; `idle` owns nothing that has
/// mail; `turner` may TURN and owns the two turn domains.
fn settings() -> TurnSettings {
    let mut settings = TurnSettings::default();
    let mut put = |domain: &str, rules: DomainTurn| {
        settings.domains.insert(name(domain), rules.subdomains, rules);
    };
    put("a.example", owned(&["customer"]));
    put("b.example", owned(&["customer", "clear"]));
    put("empty.example", owned(&["customer", "idle"]));
    put("sub.example", DomainTurn { subdomains: true, ..owned(&["customer"]) });
    put("theirs.example", owned(&["other"]));
    put("turn.example", owned(&["turner"]));
    put("turn2.example", owned(&["turner"]));
    put("dynamic.example", dynamic());
    put("asks.example", DomainTurn { etrn_from: vec![EtrnFrom::Auth], ..owned(&["customer"]) });
    put("quiet.example", DomainTurn { etrn_reply: EtrnReply::Auto, ..owned(&["customer"]) });
    let mut known = |name: &str, account: AccountTurn| settings.accounts.insert(name.into(), account);
    known("customer", AccountTurn::default());
    known("clear", AccountTurn { allow_cleartext: true, ..AccountTurn::default() });
    known("idle", AccountTurn { turn: true, ..AccountTurn::default() });
    known("none", AccountTurn::default());
    known("other", AccountTurn::default());
    known("turner", AccountTurn { turn: true, certificates: [[5; 32]].into(), ..AccountTurn::default() });
    known("dynamic", AccountTurn { certificates: [[9; 32], [8; 32]].into(), ..AccountTurn::default() });
    settings.own_addresses = vec!["203.0.113.1".parse().unwrap()];
    settings.is_local = Some(|address| address == std::net::IpAddr::from([192, 0, 2, 99]));
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
        let held = [
            ("a.example", 3, 300),
            ("b.example", 2, 100),
            ("x.sub.example", 1, 200),
            ("theirs.example", 7, 1),
            ("turn.example", 1, 50),
            ("turn2.example", 1, 40),
            ("dynamic.example", 4, 60),
            ("asks.example", 1, 900),
        ];
        for (domain, messages, oldest) in held {
            let mut state = store.0.lock().unwrap();
            state.messages.insert(name(domain), messages);
            state.oldest.insert(name(domain), UnixMillis(oldest));
        }
        let desk = TurnDesk::new(store.clone(), Arc::new(FakePrimaries::default()), settings());
        Self { store, desk, now: Instant::now() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.store.0.lock().unwrap()
    }

    fn atrn(&self, asker: &Asker, named: &[&str]) -> Answer {
        told(self.desk.atrn(asker, names(named), self.now))
    }

    fn turn(&self, asker: &Asker) -> Answer {
        told(self.desk.turn(asker))
    }

    fn etrn(&self, asker: &Asker, domain: &str) -> Result<EtrnAnswer, Reply> {
        self.desk.etrn(asker, &EtrnTarget::Node(name(domain)), self.now)
    }

    fn hold(&self, domain: &str) {
        let note = HoldNote {
            kind: HoldKind::Operator,
            reason: "private words".into(),
            since: UnixMillis(0),
            until: None,
            pause_retention: false,
        };
        self.state().held.insert(name(domain), note);
    }
}

/// The domains, or code and enhanced code.
type Answer = Result<Vec<String>, String>;

fn told(answer: Result<Vec<Domain>, Reply>) -> Answer {
    let words = |reply: Reply| reply.to_string().split(' ').take(2).collect::<Vec<_>>().join(" ");
    answer.map(|domains| domains.iter().map(ToString::to_string).collect()).map_err(words)
}

fn refused<T>(code: &str) -> Result<T, String> {
    Err(code.to_owned())
}

fn flows(domains: &[&str]) -> Answer {
    Ok(domains.iter().map(ToString::to_string).collect())
}

/// [2645-5.2.1-auth] [2645-5.2.1-450] [2645-5.2.1-453] [2645-order] [2645-tls] Who asks for what, and what it gets.
#[test]
fn atrn_row_by_row() {
    let customer = account("customer");
    let table: &[(&Asker, &[&str], Answer)] = &[
        (&stranger(), &["a.example"], refused("530 5.7.0")),
        (&stranger(), &[], refused("530 5.7.0")),
        (&showing(5, stranger()), &["turn.example"], refused("530 5.7.0")),
        (&in_clear(customer.clone()), &["a.example"], refused("530 5.7.0")),
        (&in_clear(customer.clone()), &["theirs.example"], refused("530 5.7.0")),
        (&in_clear(account("clear")), &["b.example"], flows(&["b.example"])),
        (&in_clear(account("nobody")), &["b.example"], refused("530 5.7.0")),
        (&customer, &["a.example"], flows(&["a.example"])),
        (&customer, &["a.example", "b.example"], flows(&["b.example", "a.example"])),
        (&customer, &["a.example", "a.example"], flows(&["a.example"])),
        (&customer, &["a.example", "empty.example"], flows(&["a.example"])),
        (&customer, &["x.sub.example"], flows(&["x.sub.example"])),
        (&customer, &["sub.example"], refused("453 4.0.0")),
        (&customer, &["empty.example"], refused("453 4.0.0")),
        (
            &customer,
            &[],
            flows(&["dynamic.example", "b.example", "x.sub.example", "a.example", "asks.example"]),
        ),
        (&customer, &["a.example", "theirs.example"], refused("450 4.7.1")),
        (&customer, &["theirs.example"], refused("450 4.7.1")),
        (&customer, &["unknown.example"], refused("450 4.7.1")),
        (&customer, &["sub.a.example"], refused("450 4.7.1")),
        (&account("none"), &[], refused("450 4.7.1")),
        (&account("nobody"), &[], refused("450 4.7.1")),
        (&account("nobody"), &["a.example"], refused("450 4.7.1")),
        (&account("idle"), &[], refused("453 4.0.0")),
    ];
    for (asker, named, expected) in table {
        assert_eq!(House::new().atrn(asker, named), *expected, "{asker:?} {named:?}");
    }
}

/// [2645-5.2.1-450] Nothing says which of the names it was, nor whether it is held here; and nobody's store is asked.
#[test]
fn a_refusal_tells_nothing() {
    let house = House::new();
    let ask = |named: &[&str]| house.desk.atrn(&account("customer"), names(named), house.now).unwrap_err();
    assert_eq!(ask(&["theirs.example"]), ask(&["a.example", "unknown.example"]));
    assert_eq!(house.state().asked, 0);
    let many: Vec<Domain> = (0..10_000).map(|n| name(&format!("d{n}.sub.example"))).collect();
    assert_eq!(told(house.desk.atrn(&account("customer"), many, house.now)), refused("450 4.7.1"));
}

/// [2645-5.2.1-451] An operator's stop and a store that cannot tell are 451, unless other domains have mail that may go.
#[test]
fn stops_and_trouble_are_451() {
    let house = House::new();
    house.hold("a.example");
    let customer = account("customer");
    assert_eq!(house.atrn(&customer, &["a.example"]), refused("451 4.3.0"));
    assert_eq!(house.atrn(&customer, &["a.example", "empty.example"]), refused("451 4.3.0"));
    assert_eq!(house.atrn(&customer, &["a.example", "b.example"]), flows(&["b.example"]));
    assert_eq!(house.atrn(&customer, &["a.example", "theirs.example"]), refused("450 4.7.1"));
    let reply = house.desk.atrn(&customer, names(&["a.example"]), house.now).unwrap_err();
    assert!(!reply.text.contains("private"));
    house.state().rebuilding = true;
    assert_eq!(house.atrn(&customer, &["b.example"]), refused("451 4.3.0"));
    assert_eq!(house.atrn(&customer, &["theirs.example"]), refused("450 4.7.1"));
}

/// [2645-5.2.1-soon] Asking again and again while there is nothing: 450 with the wait. Mail that came meanwhile, a redial
/// while there is mail, and others wait for nothing.
#[test]
fn polling_too_fast_is_slowed_down() {
    let mut house = House::new();
    let idle = account("idle");
    assert_eq!(house.atrn(&idle, &[]), refused("453 4.0.0"));
    house.now += Duration::from_millis(4_500);
    let reply = house.desk.atrn(&idle, Vec::new(), house.now).unwrap_err();
    assert_eq!(reply.to_string(), "450 4.7.1 Asked again too soon, try again in 11 s");
    assert_eq!(house.atrn(&account("customer"), &["empty.example"]), refused("453 4.0.0"), "another account");
    house.state().messages.insert(name("empty.example"), 1);
    for _ in 0..3 {
        assert_eq!(house.atrn(&idle, &[]), flows(&["empty.example"]));
    }
    house.state().messages.clear();
    assert_eq!(house.atrn(&idle, &[]), refused("453 4.0.0"));
    house.now += Duration::from_secs(15);
    assert_eq!(house.atrn(&idle, &[]), refused("453 4.0.0"));
}

/// [821-turn-rights] Only for an account that says so, after AUTH or by its certificate, in TLS.
#[test]
fn turn_row_by_row() {
    let table = [
        (account("turner"), flows(&["turn2.example", "turn.example"])),
        (showing(5, stranger()), flows(&["turn2.example", "turn.example"])),
        (account("idle"), flows(&[])),
        (showing(6, stranger()), refused("502 5.5.1")),
        (stranger(), refused("502 5.5.1")),
        (account("customer"), refused("502 5.5.1")),
        (account("nobody"), refused("502 5.5.1")),
        (in_clear(account("turner")), refused("530 5.7.0")),
        (in_clear(account("customer")), refused("502 5.5.1")),
    ];
    for (asker, expected) in table {
        assert_eq!(House::new().turn(&asker), expected, "{asker:?}");
    }
    let house = House::new();
    house.hold("turn.example");
    assert_eq!(house.turn(&account("turner")), flows(&["turn2.example"]));
    house.state().rebuilding = true;
    assert_eq!(house.turn(&account("turner")), refused("502 5.5.1"));
}

/// [4954-9-revoked] Rights go with a reload, for whoever has authenticated before and for what runs.
#[test]
fn a_right_that_is_gone_is_gone_at_once() {
    let house = House::new();
    assert!(
        house.desk.owns("customer", &name("x.sub.example")) && !house.desk.owns("clear", &name("a.example"))
    );
    let mut less = settings();
    less.accounts.remove("customer");
    let mut rules = owned(&["other"]);
    rules.subdomains = true;
    less.domains.insert(name("sub.example"), true, rules);
    house.desk.reload(less);
    assert!(!house.desk.owns("customer", &name("x.sub.example")));
    assert_eq!(house.atrn(&account("customer"), &["x.sub.example"]), refused("450 4.7.1"));
    house.desk.reload(TurnSettings::default());
    assert_eq!(house.turn(&account("turner")), refused("502 5.5.1"));
}

/// [1985-530] A domain may ask for AUTH; who has authenticated and owns another gets 459 as ever.
#[test]
fn a_domain_may_ask_for_auth() {
    let house = House::new();
    let code = |asker: &Asker, domain: &str| {
        house.etrn(asker, domain).map_err(|reply| reply.to_string()[..9].to_owned())
    };
    assert_eq!(code(&stranger(), "asks.example"), refused("530 5.7.0"));
    assert_eq!(code(&account("other"), "asks.example"), refused("459 4.7.1"));
    assert_eq!(code(&account("customer"), "asks.example"), Ok(EtrnAnswer::PendingCount(1)));
    assert_eq!(code(&stranger(), "a.example"), refused("459 4.7.1"));
    assert_eq!(code(&stranger(), "unknown.example"), refused("459 4.7.1"));
}

/// [1985-5.1-251] Who authenticated is told that nothing waits, as often as it asks.
#[test]
fn an_owner_is_told_the_truth() {
    let house = House::new();
    for _ in 0..3 {
        assert_eq!(house.etrn(&account("customer"), "quiet.example"), Ok(EtrnAnswer::NothingWaiting));
        assert_eq!(house.etrn(&in_clear(account("customer")), "a.example"), Ok(EtrnAnswer::PendingCount(3)));
    }
}

/// [1985-requester] [1985-requester-once] To the address that asked: for one drain, for five minutes, with the
/// certificates on file.
#[test]
fn mail_goes_to_the_requester_once() {
    let house = House::new();
    let (hops, domain) = (house.desk.requesters(), name("dynamic.example"));
    assert_eq!(house.etrn(&account("dynamic"), "dynamic.example"), Ok(EtrnAnswer::PendingCount(4)));
    let hop = hops.take(&domain, house.now).unwrap();
    assert_eq!(hop.address.to_string(), format!("{HOME}:2525"));
    assert_eq!(hop.certificates, BTreeSet::from([[8; 32], [9; 32]]));
    assert_eq!(hop.identity.as_deref(), Some("dynamic"));
    assert_eq!(hops.take(&domain, house.now), None, "one drain");

    house.etrn(&account("dynamic"), "dynamic.example").unwrap();
    assert_eq!(hops.take(&domain, house.now + REQUESTER_LIFE), None, "it is a dynamic address");

    house.etrn(&showing(9, stranger()), "dynamic.example").unwrap();
    let hop = hops.take(&domain, house.now).unwrap();
    assert_eq!((hop.certificates, hop.identity), (BTreeSet::from([[9; 32]]), None));

    house.etrn(&account("dynamic"), "dynamic.example").unwrap();
    hops.end_unless(|hop, _| hop.identity.as_deref() != Some("dynamic"));
    assert_eq!(hops.take(&domain, house.now), None, "the account is gone");
}

/// [1985-requester-revoked] A certificate, an account or a domain that is taken away takes along the address that waits for its drain.
#[test]
fn mail_goes_to_nobody_who_lost_the_right() {
    let (domain, now) = (name("dynamic.example"), Instant::now());
    let by_certificate = || showing(9, stranger());
    type Change = fn(&mut TurnSettings);
    let cases: [(Asker, Change, bool); 7] = [
        (account("dynamic"), |_| {}, true),
        (by_certificate(), |_| {}, true),
        (account("dynamic"), |to| drop(to.accounts.remove("dynamic")), false),
        (account("dynamic"), |to| on_file(to).retain(|one| *one != [8; 32]), false),
        (account("dynamic"), |to| on_file(to).extend([[7; 32]]), true),
        (by_certificate(), |to| put(to, DomainTurn { certificates: BTreeSet::new(), ..dynamic() }), false),
        (account("dynamic"), |to| put(to, DomainTurn { identities: BTreeSet::new(), ..dynamic() }), false),
    ];
    for (number, (asker, change, stays)) in cases.into_iter().enumerate() {
        let house = House::new();
        house.etrn(&asker, "dynamic.example").unwrap();
        let mut changed = settings();
        change(&mut changed);
        house.desk.reload(changed);
        let hops = house.desk.requesters();
        hops.end_unless(|hop, queue| house.desk.may_go_to(hop, queue));
        assert_eq!(hops.take(&domain, now).is_some(), stays, "{number}");
    }
}

/// [1985-requester] Nobody's address but an owner's, and no address of ours.
#[test]
fn mail_goes_to_no_other_address() {
    let house = House::new();
    let (hops, domain) = (house.desk.requesters(), name("dynamic.example"));
    assert!(house.etrn(&stranger(), "dynamic.example").is_ok(), "by its network: to the primary on file");
    assert_eq!(hops.take(&domain, house.now), None);
    for address in
        ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "203.0.113.1", "192.0.2.99", "::ffff:192.0.2.99"]
    {
        let asker = Asker { address: address.parse().unwrap(), ..account("dynamic") };
        assert_eq!(house.etrn(&asker, "dynamic.example").unwrap_err().code.get(), 459, "{address}");
    }
    let reply = house.etrn(&account("customer"), "dynamic.example").unwrap_err();
    assert_eq!(reply.code.get(), 459, "no certificate on file");
    assert_eq!(hops.take(&domain, house.now), None);
    house.etrn(&account("customer"), "a.example").unwrap();
    assert_eq!(hops.take(&name("a.example"), house.now), None, "not where deliver-to says so");
}
