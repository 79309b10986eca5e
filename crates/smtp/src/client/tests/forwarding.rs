//! XFORWARD, XCLIENT, and what is kept of a conversation.

use std::sync::Arc;

use restante_types::Reply;

use super::{Talk, job};
use crate::client::{ClientEvent, Fate, MailJob, Speaker, Stage, Transcript};
use crate::origin::Origin;

fn origin(helo: &str) -> Origin {
    Origin { address: "192.0.2.7".parse().unwrap(), helo: helo.to_owned(), ident: "id7".to_owned() }
}

/// Each line answers what went out before it.
fn hear(talk: &mut Talk, lines: &[&str]) {
    lines.iter().for_each(|line| talk.hear_all(&[line]));
}

fn told(size: u64) -> MailJob {
    MailJob { origin: Some(Arc::new(origin("client.example"))), ..job(1, size) }
}

/// [xforward-command]
#[test]
fn xforward_goes_in_the_group_before_mail() {
    let mut talk = Talk::ready(&["PIPELINING", "XFORWARD NAME ADDR PROTO HELO"]);
    let id = talk.session.send(talk.now, told(3)).unwrap();
    assert_eq!(
        talk.sent(),
        "XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\nXFORWARD PROTO=ESMTP HELO=client.example\r\n\
         MAIL FROM:<s@example.com>\r\nRCPT TO:<r0@example.org>\r\nDATA\r\n"
    );
    talk.hear_all(&["250 ok", "250 ok", "250 ok", "250 ok", "354 go on"]);
    talk.content("x\r\n");
    hear(&mut talk, &["250 taken"]);
    assert_eq!(talk.fates(), [(id, vec![Fate::Delivered])]);
}

/// [xforward-refused] Who does not believe us takes the mail all the same.
#[test]
fn xforward_that_is_refused_stops_nothing() {
    let mut talk = Talk::ready(&["XFORWARD ADDR HELO"]);
    let id = talk.session.send(talk.now, told(3)).unwrap();
    assert_eq!(talk.sent(), "XFORWARD ADDR=192.0.2.7\r\n");
    talk.hear("550 5.7.0 insufficient authorization");
    assert_eq!(talk.sent(), "XFORWARD HELO=client.example\r\n");
    talk.hear("550 5.7.0 insufficient authorization");
    assert_eq!(talk.sent(), "MAIL FROM:<s@example.com>\r\n");
    talk.hear("250 ok");
    assert_eq!(talk.sent(), "RCPT TO:<r0@example.org>\r\n");
    talk.hear("250 ok");
    assert_eq!(talk.sent(), "DATA\r\n");
    hear(&mut talk, &["354 go on"]);
    talk.content("x\r\n");
    hear(&mut talk, &["250 taken"]);
    assert_eq!(talk.fates(), [(id, vec![Fate::Delivered])]);
}

#[test]
fn nothing_is_told_to_who_does_not_ask() {
    let mut talk = Talk::ready(&["PIPELINING"]);
    talk.session.send(talk.now, told(3)).unwrap();
    assert!(talk.sent().starts_with("MAIL FROM:<s@example.com>\r\nRCPT"));
    assert!(!Talk::ready(&["XFORWARD ADDR"]).session.introduce(std::time::Instant::now(), &origin("x")));
}

/// [xclient-command] [xclient-again]
#[test]
fn xclient_begins_again_with_ehlo() {
    let mut talk = Talk::ready(&["XCLIENT NAME ADDR PROTO HELO LOGIN", "SIZE 9"]);
    assert!(talk.session.introduce(talk.now, &origin("client.example")));
    assert!(!talk.session.introduce(talk.now, &origin("client.example")), "one at a time");
    assert!(talk.session.room().is_none());
    assert_eq!(talk.sent(), "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PROTO=ESMTP HELO=client.example\r\n");
    talk.hear("220 primary.example ESMTP");
    assert_eq!(talk.sent(), "EHLO client.example\r\n");
    talk.hear_all(&["250-primary.example", "250 SIZE 7"]);
    assert_eq!(talk.events(), [ClientEvent::Ready]);
    assert_eq!(talk.session.capabilities().size_limit(), Some(7));
    let id = talk.send(1, "x\r\n");
    hear(&mut talk, &["250 ok", "250 ok", "354 go on"]);
    talk.content("x\r\n");
    hear(&mut talk, &["250 taken"]);
    assert_eq!(talk.fates(), [(id, vec![Fate::Delivered])]);
}

/// [xclient-refused]
#[test]
fn xclient_that_is_refused_leaves_the_session_ours() {
    let mut talk = Talk::ready(&["XCLIENT ADDR"]);
    assert!(talk.session.introduce(talk.now, &origin("x")));
    talk.sent();
    talk.hear("550 5.7.0 insufficient authorization");
    let refusal = Reply::new(550, (5, 7, 0), "insufficient authorization");
    assert_eq!(talk.events(), [ClientEvent::IntroductionRefused(refusal)]);
    assert!(talk.session.is_idle());
}

#[test]
fn the_conversation_is_kept_without_its_content() {
    let mut talk = Talk::new();
    let transcript = Transcript::default();
    talk.session.record(transcript.clone());
    hear(&mut talk, &["220 primary.example", "250-primary.example", "250 SIZE 0"]);
    talk.events();
    let id = talk.send(1, "secret\r\n");
    hear(&mut talk, &["250 ok", "250 ok", "354 go on"]);
    talk.content("secret\r\n");
    hear(&mut talk, &["554 5.7.1 spam"]);
    assert!(matches!(&talk.fates()[..], [(of, _)] if *of == id));
    let lines = transcript.lines();
    assert_eq!(transcript.refusal(), Some((Stage::Content, "554 5.7.1 spam".to_owned())));
    let shown: Vec<String> = lines
        .iter()
        .map(|(who, text)| {
            let who = match who {
                Speaker::Client => "C: ",
                Speaker::Server => "S: ",
                Speaker::Nobody => "",
            };
            format!("{who}{text}")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "S: 220 primary.example",
            "C: EHLO mx2.example.net",
            "S: 250 primary.example / SIZE 0",
            "C: MAIL FROM:<s@example.com> SIZE=8",
            "S: 250 ok",
            "C: RCPT TO:<r0@example.org>",
            "S: 250 ok",
            "C: DATA",
            "S: 354 go on",
            "(the content)",
            "S: 554 5.7.1 spam",
        ]
    );
    assert_eq!(Stage::Introduction.to_string(), "XCLIENT");
}
