//! XCLIENT and XFORWARD: what a next hop is told of a client, and what it says it takes.
//!
//! Whatever the client called itself, and whatever the server offers, each command is one line of at most 512 octets
//! with attributes that were offered, each once, whose values decode to what was to be told or are unavailable; and
//! EHLO in the client's name is EHLO with one word.

use std::sync::Arc;
use std::time::Instant;

use restante_smtp::{ClientConfig, ClientSession, MailJob, Origin};
use restante_types::{Body, Envelope, Mailbox, Recipient, ReversePath};

use crate::cut::Input;

/// See the module: up to the first LF stands what the server offers, behind it the client's name.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let Ok(text) = std::str::from_utf8(input.octets) else { return };
    let (offered, helo) = text.split_once('\n').unwrap_or((text, ""));
    if offered.contains('\r') || offered.len() > 1000 {
        return;
    }
    let address = if input.has(0) { "2001:db8::1" } else { "192.0.2.1" }.parse().unwrap();
    let origin = Origin { address, helo: helo.to_owned(), ident: format!("id-{}", input.cuts) };
    introduced(offered, &origin);
    forwarded(offered, &origin);
}

fn session(keyword: &str, offered: &str) -> ClientSession {
    let hostname = "mx2.example.net".parse().unwrap();
    let config = Arc::new(ClientConfig { hostname, own_names: Vec::new() });
    let now = Instant::now();
    let mut session = ClientSession::new(config, now);
    session.handle_bytes(now, b"220 next.example\r\n");
    said(&mut session);
    session.handle_bytes(now, format!("250-next.example\r\n250 {keyword} {offered}\r\n").as_bytes());
    while session.poll_event().is_some() {}
    session
}

fn said(session: &mut ClientSession) -> String {
    let mut out = Vec::new();
    session.poll_transmit(&mut out);
    String::from_utf8(out).expect("commands are text")
}

fn introduced(offered: &str, origin: &Origin) {
    let mut session = session("XCLIENT", offered);
    let now = Instant::now();
    if !session.introduce(now, origin) {
        assert!(!session.capabilities().xclient.is_offered());
        return;
    }
    let line = said(&mut session);
    check(&line, "XCLIENT", offered, origin);
    session.handle_bytes(now, b"220 go\r\n");
    let hello = said(&mut session);
    let name = hello.strip_prefix("EHLO ").and_then(|rest| rest.strip_suffix("\r\n")).expect("EHLO again");
    let word = |c: char| c.is_ascii_graphic();
    assert!(!name.is_empty() && name.chars().all(word), "{name:?}");
}

fn forwarded(offered: &str, origin: &Origin) {
    let mut session = session("XFORWARD", offered);
    let mailbox = |text: &str| text.parse::<Mailbox>().unwrap();
    let envelope = Envelope {
        sender: ReversePath::Null,
        recipients: vec![Recipient::from(mailbox("b@example.org"))],
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    let origin = Arc::new(origin.clone());
    let job = MailJob {
        envelope: Arc::new(envelope),
        recipients: vec![0],
        size: 1,
        origin: Some(Arc::clone(&origin)),
    };
    let now = Instant::now();
    session.send(now, job).expect("the line is idle");
    let mut lines = 0;
    loop {
        let line = said(&mut session);
        if line.starts_with("MAIL FROM:<>") {
            break;
        }
        check(&line, "XFORWARD", offered, &origin);
        lines += 1;
        session.handle_bytes(now, b"250 ok\r\n");
    }
    assert!(lines <= 2 && (lines > 0) == session.capabilities().xforward.is_offered());
}

fn check(line: &str, verb: &str, offered: &str, origin: &Origin) {
    let line = line.strip_suffix("\r\n").expect("a line");
    assert!(line.len() <= 510 && line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{line:?}");
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some(verb));
    let mut seen = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').expect("an attribute");
        assert!(offered.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(name)), "{name}");
        assert!(!seen.contains(&name) && name != "LOGIN");
        seen.push(name);
        assert!(!value.is_empty() && !value.contains('='), "{word:?}");
        if name == "HELO" && value != "[UNAVAILABLE]" {
            assert_eq!(decoded(value), origin.helo.as_bytes());
        }
    }
    assert!(!seen.is_empty());
}

/// RFC 3461 4.
fn decoded(xtext: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), xtext.as_bytes());
    while let [first, tail @ ..] = rest {
        if *first == b'+' {
            let digits = std::str::from_utf8(&tail[..2]).expect("two digits");
            out.push(u8::from_str_radix(digits, 16).expect("two digits"));
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}
