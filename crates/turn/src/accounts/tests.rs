//! Who gets in by what, and that the others cannot tell why they did not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use restante_smtp::{Evidence, Identity, Mechanism, ScramKeys, Secret, cram_md5};

use super::{
    Account, Accounts, AuthFailure, ClientCertificate, Fingerprint, Install, Kdf, Peer, StoredSecret,
};
use crate::limits::{DEFAULT_ITERATIONS, FAILURE_SPAN, FAILURES_PER_ACCOUNT, FAILURES_PER_NETWORK};

const ITERATIONS: u32 = 4096;
const CHALLENGE: &str = "<1896.697170952@postoffice.example.net>";

/// Counts, and derives as it should.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Kdf for Counting {
    fn is_of(&self, keys: &ScramKeys, password: &str) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        keys.is_of(password)
    }
}

struct House {
    accounts: Accounts,
    derivations: Counting,
    now: Instant,
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn derived(password: &str) -> StoredSecret {
    StoredSecret::Derived(ScramKeys::derive(password, b"sixteen octets..", ITERATIONS))
}

/// `customer` has a password, `clear` may come without TLS, `legacy` speaks CRAM-MD5 and `fetchmail` both; `cert` and
/// `named` have certificates only.
fn all() -> Vec<Account> {
    let account = |name: &str| Account { name: name.into(), ..Account::default() };
    vec![
        Account { secret: Some(derived("pencil")), ..account("customer") },
        Account { secret: Some(derived("pencil")), allow_cleartext: true, ..account("clear") },
        Account { secret: Some(derived("other")), ..account("third") },
        Account {
            secret: Some(StoredSecret::Plain(secret("pencil"))),
            legacy_cram_md5: true,
            ..account("legacy")
        },
        Account {
            secret: Some(StoredSecret::Plain(secret("pencil"))),
            legacy_cram_md5: true,
            allow_cleartext: true,
            ..account("fetchmail")
        },
        Account { certificates: [Fingerprint([7; 32])].into(), ..account("cert") },
        Account { client_name: Some("mail.example.org".parse().unwrap()), ..account("named") },
    ]
}

impl House {
    fn new() -> Self {
        let derivations = Counting::default();
        let accounts = Accounts::with_kdf(Install::new([3; 32]), Box::new(derivations.clone()));
        accounts.load(all());
        Self { accounts, derivations, now: Instant::now() }
    }

    fn check(&self, evidence: &Evidence, peer: &Peer) -> Result<String, AuthFailure> {
        self.accounts.check(evidence, peer, self.now).map(|identity| identity.0)
    }

