//! AUTH, ATRN and TURN against scripted servers, honest and not.

use std::time::Duration;

use restante_types::{Domain, Reply};

use super::super::limits::{COMMAND_TIMEOUT, MAX_ATRN_LINE, QUIT_TIMEOUT, TURN_TIMEOUT};
use super::*;
use crate::client::{ProtocolError, Stage};
use crate::reply_parser::ReplyError;
use crate::sasl::{AuthError, Channel, Credentials, Layer, Mechanism, NoMechanism, Secret, decode, encode};

const TLS: Layer = Layer::Tls { binding: None };
const SALT: &str = "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn credentials() -> Credentials {
    Credentials {
        name: "user".into(),
        password: Some(Secret::new("pencil".into())),
        external: false,
        plain: true,
    }
}

fn authenticate(talk: &mut Talk, credentials: &Credentials, layer: Layer) -> Result<Mechanism, NoMechanism> {
    talk.session.authenticate(talk.now, credentials, &mut Channel::new(layer, [1; 32]))
}

/// A client inside SCRAM that has been sent a challenge, and the nonce so far.
fn challenged() -> (Talk, String) {
    let mut talk = Talk::ready(&["AUTH SCRAM-SHA-256 PLAIN"]);
    assert_eq!(authenticate(&mut talk, &credentials(), TLS), Ok(Mechanism::ScramSha256));
    let line = talk.sent();
    let first = line.strip_prefix("AUTH SCRAM-SHA-256 ").unwrap().trim_end();
    let first = String::from_utf8(decode(first.as_bytes()).unwrap().to_vec()).unwrap();
    let nonce = first.strip_prefix("n,,n=user,r=").unwrap().to_owned();
    assert_eq!(nonce.len(), 24);
    (talk, nonce)
}

fn hear_challenge(talk: &mut Talk, text: &str) {
    talk.hear(&format!("334 {}", encode(text.as_bytes())));
}

fn domains(names: &[&str]) -> Vec<Domain> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// [4954-4-initial-client]
#[test]
fn plain_goes_with_the_command() {
    let mut talk = Talk::ready(&["AUTH LOGIN PLAIN", "ATRN"]);
    assert!(talk.session.capabilities().atrn);
    assert_eq!(authenticate(&mut talk, &credentials(), TLS), Ok(Mechanism::Plain));
    assert!(!talk.session.is_idle() && talk.session.room().is_none());
    assert_eq!(authenticate(&mut talk, &credentials(), TLS), Err(NoMechanism::Busy));
    assert_eq!(talk.sent(), "AUTH PLAIN AHVzZXIAcGVuY2ls\r\n");
    talk.hear("235 2.7.0 in");
    assert_eq!(talk.events(), [ClientEvent::Authenticated]);
    assert!(talk.session.is_idle());
}

#[test]
fn external_has_an_empty_response() {
    let mut talk = Talk::ready(&["AUTH=EXTERNAL", "AUTH EXTERNAL PLAIN"]);
    let credentials = Credentials { external: true, plain: false, ..credentials() };
    assert_eq!(authenticate(&mut talk, &credentials, TLS), Ok(Mechanism::External));
    assert_eq!(talk.sent(), "AUTH EXTERNAL =\r\n");
    talk.hear("535 5.7.8 not you");
    assert_eq!(talk.events(), [ClientEvent::AuthRefused(Reply::new(535, (5, 7, 8), "not you"))]);
    // [4954-4] Other credentials may be tried.
    assert_eq!(authenticate(&mut talk, &self::credentials(), TLS), Ok(Mechanism::Plain));
}

/// [4954-4-initial-client] What would make the command too long waits for an empty challenge.
#[test]
fn a_long_response_comes_on_a_line_of_its_own() {
    let long = Credentials { password: Some(Secret::new("p".repeat(500))), ..credentials() };
    let mut talk = Talk::ready(&["AUTH PLAIN"]);
    assert_eq!(authenticate(&mut talk, &long, TLS), Ok(Mechanism::Plain));
    assert_eq!(talk.sent(), "AUTH PLAIN\r\n");
    talk.hear("334 ");
    let said = talk.sent();
    assert_eq!(decode(said.trim_end().as_bytes()).unwrap().len(), 506);
    talk.hear("235 in");
    assert_eq!(talk.events(), [ClientEvent::Authenticated]);
    // Who says that we are in before we said anything is not believed; who asks for something else neither.
    for answer in ["235 in", "334 eA=="] {
        let mut talk = Talk::ready(&["AUTH PLAIN"]);
        authenticate(&mut talk, &long, TLS).unwrap();
        talk.hear_all(&[answer, "501 cancelled"]);
        assert!(matches!(talk.end(), End::Protocol(ProtocolError::Auth(_))), "{answer}");
    }
}

