//! SCRAM against the vectors of the RFCs, against itself, and against who stands in between.

use proptest::prelude::*;

use super::client::{Client, Terms as ClientTerms};
use super::message::{ClientFinal, ClientFirst, ServerFirst, write_name};
use super::server::{Server, Terms};
use crate::sasl::client::AuthError;
use crate::sasl::evidence::Evidence;
use crate::sasl::keys::{ScramKeys, hi};
use crate::sasl::mechanism::Mechanism;
use crate::sasl::secret::Secret;
use crate::sasl::server::{Bad, Step};
use crate::sasl::{Unprepared, decode, prepare};

const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const CHALLENGE: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SIGNATURE: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn pencil() -> Secret {
    Secret::new("pencil".into())
}

fn salt() -> Vec<u8> {
    decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().to_vec()
}

fn begun(mechanism: Mechanism, plus_offered: bool, binding: Option<[u8; 32]>) -> Server {
    Server::Begun(Terms { mechanism, plus_offered, binding, nonce: SERVER_NONCE.into() })
}

fn plain_server() -> Server {
    begun(Mechanism::ScramSha256, false, None)
}

/// [5802-2.2-hi] The vectors of RFC 7914 11, whose first block this is.
#[test]
fn hi_is_pbkdf2() {
    let hex = |octets: [u8; 32]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let one = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
    assert_eq!(hex(*hi(b"passwd", b"salt", 1)), one);
    let many = "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56";
    assert_eq!(hex(*hi(b"Password", b"NaCl", 80_000)), many);
}

/// [7677-3] [5802-3-server] The example of RFC 7677, from both sides.
#[test]
fn the_example_of_the_rfc() {
    let (mut client, first) = Client::begin(ClientTerms::Unsupported, "user", pencil(), CLIENT_NONCE.into());
    assert_eq!(first, FIRST.as_bytes());
    let mut server = plain_server();
    let Step::Keys(name) = server.respond(&first) else { panic!("no name") };
    assert_eq!(name, "user");
    let challenge = server.keys(ScramKeys::derive("pencil", &salt(), 4096)).unwrap();
    assert_eq!(String::from_utf8(challenge.clone()).unwrap(), CHALLENGE);
    let last = client.challenge(&challenge).unwrap();
    assert_eq!(std::str::from_utf8(&last).unwrap(), LAST);
    assert!(!client.is_proven());
    let Step::Evidence(evidence) = server.respond(&last) else { panic!("no evidence") };
    let mechanism = Mechanism::ScramSha256;
    assert_eq!(evidence, Evidence::Scram { mechanism, authzid: None, name: "user".into() });
    let signature = server.success().unwrap();
    assert_eq!(signature, SIGNATURE.as_bytes());
    assert_eq!(server.success(), None, "once only");
    assert!(client.challenge(&signature).unwrap().is_empty());
    assert!(client.is_proven());
    assert_eq!(client.challenge(b"more").unwrap_err(), AuthError::Challenge);
}