    fn derived(&self) -> usize {
        self.derivations.0.swap(0, Ordering::SeqCst)
    }
}

fn from(address: &str, tls: bool) -> Peer {
    Peer { address: address.parse().unwrap(), tls, certificate: None }
}

fn in_tls() -> Peer {
    from("192.0.2.1", true)
}

fn in_clear() -> Peer {
    from("192.0.2.1", false)
}

fn showing(fingerprint: u8, names: &[&str]) -> Peer {
    let names = names.iter().map(|name| name.parse().unwrap()).collect();
    Peer { certificate: Some(ClientCertificate { fingerprint: [fingerprint; 32], names }), ..in_tls() }
}

fn plain(name: &str, password: &str) -> Evidence {
    plain_as(None, name, password)
}

fn plain_as(authzid: Option<&str>, name: &str, password: &str) -> Evidence {
    let (authzid, mechanism) = (authzid.map(ToOwned::to_owned), Mechanism::Plain);
    Evidence::Plain { mechanism, authzid, name: name.into(), password: secret(password) }
}

fn cram(name: &str, password: &str) -> Evidence {
    let digest = cram_md5(password, CHALLENGE);
    Evidence::CramMd5 { name: name.into(), challenge: CHALLENGE.into(), digest }
}

fn scram(authzid: Option<&str>, name: &str) -> Evidence {
    let authzid = authzid.map(ToOwned::to_owned);
    Evidence::Scram { mechanism: Mechanism::ScramSha256, authzid, name: name.into() }
}

fn external(authzid: Option<&str>) -> Evidence {
    Evidence::External { authzid: authzid.map(ToOwned::to_owned) }
}

/// [4954-4-authzid] [4954-9-legacy] [4954-4-external] Each way in, and who may take it.
#[test]
fn who_gets_in_by_what() {
    let login = Evidence::Plain {
        mechanism: Mechanism::Login,
        authzid: None,
        name: "customer".into(),
        password: secret("pencil"),
    };
    let table = [
        (plain("customer", "pencil"), in_tls(), Some("customer")),
        (login, in_tls(), Some("customer")),
        (plain("legacy", "pencil"), in_tls(), Some("legacy")),
        (plain_as(Some("customer"), "customer", "pencil"), in_tls(), Some("customer")),
        (plain_as(Some("clear"), "customer", "pencil"), in_tls(), None),
        (plain("customer", "Pencil"), in_tls(), None),
        (plain("Customer", "pencil"), in_tls(), None),
        (plain("nobody", "pencil"), in_tls(), None),
        (plain("cert", ""), in_tls(), None),
        (plain("customer", "pencil"), in_clear(), None),
        (plain("clear", "pencil"), in_clear(), None),
        (cram("legacy", "pencil"), in_tls(), Some("legacy")),
        (cram("legacy", "pencil"), in_clear(), None),
        (cram("fetchmail", "pencil"), in_clear(), Some("fetchmail")),
        (cram("fetchmail", "other"), in_clear(), None),
        (cram("customer", "pencil"), in_tls(), None),
        (cram("cert", ""), in_tls(), None),
        (cram("nobody", ""), in_tls(), None),
        (scram(None, "customer"), in_tls(), Some("customer")),
        (scram(Some("customer"), "customer"), in_tls(), Some("customer")),
        (scram(Some("clear"), "customer"), in_tls(), None),
        (scram(None, "customer"), in_clear(), None),
        (scram(None, "clear"), in_clear(), Some("clear")),
        (scram(None, "nobody"), in_tls(), None),
        (scram(None, "cert"), in_tls(), None),
        (
            Evidence::ScramFailed { mechanism: Mechanism::ScramSha256, name: "customer".into() },
            in_tls(),
            None,
        ),
        (external(None), showing(7, &[]), Some("cert")),
        (external(Some("cert")), showing(7, &[]), Some("cert")),
        (external(Some("named")), showing(7, &[]), None),
        (external(None), showing(8, &["mail.example.org"]), Some("named")),
        (external(None), showing(8, &["mail.example.com"]), None),
        (external(None), in_tls(), None),
        (external(None), Peer { tls: false, ..showing(7, &[]) }, None),
    ];
    let house = House::new();
    for (n, (evidence, peer, expected)) in (0_u8..).zip(table) {
        // Each from an address of its own, so that no failures add up.
        let peer = Peer { address: [192, 0, 2, n].into(), ..peer };
        let expected = expected.map(ToOwned::to_owned).ok_or(AuthFailure::Refused);
        assert_eq!(house.check(&evidence, &peer), expected, "{evidence:?} {peer:?}");
    }
}

/// [4954-4-alike] One text, and the same work: a derivation for each PLAIN and LOGIN, whoever is named and however it
/// comes, and none for the others.
#[test]
fn nobody_can_tell_an_account_that_is_not_there() {
    let house = House::new();
    for (n, name) in (0..).zip(["customer", "clear", "legacy", "cert", "named", "nobody", "no such account"])
    {
        for tls in [true, false] {
            let peer = from(&format!("192.0.2.{n}"), tls);
            let failure = house.check(&plain(name, "wrong"), &peer).unwrap_err();
            assert_eq!(failure.reply().to_string(), "535 5.7.8 Authentication credentials invalid");
            assert_eq!(house.derived(), 1, "{name}");
            house.check(&cram(name, "wrong"), &peer).unwrap_err();
            house.check(&scram(None, "nobody"), &peer).unwrap_err();
            assert_eq!(house.derived(), 0);
        }
    }
}

/// [4954-4-alike] What SCRAM shows of a name is the same each time, after a restart too, and looks like an account's.
#[test]
fn made_up_keys_stay_and_look_like_others() {
    let house = House::new();
    let keys =
        |house: &House, name: &str, peer: &Peer| house.accounts.scram_keys(name, peer, house.now).unwrap();
    let (nobody, other) = (keys(&house, "nobody", &in_tls()), keys(&house, "other", &in_tls()));
    assert!(!nobody.genuine && keys(&house, "customer", &in_tls()).genuine);
    assert_eq!(nobody, keys(&House::new(), "nobody", &in_tls()));
    assert_ne!(nobody.salt, other.salt);
    assert_eq!((nobody.salt.len(), nobody.iterations), (16, ITERATIONS), "as most of the accounts");
    house.accounts.load(Vec::new());
    assert_eq!(keys(&house, "nobody", &in_tls()).iterations, DEFAULT_ITERATIONS);
    assert_eq!(keys(&house, "nobody", &in_tls()).salt, nobody.salt);
    let elsewhere = Accounts::new(Install::new([4; 32]));
    assert_ne!(elsewhere.scram_keys("nobody", &in_tls(), house.now).unwrap().salt, nobody.salt);
}

/// [4954-4-alike] Whoever may not come so gets made-up keys, which stay the same as well.
#[test]
fn scram_is_for_those_who_may_come_so() {
    let house = House::new();
    let genuine = |name: &str, peer: &Peer| house.accounts.scram_keys(name, peer, house.now).unwrap().genuine;
    assert!(genuine("customer", &in_tls()) && !genuine("customer", &in_clear()));
    assert!(genuine("clear", &in_clear()) && genuine("legacy", &in_tls()) && !genuine("legacy", &in_clear()));
    assert!(!genuine("cert", &in_tls()));
}

/// [4954-4-alike-layers] Who asks for a name in clear and then inside TLS sees the same salt and the same iterations both times,
/// whether there is such an account, and whether it may come in clear, or not.
#[test]
fn what_scram_shows_of_a_name_does_not_depend_on_tls() {
    let house = House::new();
    for name in ["customer", "clear", "legacy", "fetchmail", "cert", "named", "nobody"] {
        let shown = |peer: &Peer| {
            let keys = house.accounts.scram_keys(name, peer, house.now).unwrap();
            (keys.salt.clone(), keys.iterations)
        };
        assert_eq!(shown(&in_clear()), shown(&in_tls()), "{name}");
    }
    let keys = house.accounts.scram_keys("customer", &in_clear(), house.now).unwrap();
    assert!(!keys.genuine && !keys.is_of("pencil"), "nothing but what is shown is the account's");
}

/// [4954-9-guessing] [4954-6-replies] After too many failures nothing is looked at, for this network and this account alone.
#[test]
fn guessing_ends_and_the_owner_still_gets_in() {
    let mut house = House::new();
    let stranger = from("198.51.100.7", true);
    for _ in 0..FAILURES_PER_ACCOUNT {
        assert_eq!(house.check(&plain("customer", "wrong"), &stranger), Err(AuthFailure::Refused));
    }
    house.derived();
    let Err(AuthFailure::Wait(rest)) = house.check(&plain("customer", "pencil"), &stranger) else {
        panic!("it was looked at")
    };
    assert!(rest <= FAILURE_SPAN && house.derived() == 0);
    assert_eq!(AuthFailure::Wait(rest).reply().code.get(), 454);
    assert!(house.accounts.scram_keys("customer", &stranger, house.now).is_err());
    assert!(house.check(&plain("customer", "pencil"), &in_tls()).is_ok(), "the owner, from elsewhere");
    assert!(house.check(&plain("legacy", "pencil"), &stranger).is_ok(), "another account, from there");
    house.now += FAILURE_SPAN + Duration::from_secs(1);
    assert!(house.check(&plain("customer", "pencil"), &stranger).is_ok());
}

/// [4954-9-guessing] IPv6 counts by /64, and a spray over many names ends the connection.
#[test]
fn a_spray_from_one_network_ends() {
    let house = House::new();
    let peer = |n: u32| from(&format!("2001:db8:1:2::{n:x}"), true);
    for n in 0..FAILURES_PER_NETWORK {
        house.check(&cram(&format!("name{n}"), "x"), &peer(n)).unwrap_err();
    }
    let Err(failure) = house.check(&plain("customer", "pencil"), &peer(9999)) else { panic!("it got in") };
    assert!(matches!(failure, AuthFailure::Close(_)) && failure.reply().code.get() == 421);
    assert!(house.check(&plain("customer", "pencil"), &from("2001:db8:1:3::1", true)).is_ok());
}

#[test]
fn what_is_offered_is_what_some_account_can_use() {
    let house = House::new();
    let offer = house.accounts.offer();
    assert!(Mechanism::ALL.into_iter().all(|mechanism| offer.mechanisms.contains(mechanism)));
    assert!(offer.cleartext);
    let only = |name: &str| {
        house.accounts.load(all().into_iter().filter(|account| account.name == name).collect());
        let offer = house.accounts.offer();
        (offer.mechanisms.iter().map(|mechanism| mechanism.name()).collect::<Vec<_>>(), offer.cleartext)
    };
    let passwords = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"];
    assert_eq!(only("customer"), (passwords.to_vec(), false));
    assert_eq!(only("legacy"), ([&passwords[..], &["CRAM-MD5"]].concat(), false));
    assert_eq!(only("cert"), (vec!["EXTERNAL"], false));
    assert_eq!(only("named"), (vec!["EXTERNAL"], false));
    assert!(only("clear").1);
    assert_eq!(only("none of them"), (Vec::new(), false));
}

/// [4954-9-revoked] What is taken is in force with the next question.
#[test]
fn a_new_table_is_in_force_at_once() {
    let house = House::new();
    let customer = Identity("customer".into());
    assert!(house.accounts.account(&customer).is_some());
    let new = house.accounts.prepare(Vec::new());
    assert!(house.check(&plain("customer", "pencil"), &in_tls()).is_ok(), "prepared is not taken");
    house.accounts.take(new);
    assert!(house.check(&plain("customer", "pencil"), &in_tls()).is_err());
    assert!(house.accounts.account(&customer).is_none());
    let certificate = showing(7, &[]).certificate.unwrap();
    assert_eq!(house.accounts.identity_of(&certificate), None);
    house.accounts.load(all());
    assert_eq!(house.accounts.identity_of(&certificate), Some(Identity("cert".into())));
}

/// Nothing that could log in stands in what a log might be given.
#[test]
fn nothing_secret_is_shown() {
    let house = House::new();
    let shown = format!("{house:?} {:?} {:?}", all(), plain("customer", "pencil"), house = house.accounts);
    assert!(!shown.contains("pencil") && !shown.contains("stored_key"), "{shown}");
}
