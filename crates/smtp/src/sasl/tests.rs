//! The other mechanisms, preparation, choice, and that nothing tells a secret.

use proptest::prelude::*;

use super::channel::{Channel, Layer};
use super::client::{AuthError, Credentials, Exchange as Client, NoMechanism};
use super::evidence::{Evidence, Identity};
use super::keys::ScramKeys;
use super::mechanism::{Mechanism, Mechanisms};
use super::secret::{Secret, Unprepared, prepare};
use super::server::{Bad, Exchange, Step};
use super::{cram, cram_md5, decode, encode, plain};

const HOST: &str = "mx2.example.net";
const BOUND: Layer = Layer::Tls { binding: Some([7; 32]) };
const UNBOUND: Layer = Layer::Tls { binding: None };

/// [4616-2] The examples of RFC 4616 4.
#[test]
fn plain_as_in_the_rfc() {
    let mechanism = Mechanism::Plain;
    let evidence = plain::read(b"\0tim\0tanstaaftanstaaf").unwrap();
    let password = Secret::new("tanstaaftanstaaf".into());
    assert_eq!(evidence, Evidence::Plain { mechanism, authzid: None, name: "tim".into(), password });
    let evidence = plain::read(b"Ursel\0Kurt\0xipj3plmq").unwrap();
    assert_eq!((evidence.authzid(), evidence.name()), (Some("Ursel"), Some("Kurt")));
    let written = plain::write("tim", &Secret::new("tanstaaftanstaaf".into()));
    assert_eq!(written.as_slice(), b"\0tim\0tanstaaftanstaaf");
}

#[test]
fn plain_is_read_strictly() {
    let long = format!("\0{}\0x", "a".repeat(256));
    for message in ["", "tim", "\0tim", "\0tim\0a\0b", "tim\0pencil", &long] {
        assert_eq!(plain::read(message.as_bytes()), Err(Bad::Malformed), "{message:?}");
    }
    assert_eq!(plain::read(b"\0tim\0\xff"), Err(Bad::Malformed));
    // [4616-2-prep]
    for message in ["\0\0pencil", "\0tim\0", "\0tim\0\u{ad}", "\0ti\u{7}m\0pencil", "\u{e000}\0tim\0pencil"] {
        assert_eq!(plain::read(message.as_bytes()), Err(Bad::Unprepared), "{message:?}");
    }
    let longest = format!("\0{}\0{}", "a".repeat(255), "b".repeat(255));
    assert!(plain::read(longest.as_bytes()).is_ok());
}