#[test]
fn nothing_is_said_where_nothing_may_be() {
    let mut talk = Talk::ready(&["AUTH PLAIN LOGIN CRAM-MD5 DIGEST-MD5"]);
    assert_eq!(authenticate(&mut talk, &credentials(), Layer::Clear), Err(NoMechanism::NoneInCommon));
    assert_eq!((talk.sent().as_str(), talk.session.is_idle()), ("", true));
    let mut talk = Talk::ready(&[]);
    assert_eq!(authenticate(&mut talk, &credentials(), TLS), Err(NoMechanism::NoneInCommon));
    let mut talk = Talk::new();
    assert_eq!(authenticate(&mut talk, &credentials(), TLS), Err(NoMechanism::Busy));
}

/// [5802-3-client] 235 without the server's proof is an impostor's.
#[test]
fn a_server_that_proves_nothing_is_left() {
    for steps in 0..2 {
        let (mut talk, nonce) = challenged();
        if steps == 1 {
            hear_challenge(&mut talk, &format!("r={nonce}x,{SALT}"));
            assert!(talk.sent().len() > 80);
        }
        talk.hear("235 2.7.0 welcome");
        assert_eq!(talk.end(), End::Protocol(ProtocolError::Auth(AuthError::Server)), "{steps}");
    }
}

/// [4954-4-cancel-client] Nonsense is answered by `*`, and whatever is said to that, it ends.
#[test]
fn nonsense_is_cancelled() {
    let (other, few) = (format!("r=other,{SALT}"), "i=1");
    for (text, error) in [
        ("", AuthError::Challenge),
        ("e=other-error", AuthError::Challenge),
        (other.as_str(), AuthError::Nonce),
        (few, AuthError::Challenge),
    ] {
        let (mut talk, _) = challenged();
        hear_challenge(&mut talk, text);
        assert_eq!(talk.sent(), "*\r\n");
        talk.hear("501 cancelled");
        assert_eq!(talk.end(), End::Protocol(ProtocolError::Auth(error)), "{text}");
    }
    for line in ["334 not base64", "334 =AAA", "334-YQ==\r\n334 YQ==", "334"] {
        let (mut talk, _) = challenged();
        talk.hear(line);
        assert_eq!(talk.sent(), "*\r\n");
        talk.wait(QUIT_TIMEOUT);
        assert_eq!(talk.end(), End::Protocol(ProtocolError::Auth(AuthError::Challenge)), "{line}");
    }
}

/// [7677-4-client] A server cannot make us work for ever, nor cheaply.
#[test]
fn iterations_are_bounded() {
    for iterations in [1, 4095, 2_000_001, u32::MAX] {
        let (mut talk, nonce) = challenged();
        hear_challenge(&mut talk, &format!("r={nonce}x,s=QSXC,i={iterations}"));
        assert_eq!(talk.sent(), "*\r\n");
        talk.session.handle_eof();
        assert_eq!(talk.end(), End::Protocol(ProtocolError::Auth(AuthError::Iterations(iterations))));
    }
}

/// A challenge is a reply, and a reply is bounded.
#[test]
fn challenges_are_bounded() {
    let (mut talk, _) = challenged();
    talk.session.handle_bytes(talk.now, b"334 ");
    talk.session.handle_bytes(talk.now, &b"A".repeat(1 << 20));
    assert_eq!(talk.end(), End::Protocol(ProtocolError::NoReply(ReplyError::LineTooLong)));
    let (mut talk, _) = challenged();
    talk.session.handle_bytes(talk.now, &b"334-QQ==\r\n".repeat(1000));
    assert_eq!(talk.end(), End::Protocol(ProtocolError::NoReply(ReplyError::TooManyLines)));
}

#[test]
fn other_answers_inside_auth() {
    let (mut talk, _) = challenged();
    talk.hear("354 go ahead");
    assert!(matches!(talk.end(), End::Protocol(ProtocolError::OutOfPlace(Stage::Auth, _))));
    let (mut talk, _) = challenged();
    talk.hear("421 4.7.0 too many");
    assert!(matches!(talk.end(), End::Refused { stage: Stage::Auth, .. }));
    for line in ["454 4.7.0 later", "534 5.7.9 weak", "535 5.7.8 no", "500 5.5.6 long"] {
        let (mut talk, _) = challenged();
        talk.hear(line);
        assert!(matches!(talk.events().as_slice(), [ClientEvent::AuthRefused(_)]), "{line}");
        assert!(talk.session.is_idle());
    }
    let (mut talk, _) = challenged();
    talk.wait(COMMAND_TIMEOUT);
    assert_eq!(talk.end(), End::TimedOut(Stage::Auth));
    let (mut talk, _) = challenged();
    talk.session.handle_eof();
    assert_eq!(talk.end(), End::Lost(Stage::Auth));
    let (mut talk, _) = challenged();
    talk.session.quit(talk.now);
    assert_eq!(talk.end(), End::Abandoned);
}

