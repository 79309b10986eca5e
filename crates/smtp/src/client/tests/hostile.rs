//! Servers that are no servers.

use proptest::prelude::*;

use super::*;
use crate::client::limits::MAX_REPLY_TEXT;
use crate::sasl::{Channel, Credentials, Layer, Mechanism, Secret};
use crate::server::EtrnTarget;

/// What happens to a machine next.
#[derive(Debug, Clone)]
enum Step {
    Octets(Vec<u8>),
    Line(&'static str),
    Send(u16, usize),
    Content(usize),
    Transmit,
    StartTls,
    Etrn,
    Auth(bool),
    Atrn,
    Turn,
    Quit,
    Abandon,
    Eof,
    Wait(u64),
}

const LINES: [&str; 27] = [
    "235 in",
    "334 ",
    "334 bm9uc2Vuc2U=",
    "450 no",
    "535 no",
    "220 x",
    "250 ok",
    "250-x\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 STARTTLS",
    "250-x\r\n250 PIPELINING",
    "354 go",
    "354",
    "221 bye",
    "421 no",
    "450 no",
    "452 4.5.3 many",
    "500 no",
    "503 no",
    "550 5.1.1 no",
    "554 no",
    "999 no",
    "099 no",
    "250",
    "250-",
    "2",
    "",
    "250-a\r\n550 b",
    "555-x\r\n555 y",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Octets),
        12 => prop::sample::select(LINES.to_vec()).prop_map(Step::Line),
        4 => (1_u16..4, 0_usize..20).prop_map(|(recipients, size)| Step::Send(recipients, size)),
        6 => (0_usize..30).prop_map(Step::Content),
        12 => Just(Step::Transmit),
        1 => Just(Step::StartTls),
        1 => Just(Step::Etrn),
        2 => any::<bool>().prop_map(Step::Auth),
        1 => Just(Step::Atrn),
        1 => Just(Step::Turn),
        1 => Just(Step::Quit),
        1 => Just(Step::Abandon),
        1 => Just(Step::Eof),
        1 => (0_u64..700).prop_map(Step::Wait),
    ]
}

/// By EXTERNAL, which any 235 ends well, or by SCRAM, which these servers cannot.
fn authenticate(talk: &mut Talk, external: bool) -> Option<Mechanism> {
    let password = (!external).then(|| Secret::new("pencil".into()));
    let credentials = Credentials { name: "user".into(), password, external, plain: false };
    let mut channel = Channel::new(Layer::Tls { binding: None }, [1; 32]);
    talk.session.authenticate(talk.now, &credentials, &mut channel).ok()
}

fn take(talk: &mut Talk, step: &Step) {
    match step {
        Step::Octets(octets) => talk.session.handle_bytes(talk.now, octets),
        Step::Line(line) => talk.hear(line),
        Step::Send(recipients, size) => {
            let fits = talk.session.room().takes(*size as u64, usize::from(*recipients));
            assert_eq!(talk.session.send(talk.now, job(*recipients, *size as u64)).is_ok(), fits);
        }
        Step::Content(size) => {
            let wanted = talk.session.wants_content().map_or(0, |(_, left)| left as usize);
            assert_eq!(talk.session.content(talk.now, &vec![b'.'; *size]), wanted.min(*size));
        }
        Step::Transmit => drop(talk.sent()),
        Step::StartTls => drop(talk.session.start_tls(talk.now)),
        Step::Etrn => drop(talk.session.etrn(talk.now, &EtrnTarget::Group("x".into()))),
        Step::Auth(external) => drop(authenticate(talk, *external)),
        Step::Atrn => drop(talk.session.atrn(talk.now, &["a.example".parse().unwrap()])),
        Step::Turn => drop(talk.session.turn(talk.now)),
        Step::Quit => talk.session.quit(talk.now),
        Step::Abandon => talk.session.abandon(),
        Step::Eof => talk.session.handle_eof(),
        Step::Wait(seconds) => talk.wait(Duration::from_secs(*seconds)),
    }
}