/// [2195-2] The example of RFC 2195 2.
#[test]
fn cram_md5_as_in_the_rfc() {
    let challenge = decode(b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+").unwrap();
    let challenge = std::str::from_utf8(&challenge).unwrap();
    let response = decode(b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw").unwrap();
    let (name, digest) = cram::read(&response).unwrap();
    assert_eq!(name, "tim");
    assert_eq!(digest, cram_md5("tanstaaftanstaaf", challenge));
    assert_ne!(digest, cram_md5("tanstaaftanstaag", challenge));
}

/// [2195-2-response]
#[test]
fn cram_md5_is_read_strictly() {
    let digest = "b913a602c7eda7a495b4e6e7334d3890";
    assert_eq!(cram::read(format!("two words {digest}").as_bytes()).unwrap().0, "two words");
    let long = format!("{} {digest}", "a".repeat(256));
    let texts =
        ["", "tim", "tim ", "tim b913", &format!("tim {digest}0"), &format!("tim  {digest} "), digest, &long];
    for text in texts {
        assert_eq!(cram::read(text.as_bytes()), Err(Bad::Malformed), "{text:?}");
    }
    assert_eq!(cram::read(format!("tim {}", digest.replace('b', "g")).as_bytes()), Err(Bad::Malformed));
    assert_eq!(cram::read(format!(" {digest}").as_bytes()), Err(Bad::Unprepared));
}

/// [2195-2-challenge] [4422-A]
#[test]
fn challenges_are_fresh_and_nonces_too() {
    let mut channel = Channel::new(Layer::Clear, [3; 32]);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let exchange =
            Exchange::begin(Mechanism::CramMd5, Mechanisms::NONE, Some(&mut channel), HOST).unwrap();
        let challenge = String::from_utf8(exchange.first_challenge()).unwrap();
        assert!(challenge.starts_with('<') && challenge.ends_with("@mx2.example.net>"), "{challenge}");
        assert!(seen.insert(challenge));
    }
    let other = Channel::new(Layer::Clear, [4; 32]).nonce();
    assert!(!seen.iter().any(|challenge| challenge.contains(&other)));
    for mechanism in [Mechanism::CramMd5, Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        assert!(Exchange::begin(mechanism, Mechanisms::NONE, None, HOST).is_none(), "{mechanism}");
    }
}

/// [5802-2.2] RFC 4013 3: its examples.
#[test]
fn saslprep_as_in_the_rfc() {
    for (text, prepared) in [
        ("I\u{ad}X", Ok("IX")),
        ("user", Ok("user")),
        ("USER", Ok("USER")),
        ("\u{aa}", Ok("a")),
        ("\u{2168}", Ok("IX")),
        ("\u{7}", Err(Unprepared)),
        ("\u{627}\u{31}", Err(Unprepared)),
        ("", Err(Unprepared)),
    ] {
        assert_eq!(prepare(text).as_deref(), prepared.as_deref(), "{text:?}");
    }
}

fn credentials(external: bool, plain: bool) -> Credentials {
    Credentials { name: "user".into(), password: Some(Secret::new("pencil".into())), external, plain }
}

fn chosen(credentials: &Credentials, offered: Mechanisms, layer: Layer) -> Result<Mechanism, NoMechanism> {
    Client::begin(credentials, offered, &mut Channel::new(layer, [1; 32])).map(|(mechanism, ..)| mechanism)
}

#[test]
fn the_strongest_mechanism_that_may_be_used_is_taken() {
    use Mechanism::{CramMd5, External, Login, Plain, ScramSha256, ScramSha256Plus};
    let all: Mechanisms = Mechanism::ALL.into_iter().collect();
    let without = |gone: &[Mechanism]| all.iter().filter(|one| !gone.contains(one)).collect::<Mechanisms>();
    let whatever = credentials(true, true);
    assert_eq!(chosen(&whatever, all, BOUND), Ok(ScramSha256Plus));
    assert_eq!(chosen(&whatever, all, UNBOUND), Ok(ScramSha256));
    assert_eq!(chosen(&whatever, all, Layer::Clear), Ok(ScramSha256));
    let weak = without(&[ScramSha256, ScramSha256Plus]);
    assert_eq!(chosen(&whatever, weak, BOUND), Ok(External));
    assert_eq!(chosen(&credentials(false, true), weak, BOUND), Ok(Plain));
    for (credentials, offered, layer) in [
        (credentials(false, false), weak, BOUND),
        (credentials(true, true), weak, Layer::Clear),
        (whatever.clone(), Mechanisms::NONE.with(CramMd5).with(Login), BOUND),
        (whatever, Mechanisms::NONE, BOUND),
        (Credentials { password: None, ..self::credentials(false, true) }, all, BOUND),
    ] {
        assert_eq!(chosen(&credentials, offered, layer), Err(NoMechanism::NoneInCommon));
    }
    let unfit = Credentials { name: "\u{7}".into(), ..self::credentials(false, false) };
    assert_eq!(chosen(&unfit, all, BOUND), Err(NoMechanism::Unprepared));
}

#[test]
fn names_of_mechanisms() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::by_name(&mechanism.name().to_ascii_lowercase()), Some(mechanism));
        assert_eq!(Mechanisms::NONE.with(mechanism).iter().collect::<Vec<_>>(), [mechanism]);
    }
    assert_eq!(Mechanism::by_name("SCRAM-SHA-1"), None);
    let read = Mechanisms::read("plain GSSAPI SCRAM-SHA-256 PLAIN".split(' '));
    assert_eq!(read, Mechanisms::NONE.with(Mechanism::Plain).with(Mechanism::ScramSha256));
}

