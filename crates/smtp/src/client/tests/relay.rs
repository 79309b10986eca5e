//! One command at a time, and LMTP.

use restante_types::Reply;

use super::*;
use crate::client::{ProtocolError, Stage, Step};

fn step(talk: &mut Talk, step: Step<'_>, wire: &str, reply: &str) -> Vec<ClientEvent> {
    assert!(talk.session.step(talk.now, step));
    assert!(!talk.session.step(talk.now, Step::Reset), "one at a time");
    assert_eq!(talk.sent(), wire);
    talk.hear(reply);
    talk.events()
}

fn stepped(stage: Stage, code: u16, text: &'static str) -> Vec<ClientEvent> {
    vec![ClientEvent::Stepped(stage, Reply::bare(code, text))]
}

#[test]
fn each_command_is_answered_before_the_next_and_content_has_no_known_length() {
    let mut talk = Talk::ready(&["SIZE 1000", "PIPELINING", "CHUNKING"]);
    let job = job(2, 0);
    let envelope = &job.envelope;
    for round in 0..2 {
        let mail =
            step(&mut talk, Step::Mail(envelope, Some(70)), "MAIL FROM:<s@example.com> SIZE=70\r\n", "250 a");
        assert_eq!(mail, stepped(Stage::Mail, 250, "a"));
        let first = Step::Recipient(&envelope.recipients[0]);
        assert_eq!(
            step(&mut talk, first, "RCPT TO:<r0@example.org>\r\n", "550 b"),
            stepped(Stage::Recipient, 550, "b")
        );
        let second = Step::Recipient(&envelope.recipients[1]);
        assert_eq!(
            step(&mut talk, second, "RCPT TO:<r1@example.org>\r\n", "250 c"),
            stepped(Stage::Recipient, 250, "c")
        );
        assert!(!talk.session.step_content(talk.now, b"early") && !talk.session.step_end(talk.now));
        assert_eq!(step(&mut talk, Step::Data, "DATA\r\n", "354 d"), stepped(Stage::Data, 354, "d"));
        assert!(!talk.session.is_idle() && talk.session.room().is_none());
        for piece in ["A: b\r\n\r\n.", "x\r\n", ".y\r\n"] {
            assert!(talk.session.step_content(talk.now, piece.as_bytes()));
        }
        assert!(talk.session.step_end(talk.now));
        assert_eq!(talk.sent(), "A: b\r\n\r\n..x\r\n..y\r\n.\r\n");
        talk.hear("452 e");
        assert_eq!(talk.events(), stepped(Stage::Content, 452, "e"), "{round}");
        assert!(talk.session.is_idle());
    }
}

/// [5321-3.8-client]
#[test]
fn a_server_that_ends_in_the_middle_of_content_is_heard() {
    for (said, end) in [
        ("421 gone", End::Refused { stage: Stage::Content, reply: Reply::bare(421, "gone") }),
        ("452 full", End::Protocol(ProtocolError::Unasked(Reply::bare(452, "full")))),
    ] {
        let mut talk = Talk::ready(&[]);
        let job = job(1, 0);
        step(&mut talk, Step::Mail(&job.envelope, None), "MAIL FROM:<s@example.com>\r\n", "250 a");
        step(
            &mut talk,
            Step::Recipient(&job.envelope.recipients[0]),
            "RCPT TO:<r0@example.org>\r\n",
            "250 b",
        );
        step(&mut talk, Step::Data, "DATA\r\n", "354 c");
        assert!(talk.session.step_content(talk.now, b"x"));
        talk.sent();
        talk.hear(said);
        assert_eq!(talk.end(), end);
    }
}

/// [2033-4.1]
#[test]
fn lmtp_says_lhlo_and_nothing_instead() {
    let now = Instant::now();
    let mut talk = Talk { session: ClientSession::lmtp(config(), now), now };
    talk.hear("220 store.example LMTP");
    assert_eq!(talk.sent(), "LHLO mx2.example.net\r\n");
    talk.hear("250-store.example\r\n250 SIZE");
    assert_eq!(talk.events(), [ClientEvent::Ready]);

    let mut talk = Talk { session: ClientSession::lmtp(config(), now), now };
    talk.hear("220 smtp.example ESMTP");
    talk.hear_all(&["500 what"]);
    assert_eq!(talk.sent(), "QUIT\r\n");
    talk.hear("221 bye");
    assert_eq!(talk.end(), End::Refused { stage: Stage::Ehlo, reply: Reply::bare(500, "what") });
}