proptest! {
    /// Nothing panics; there is one end at most and nothing after it; nothing is delivered without a 2yz that came
    /// after all of its content was handed over and sent.
    #[test]
    fn whatever_happens_the_machine_keeps_its_promises(greeted: bool, steps in prop::collection::vec(step(), 0..80)) {
        let mut talk = if greeted { Talk::ready(&["PIPELINING", "CHUNKING", "STARTTLS", "ATRN", "AUTH SCRAM-SHA-256 EXTERNAL"]) } else { Talk::new() };
        let (mut ended, mut yes_after_content, mut external, mut asked) = (false, 0, false, false);
        for step in &steps {
            let (was_wanted, was_idle) = (talk.session.wants_content().is_some(), talk.session.is_idle());
            take(&mut talk, step);
            match step {
                Step::Auth(how) if was_idle => external = *how,
                Step::Atrn | Step::Turn if was_idle => asked = true,
                _ => {}
            }
            if !was_wanted && !was_idle && matches!(step, Step::Line(line) if line.starts_with("250")) {
                yes_after_content += 1;
            }
            for event in talk.events() {
                prop_assert!(!ended, "{:?} after the end", event);
                match event {
                    ClientEvent::Ended(_) => ended = true,
                    ClientEvent::Authenticated => prop_assert!(external, "nobody proved anything"),
                    ClientEvent::Turned => {
                        prop_assert!(asked && talk.session.room().is_none() && !talk.session.is_idle());
                    }
                    ClientEvent::Finished(finished) => {
                        let delivered = finished.fates.contains(&Fate::Delivered);
                        prop_assert!(!delivered || (matches!(step, Step::Line(_)) && yes_after_content > 0));
                        prop_assert!(!delivered || finished.reply.is_some_and(|reply| reply.code.get() / 100 == 2));
                    }
                    _ => {}
                }
            }
            if ended {
                prop_assert!(talk.session.room().is_none() && talk.session.wants_content().is_none());
                prop_assert_eq!(talk.session.poll_timeout(), None);
            }
        }
    }
}

/// An endless answer, with and without line ends, costs a bounded amount of memory and then the connection.
#[test]
fn endless_answers_end() {
    for piece in [&b"250-x\r\n"[..], &b"x"[..], &b"250-"[..], &[0][..], &b"\r"[..]] {
        let mut talk = Talk::new();
        talk.hear("220 x");
        talk.sent();
        let mut heard = 0;
        while !talk.session.has_events() {
            talk.session.handle_bytes(talk.now, piece);
            heard += piece.len();
            assert!(heard < 4 * MAX_REPLY_TEXT, "{piece:?}");
        }
        assert!(matches!(talk.end(), End::Protocol(_)));
    }
}

/// The connection closes after each octet of a whole conversation in turn: nothing is delivered before the last one.
#[test]
fn a_server_that_closes_anywhere_delivers_nothing_early() {
    let answers =
        ["220 x\r\n", "250-x\r\n250 PIPELINING\r\n", "250 a\r\n250 b\r\n354 c\r\n", "250 taken\r\n"];
    let all: usize = answers.iter().map(|answer| answer.len()).sum();
    for cut in 0..=all {
        let (mut talk, mut left) = (Talk::new(), cut);
        let mut events = Vec::new();
        for answer in answers {
            for octet in answer.as_bytes().iter().take(left) {
                talk.session.handle_bytes(talk.now, &[*octet]);
            }
            left = left.saturating_sub(answer.len());
            events.extend(talk.events());
            if events.last() == Some(&ClientEvent::Ready) && talk.session.room().messages > 0 {
                talk.send(1, "x\r\n");
            }
            if talk.session.wants_content().is_some() {
                talk.content("x\r\n");
            }
            talk.sent();
        }
        talk.session.handle_eof();
        events.extend(talk.events());
        let delivered = events.iter().any(|event| matches!(event, ClientEvent::Finished(_)));
        assert_eq!(delivered, cut == all, "{cut}");
        assert!(matches!(events.last(), Some(ClientEvent::Ended(End::Lost(_)))), "{cut}: {events:?}");
    }
}
