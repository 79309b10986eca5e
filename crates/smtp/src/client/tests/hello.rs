//! Until the server is ready, and what needs no mail: STARTTLS, ETRN, QUIT, deadlines.

use std::time::Duration;

use restante_types::Reply;

use super::super::limits::QUIT_TIMEOUT;
use super::*;
use crate::client::{ProtocolError, Stage};
use crate::reply_parser::ReplyError;
use crate::server::EtrnTarget;

#[test]
fn ehlo_then_quit() {
    let mut talk = Talk::ready(&["SIZE 1000", "PIPELINING"]);
    assert!(talk.session.is_idle());
    assert_eq!(talk.session.capabilities().size_limit(), Some(1000));
    assert_eq!(talk.session.poll_timeout(), None);
    talk.session.quit(talk.now);
    assert_eq!(talk.sent(), "QUIT\r\n");
    talk.hear("221 bye");
    assert_eq!(talk.end(), End::Quit);
}

/// [5321-3.2]
#[test]
fn helo_where_ehlo_is_not_known() {
    for refusal in ["500 what", "502 no", "504 no", "550 no"] {
        let mut talk = Talk::new();
        talk.hear("220 old.example");
        talk.hear_all(&[refusal]);
        assert_eq!(talk.sent(), "HELO mx2.example.net\r\n", "{refusal}");
        // What a server says to HELO offers nothing, whatever it looks like.
        talk.hear("250-old.example\r\n250 PIPELINING");
        assert_eq!(talk.events(), [ClientEvent::Ready]);
        assert_eq!(*talk.session.capabilities(), Default::default());
    }
}

/// [5321-3.1] [5321-4.1.1.10-client]
#[test]
fn refused_at_the_door_it_says_quit_and_reports_what_was_said() {
    let refusals = [
        (vec!["554 no service"], Stage::Greeting),
        (vec!["450 later"], Stage::Greeting),
        (vec!["220 x", "450 later"], Stage::Ehlo),
        (vec!["220 x", "550 no", "550 no"], Stage::Helo),
    ];
    for (lines, stage) in refusals {
        let mut talk = Talk::new();
        talk.hear_all(&[]);
        for line in &lines {
            talk.hear(line);
            talk.sent();
        }
        assert_eq!(talk.events(), [], "QUIT is not answered yet");
        talk.hear("221 bye");
        let code = lines.last().unwrap()[..3].parse().unwrap();
        let End::Refused { stage: at, reply } = talk.end() else { panic!("{lines:?}") };
        assert_eq!((at, reply.code.get()), (stage, code));
    }
}

#[test]
fn a_decided_end_stands_however_quit_goes() {
    for how in 0..4 {
        let mut talk = Talk::new();
        talk.hear("554 no service");
        assert_eq!(talk.sent(), "QUIT\r\n");
        match how {
            0 => talk.hear("garbage"),
            1 => talk.session.handle_eof(),
            2 => talk.wait(QUIT_TIMEOUT),
            _ => talk.hear("421 gone"),
        }
        assert!(matches!(talk.end(), End::Refused { stage: Stage::Greeting, .. }), "{how}");
    }
}

#[test]
fn a_server_with_our_name_is_not_talked_to() {
    let mut greets = Talk::new();
    greets.hear("220 MX2.example.net ESMTP");
    let mut answers = Talk::new();
    answers.hear("220 nat.example");
    answers.hear_all(&["250-Other.Example.NET hi\r\n250 SIZE"]);
    for (mut talk, name) in [(greets, "mx2.example.net"), (answers, "other.example.net")] {
        assert_eq!(talk.sent(), "QUIT\r\n");
        talk.hear("221 bye");
        assert_eq!(talk.end(), End::LoopsToSelf(name.parse().unwrap()));
    }
}

/// [3207-4.2-client]
#[test]
fn starttls_spends_the_machine_and_everything_is_forgotten_inside() {
    let mut talk = Talk::ready(&["STARTTLS", "SIZE 5"]);
    assert!(talk.session.start_tls(talk.now));
    assert!(!talk.session.start_tls(talk.now), "only once");
    assert_eq!(talk.sent(), "STARTTLS\r\n");
    talk.hear("220 go");
    assert_eq!(talk.events(), [ClientEvent::TlsGranted]);
    assert!(talk.session.room().is_none());
    let mut inside = Talk { session: ClientSession::after_tls(config(), talk.now), now: talk.now };
    assert_eq!(*inside.session.capabilities(), Default::default());
    assert_eq!(inside.sent(), "EHLO mx2.example.net\r\n");
    inside.hear("250 primary.example");
    assert_eq!(inside.events(), [ClientEvent::Ready]);
    assert!(!inside.session.start_tls(inside.now), "not offered");
}