/// What a server that was not proved says, an exchange does not believe; and one message is one message.
#[test]
fn a_client_believes_nothing_early() {
    let mut channel = Channel::new(UNBOUND, [1; 32]);
    let offered = Mechanisms::NONE.with(Mechanism::ScramSha256);
    let (_, exchange, first) = Client::begin(&credentials(false, false), offered, &mut channel).unwrap();
    assert_eq!(exchange.success(), Err(AuthError::Server));
    assert_eq!(exchange.with_first(first).success(), Err(AuthError::Server));
    let offered = Mechanisms::NONE.with(Mechanism::Plain);
    let (_, mut exchange, _) = Client::begin(&credentials(false, true), offered, &mut channel).unwrap();
    assert_eq!(exchange.challenge(b"").map(drop), Err(AuthError::Challenge));
    assert_eq!(exchange.success(), Ok(()));
}

/// A grant of what the client did not prove is no grant.
#[test]
fn the_machine_does_not_agree_to_nothing() {
    let mut channel = Channel::new(UNBOUND, [1; 32]);
    let mut begin =
        || Exchange::begin(Mechanism::ScramSha256, Mechanisms::NONE, Some(&mut channel), HOST).unwrap();
    let mut exchange = begin();
    assert!(exchange.agree(Identity("user".into())).is_none());
    let mut exchange = begin();
    assert!(matches!(exchange.keys(ScramKeys::derive("x", b"y", 4096)), Step::Bad(Bad::Malformed)));
}

#[test]
fn nothing_tells_a_secret() {
    let secret = Secret::new("hunter2".into());
    let keys = ScramKeys::derive("hunter2", b"salt", 4096);
    let key = format!("{:?}", keys.stored_key);
    let evidence = plain::read(b"\0user\0hunter2").unwrap();
    let mut channel = Channel::new(BOUND, *b"0123456789abcdef0123456789abcdef");
    let seed = format!("{:?}", b"0123456789abcdef0123456789abcdef");
    let (_, client, first) =
        Client::begin(&credentials(false, true), Mechanisms::NONE.with(Mechanism::Plain), &mut channel)
            .unwrap();
    let held = format!("{:?}", first.as_slice());
    let shown = format!(
        "{secret:?} {keys:?} {evidence:?} {channel:?} {:?} {:?}",
        client.with_first(first),
        credentials(true, true)
    );
    for text in ["hunter2", "pencil", &key, &seed, &held] {
        assert!(!shown.contains(text), "{text} in {shown}");
    }
    assert!(shown.contains("Secret(…)") && shown.contains("4096"));
}

proptest! {
    #[test]
    fn any_response_is_survived(octets in proptest::collection::vec(any::<u8>(), 0..80), which in 0_usize..6) {
        let mut channel = Channel::new(BOUND, [1; 32]);
        let all: Mechanisms = Mechanism::ALL.into_iter().collect();
        let mut exchange = Exchange::begin(Mechanism::ALL[which], all, Some(&mut channel), HOST).unwrap();
        for _ in 0..3 {
            let _step = exchange.respond(&octets);
        }
    }

    #[test]
    fn base64_is_strict(octets in proptest::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), wrong in "[ -*,-.:-@\\[-`{-~é]") {
        let text = encode(&octets);
        let decoded = decode(text.as_bytes()).unwrap();
        prop_assert_eq!(decoded.as_slice(), octets.as_slice());
        let spoilt: String = text.chars().take(at.index(text.len() + 1)).collect::<String>() + &wrong + &text;
        prop_assert!(decode(spoilt.as_bytes()).is_none(), "{}", spoilt);
    }

    #[test]
    fn plain_comes_through(name in "[!-~]{1,40}", password in "[ -~]{1,40}") {
        let message = plain::write(&name, &Secret::new(password.clone()));
        let evidence = plain::read(&message).unwrap();
        prop_assert_eq!(evidence.name(), Some(name.as_str()));
        let Evidence::Plain { password: read, .. } = evidence else { panic!("PLAIN") };
        prop_assert_eq!(read.expose(), password);
    }
}