/// [5802-7] The messages of RFC 5802's example have the same form (their hash is SHA-1, which we do not speak).
#[test]
fn the_messages_of_rfc_5802_are_taken_apart() {
    let first = ClientFirst::read(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL").unwrap();
    assert_eq!((first.name.as_str(), first.nonce.as_str()), ("user", "fyko+d2lbbFgONRv9qkxdawL"));
    assert_eq!((first.header.as_str(), first.bare.as_str()), ("n,,", "n=user,r=fyko+d2lbbFgONRv9qkxdawL"));
    let text = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    let challenge = ServerFirst::read(text).unwrap();
    assert_eq!((challenge.salt, challenge.iterations), ("QSXCR+Q6sek8bf92", 4096));
    let text = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
    let last = ClientFinal::read(text.as_bytes()).unwrap();
    assert_eq!((last.binding, last.proof), ("biws", "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
    assert_eq!(last.without_proof, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j");
}

/// [5802-5.1-n] and the authorisation identity, written the same way.
#[test]
fn names_are_escaped() {
    let first = ClientFirst::read(b"n,a=b=2Cc=3D,n=a=3Db=2C,r=x,z=later").unwrap();
    assert_eq!((first.name.as_str(), first.authzid.as_deref()), ("a=b,", Some("b,c=")));
    assert_eq!((first.header.as_str(), first.bare.as_str()), ("n,a=b=2Cc=3D,", "n=a=3Db=2C,r=x,z=later"));
    for text in ["n,,n=a=b,r=x", "n,,n=a=2c,r=x", "n,,n=a=,r=x", "n,,n=a=3,r=x", "n,,n=a\0b,r=x"] {
        assert_eq!(ClientFirst::read(text.as_bytes()).unwrap_err(), Bad::Malformed, "{text}");
    }
    let long = format!("n,,n={},r=x", "a".repeat(256));
    assert_eq!(ClientFirst::read(long.as_bytes()).unwrap_err(), Bad::Malformed);
    for text in ["n,,n=,r=x", "n,,n=\u{ad},r=x", "n,,n=a\u{7}b,r=x"] {
        assert_eq!(ClientFirst::read(text.as_bytes()).unwrap_err(), Bad::Unprepared, "{text:?}");
    }
    assert_eq!(prepare(""), Err(Unprepared));
}

/// Runs both sides; what the client's last message became on the line is `tamper`'s.
fn run(client: ClientTerms, server: Server, genuine: bool, tamper: impl Fn(&[u8]) -> Vec<u8>) -> Step {
    let (mut client, first) = Client::begin(client, "user", pencil(), CLIENT_NONCE.into());
    let mut server = server;
    match server.respond(&first) {
        Step::Keys(_) => {}
        step => return step,
    }
    let mut keys = ScramKeys::derive("pencil", &salt(), 4096);
    keys.genuine = genuine;
    let last = client.challenge(&server.keys(keys).unwrap()).unwrap();
    server.respond(&tamper(&last))
}

fn accepted(step: &Step) -> bool {
    match step {
        Step::Evidence(Evidence::Scram { .. }) => true,
        Step::Evidence(Evidence::ScramFailed { name, .. }) => {
            assert_eq!(name, "user");
            false
        }
        Step::Bad(_) => false,
        other => panic!("{other:?}"),
    }
}

/// [5802-6-server] [5802-6-client] [5802-6-data] Every combination of what both sides have.
#[test]
fn binding_holds_and_cannot_be_argued_away() {
    use ClientTerms::{Exporter, NotOffered, Unsupported};
    let (ours, theirs) = ([7; 32], [8; 32]);
    let plus = |binding| begun(Mechanism::ScramSha256Plus, true, binding);
    let base = |offered| begun(Mechanism::ScramSha256, offered, Some(ours));
    for (client, server, expected, case) in [
        (Exporter(ours), plus(Some(ours)), true, "bound"),
        (Exporter(theirs), plus(Some(ours)), false, "two TLS connections"),
        (Exporter(ours), plus(None), false, "nothing to bind to"),
        (Exporter(ours), base(true), false, "bound under the other name"),
        (Unsupported, plus(Some(ours)), false, "not bound under the name that binds"),
        (Unsupported, base(true), true, "the client does not speak it"),
        (NotOffered, base(true), false, "somebody took the offer away"),
        (NotOffered, base(false), true, "there was no offer"),
    ] {
        assert_eq!(accepted(&run(client, server, true, <[u8]>::to_vec)), expected, "{case}");
    }
}

#[test]
fn keys_that_are_not_genuine_are_no_keys() {
    let terms = ClientTerms::Unsupported;
    assert!(accepted(&run(terms, plain_server(), true, <[u8]>::to_vec)));
    assert!(!accepted(&run(terms, plain_server(), false, <[u8]>::to_vec)));
}

/// [5802-3-proof] One bit anywhere in the client's last message, and it is nobody's.
#[test]
fn a_changed_proof_is_none() {
    for at in 0..LAST.len() {
        let step = run(ClientTerms::Unsupported, plain_server(), true, |last| {
            let mut last = last.to_vec();
            last[at] ^= 1;
            last
        });
        assert!(!accepted(&step), "{at}");
    }
}

/// [5802-7] What is no last message.
#[test]
fn last_messages_are_read_strictly() {
    for text in [
        "",
        "c=biws,p=AAAA",
        "r=a,c=biws,p=AAAA",
        "c=biws,r=a",
        "c=biws,r=a,p=AA",
        "c=biws,r=a,p=AAAA",
        "c=*,r=a,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=a,,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=a,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=1",
    ] {
        let step = run(ClientTerms::Unsupported, plain_server(), true, |_| text.into());
        assert!(matches!(step, Step::Bad(Bad::Malformed)), "{text}: {step:?}");
    }
}

fn challenged(challenge: &str) -> Result<(), AuthError> {
    let (mut client, _) = Client::begin(ClientTerms::Unsupported, "user", pencil(), CLIENT_NONCE.into());
    client.challenge(challenge.as_bytes()).map(drop)
}

/// [5802-5.1-r] [7677-4-client] What a client does not answer.
#[test]
fn challenges_are_read_strictly() {
    let nonce = CLIENT_NONCE;
    for (text, error) in [
        (String::new(), AuthError::Challenge),
        ("e=other-error".into(), AuthError::Challenge),
        (format!("r={nonce}x,s=,i=4096"), AuthError::Challenge),
        (format!("r={nonce}x,s=!,i=4096"), AuthError::Challenge),
        (format!("r={nonce}x,s=QSXC,i=-1"), AuthError::Challenge),
        (format!("r={nonce}x,s=QSXC,i=+4096"), AuthError::Challenge),
        (format!("r={nonce}x,s=QSXC,i=99999999999"), AuthError::Challenge),
        (format!("r={nonce}x,s=QSXC"), AuthError::Challenge),
        (format!("m=1,r={nonce}x,s=QSXC,i=4096"), AuthError::Challenge),
        (format!("r={nonce}\u{7f},s=QSXC,i=4096"), AuthError::Challenge),
        (format!("r={nonce},s=QSXC,i=4096"), AuthError::Nonce),
        ("r=another,s=QSXC,i=4096".into(), AuthError::Nonce),
        (format!("r={nonce}x,s=QSXC,i=4095"), AuthError::Iterations(4095)),
        (format!("r={nonce}x,s=QSXC,i=0"), AuthError::Iterations(0)),
        (format!("r={nonce}x,s=QSXC,i=2000001"), AuthError::Iterations(2_000_001)),
    ] {
        assert_eq!(challenged(&text), Err(error), "{text}");
    }
    assert_eq!(challenged(&format!("r={nonce}x,s=QSXC,i=4096,z=later")), Ok(()));
}

/// [5802-3-client] A server that does not know the keys is found out.
#[test]
fn the_servers_proof_is_checked() {
    for text in ["", "e=no", "v=", "v=!", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=AAAA"] {
        let (mut client, _) = Client::begin(ClientTerms::Unsupported, "user", pencil(), CLIENT_NONCE.into());
        client.challenge(CHALLENGE.as_bytes()).unwrap();
        assert_eq!(client.challenge(text.as_bytes()).unwrap_err(), AuthError::Server, "{text}");
        assert!(!client.is_proven());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_and_password_come_through(name in "[ -~äöü]{1,40}", password in "[ -~äöü]{1,40}", other in "[ -~]{1,40}") {
        let (Ok(name), Ok(password)) = (prepare(&name), prepare(&password)) else { return Ok(()) };
        let keys = ScramKeys::derive(&password, b"salt", 4096);
        prop_assert!(keys.is_of(&password));
        prop_assert_eq!(keys.is_of(&other), password == other);
        let secret = Secret::new(password.into_owned());
        let (mut client, first) = Client::begin(ClientTerms::NotOffered, &name, secret, "abc".into());
        let mut server = plain_server();
        let Step::Keys(read) = server.respond(&first) else { panic!("no name") };
        prop_assert_eq!(&read, &name);
        let last = client.challenge(&server.keys(keys).unwrap()).unwrap();
        prop_assert!(accepted_by_any(server.respond(&last)));
        client.challenge(&server.success().unwrap()).unwrap();
        prop_assert!(client.is_proven());
    }

    #[test]
    fn anything_is_survived(octets in proptest::collection::vec(any::<u8>(), 0..60), text in "[npyrci=,a-c0-9]{0,40}") {
        for message in [octets.as_slice(), text.as_bytes()] {
            let _first = plain_server().respond(message);
            let _last = ClientFinal::read(message).is_ok();
            let _challenge = challenged(&String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn written_names_read_back(name in "[a-c=,]{1,20}") {
        let message = format!("n,,n={},r=x", write_name(&name));
        prop_assert_eq!(ClientFirst::read(message.as_bytes()).unwrap().name, name);
    }
}

fn accepted_by_any(step: Step) -> bool {
    matches!(step, Step::Evidence(Evidence::Scram { .. }))
}