/// [3207-4.2-client]
#[test]
fn nothing_behind_the_220_is_ever_taken_for_an_answer() {
    for early in ["250 injected\r\n", "2", "\x16\x03\x01"] {
        let mut talk = Talk::ready(&["STARTTLS"]);
        talk.session.start_tls(talk.now);
        talk.sent();
        talk.session.handle_bytes(talk.now, format!("220 go\r\n{early}").as_bytes());
        assert_eq!(talk.end(), End::Protocol(ProtocolError::Early), "{early:?}");
    }
    let mut talk = Talk::ready(&["STARTTLS"]);
    talk.session.start_tls(talk.now);
    talk.hear_all(&["220 go"]);
    talk.hear("250 injected");
    assert_eq!(talk.end(), End::Protocol(ProtocolError::Early));
}

/// [3207-4-client]
#[test]
fn a_refused_starttls_leaves_the_connection_as_it_was() {
    let mut talk = Talk::ready(&["STARTTLS", "SIZE 5"]);
    talk.session.start_tls(talk.now);
    talk.hear_all(&["454 4.7.0 no entropy"]);
    assert_eq!(talk.events(), [ClientEvent::TlsRefused(Reply::new(454, (4, 7, 0), "no entropy"))]);
    assert!(talk.session.is_idle());
    assert_eq!(talk.session.capabilities().size_limit(), Some(5));
}

/// [1985-4]
#[test]
fn etrn_is_asked_one_at_a_time_and_its_answer_told() {
    let mut talk = Talk::ready(&["ETRN", "PIPELINING"]);
    let node = EtrnTarget::Node("example.org".parse().unwrap());
    assert!(talk.session.etrn(talk.now, &node));
    assert!(!talk.session.etrn(talk.now, &node));
    assert!(talk.session.room().is_none(), "ETRN ends a group");
    assert_eq!(talk.sent(), "ETRN example.org\r\n");
    talk.hear("253 2.0.0 7 messages");
    assert_eq!(talk.events(), [ClientEvent::Etrn(Reply::new(253, (2, 0, 0), "7 messages"))]);
    assert!(talk.session.etrn(talk.now, &node));
}

#[test]
fn a_reply_that_nobody_asked_for_ends_it() {
    let mut talk = Talk::ready(&[]);
    talk.hear("250 surprise");
    assert_eq!(talk.end(), End::Protocol(ProtocolError::Unasked(Reply::bare(250, "surprise"))));

    // Both replies in one packet: the second was there before EHLO was.
    let mut talk = Talk::new();
    talk.hear("220 x\r\n250 surprise");
    assert!(matches!(talk.end(), End::Protocol(ProtocolError::Unasked(_))));
}

/// [5321-3.8-client]
#[test]
fn a_421_ends_it_at_any_time() {
    let mut talk = Talk::ready(&[]);
    talk.hear("421 4.4.2 idle too long");
    assert!(matches!(talk.end(), End::Refused { stage: Stage::Idle, .. }));
    let mut talk = Talk::new();
    talk.hear("421 busy");
    assert!(matches!(talk.end(), End::Refused { stage: Stage::Greeting, .. }));
}

#[test]
fn garbage_and_silence_have_names() {
    let mut talk = Talk::new();
    talk.hear("SSH-2.0-OpenSSH_9.2");
    assert_eq!(talk.end(), End::Protocol(ReplyError::Malformed.into()));
    talk.hear("220 too late");
    assert_eq!(talk.events(), []);

    let mut talk = Talk::new();
    talk.session.handle_eof();
    assert_eq!(talk.end(), End::Lost(Stage::Greeting));
}

/// [5321-4.5.3.2-client]
#[test]
fn each_stage_has_its_deadline() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let mut talk = Talk::new();
    assert_eq!(talk.session.poll_timeout(), Some(talk.now + minutes(5)));
    talk.wait(minutes(5) - Duration::from_millis(1));
    assert_eq!(talk.events(), []);
    talk.wait(Duration::from_millis(1));
    assert_eq!(talk.end(), End::TimedOut(Stage::Greeting));

    let mut talk = Talk::ready(&[]);
    talk.send(1, "x\r\n");
    for (stage, span, answer) in
        [(Stage::Mail, 5, "250 ok"), (Stage::Recipient, 5, "250 ok"), (Stage::Data, 2, "354 go")]
    {
        talk.sent();
        assert_eq!(talk.session.poll_timeout(), Some(talk.now + minutes(span)), "{stage}");
        talk.now += Duration::from_secs(7);
        talk.hear(answer);
    }
    assert_eq!(talk.session.poll_timeout(), Some(talk.now + minutes(3)), "our content is due");
    talk.now += Duration::from_secs(7);
    talk.content("x\r\n");
    talk.sent();
    assert_eq!(talk.session.poll_timeout(), Some(talk.now + minutes(10)), "the final dot");
    talk.wait(minutes(10));
    assert_eq!(talk.end(), End::TimedOut(Stage::Content));
}