/// [2645-5.2.1-client] [2645-5.3-client]
#[test]
fn atrn_turns_the_roles() {
    for (names, line) in [
        (vec![], "ATRN\r\n"),
        (vec!["a.example"], "ATRN a.example\r\n"),
        (vec!["a.example", "xn--bcher-kva.example"], "ATRN a.example,xn--bcher-kva.example\r\n"),
    ] {
        let mut talk = Talk::ready(&["ATRN", "PIPELINING"]);
        assert!(talk.session.atrn(talk.now, &domains(&names)));
        assert!(talk.session.room().is_none() && !talk.session.atrn(talk.now, &[]));
        assert_eq!(talk.sent(), line);
        talk.hear("250 2.0.0 turning");
        assert_eq!(talk.events(), [ClientEvent::Turned]);
        assert!(!talk.session.is_idle() && talk.session.poll_timeout().is_none());
        assert!(!talk.session.turn(talk.now) && talk.sent().is_empty());
    }
}

/// [2645-5.2.1-client] 450, 451, 453, 530: told, and the connection stays.
#[test]
fn a_refused_atrn_is_told() {
    let mut talk = Talk::ready(&["ATRN"]);
    for (code, text) in [(450, "not yours"), (451, "later"), (453, "You have no mail"), (530, "AUTH first")] {
        assert!(talk.session.atrn(talk.now, &domains(&["a.example"])));
        talk.hear_all(&[&format!("{code} {text}")]);
        assert_eq!(talk.events(), [ClientEvent::Atrn(Reply::bare(code, text))]);
        assert!(talk.session.is_idle());
    }
    assert!(talk.session.atrn(talk.now, &[]));
    talk.hear_all(&["354 go"]);
    assert!(matches!(talk.end(), End::Protocol(ProtocolError::OutOfPlace(Stage::Atrn, _))));
}

/// [821-turn-client]
#[test]
fn turn_turns_the_roles_or_not() {
    let mut talk = Talk::ready(&[]);
    assert!(talk.session.turn(talk.now));
    assert_eq!(talk.sent(), "TURN\r\n");
    talk.hear("502 no");
    assert_eq!(talk.events(), [ClientEvent::Turn(Reply::bare(502, "no"))]);
    assert!(talk.session.turn(talk.now));
    talk.hear_all(&["250 ok"]);
    assert_eq!(talk.events(), [ClientEvent::Turned]);
}

/// [2645-early-client] The provider waits for our greeting; who does not is not let through.
#[test]
fn nothing_behind_the_250_crosses_the_turn() {
    for early in ["EHLO provider.example\r\n", "2", "250 more\r\n"] {
        let mut talk = Talk::ready(&["ATRN"]);
        talk.session.atrn(talk.now, &[]);
        talk.sent();
        talk.session.handle_bytes(talk.now, format!("250 turning\r\n{early}").as_bytes());
        assert_eq!(talk.end(), End::Protocol(ProtocolError::EarlyTurn), "{early:?}");
    }
    let mut talk = Talk::ready(&["ATRN"]);
    talk.session.atrn(talk.now, &[]);
    talk.sent();
    talk.session.handle_bytes(talk.now, b"250-turning\r\n");
    assert_eq!(talk.events(), []);
    talk.session.handle_bytes(talk.now, b"250 now\r\n");
    assert_eq!(talk.events(), [ClientEvent::Turned]);
    talk.session.handle_bytes(talk.now, b"E");
    assert_eq!(talk.end(), End::Protocol(ProtocolError::EarlyTurn));
}

/// [2645-5.2.1-timeout]
#[test]
fn the_answer_to_atrn_has_ten_minutes() {
    assert!(TURN_TIMEOUT >= Duration::from_secs(600));
    for turn in [false, true] {
        let mut talk = Talk::ready(&["ATRN"]);
        let asked = if turn { talk.session.turn(talk.now) } else { talk.session.atrn(talk.now, &[]) };
        assert!(asked);
        talk.sent();
        talk.wait(Duration::from_secs(599));
        assert_eq!(talk.events(), []);
        talk.wait(Duration::from_secs(1));
        assert_eq!(talk.end(), End::TimedOut(if turn { Stage::Turn } else { Stage::Atrn }));
    }
}

#[test]
fn a_list_that_fits_no_line_is_not_sent() {
    let many: Vec<Domain> = (0..10_000).map(|index| format!("d{index}.example").parse().unwrap()).collect();
    let mut talk = Talk::ready(&["ATRN"]);
    assert!(!talk.session.atrn(talk.now, &many));
    assert!(talk.sent().is_empty() && talk.session.is_idle());
    assert!(talk.session.atrn(talk.now, &many[..900]));
    let line = talk.sent();
    assert!(line.len() <= MAX_ATRN_LINE && line.ends_with(",d899.example\r\n"), "{}", line.len());
}

#[test]
fn a_session_inside_auth_tells_no_secret() {
    let mut talk = Talk::ready(&["AUTH PLAIN"]);
    authenticate(&mut talk, &credentials(), TLS).unwrap();
    let (scram, _) = challenged();
    let shown = format!("{:?} {:?}", talk.session, scram.session);
    let octets = format!("{:?}", b"AHVzZXIAcGVuY2ls");
    assert!(!shown.contains("pencil") && !shown.contains(octets.trim_matches(['[', ']'])), "{shown}");
}
