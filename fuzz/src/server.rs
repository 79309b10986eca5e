//! The server machine under any octets, with a caller that answers by fixed rules (see `crates/smtp/tests/memory`).
//!
//! - What is said, what is accepted and what is void does not depend on how the octets are cut; but for a cut right
//!   behind DATA, STARTTLS, ATRN and TURN, where it decides whether the client talked early.
//! - Every line it says is a reply: three digits, printable, short enough.
//! - Nothing is accepted without a recipient, over the size limit, or with a bare line end in it.
//! - Nobody is turned who did not authenticate.
//! - What it holds at the end is bounded by what a transaction may hold.

use crate::cut::Input;
use crate::memory::{Accepted, Memory};

/// The listeners it is tried on.
const SETTINGS: [&str; 10] = [
    "starttls",
    "strict size=40 starttls",
    "size=300 recipients=3",
    "tls auth=all atrn turn certificate",
    "auth=all cleartext atrn turn starttls",
    "odmr starttls tls-required auth=all",
    "odmr tls auth=all no-binding",
    "collected has-8bitmime has-dsn",
    "collected has-size strict",
    "no-etrn no-smtputf8 tls-required starttls",
];

#[derive(Debug, PartialEq)]
struct Outcome {
    said: String,
    accepted: Vec<Accepted>,
    hellos: Vec<String>,
    voids: usize,
    closed: bool,
    turned: bool,
}

/// See the module.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let setting = SETTINGS[usize::from(input.setting & 0x3f) % SETTINGS.len()];
    let words: Vec<String> = setting.split(' ').map(str::to_owned).collect();
    let whole = play(&words, &[input.octets], input.has(6), input.octets.len());
    check(&whole, setting);
    let cut = play(&words, &input.pieces(changes_layer), input.has(6), input.octets.len());
    assert_eq!(whole, cut, "cut into {:?}", input.pieces(changes_layer));
}

/// Whether the line that ends here is a command behind which nothing may come early.
fn changes_layer(before: &[u8]) -> bool {
    let Some(line) = before.strip_suffix(b"\n") else { return false };
    let start = line.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    let verbs: [&[u8]; 4] = [b"DATA", b"STARTTLS", b"ATRN", b"TURN"];
    // Content of a chunk may end inside the line.
    let upper = line[start..].to_ascii_uppercase();
    verbs.iter().any(|verb| upper.windows(verb.len()).any(|window| window == *verb))
}

fn play(words: &[String], pieces: &[&[u8]], shut_down: bool, octets: usize) -> Outcome {
    let mut memory = Memory::new(words);
    for piece in pieces {
        if !memory.closed && !memory.turned {
            memory.send(piece);
        }
    }
    if !memory.turned && !memory.closed {
        let before = memory.accepted.len();
        if shut_down {
            memory.session.shut_down();
            memory.drain();
        }
        memory.session.handle_eof();
        memory.drain();
        assert!(memory.closed, "the client is gone, and the session lives on");
        assert_eq!(memory.accepted.len(), before, "accepted at the end of the connection");
    }
    let said = memory.said();
    let Memory { session, accepted, hellos, voids, closed, turned, .. } = memory;
    let held = crate::octets_of(session);
    assert!(held <= 32 * 1024 + 16 * octets, "{held} octets held after {octets}");
    Outcome { said, accepted, hellos, voids, closed, turned }
}

fn check(outcome: &Outcome, setting: &str) {
    for line in outcome.said.split_terminator("\r\n") {
        let octets = line.as_bytes();
        assert!(octets.len() > 3 && octets[..3].iter().all(u8::is_ascii_digit), "{line:?}");
        assert!(octets[3] == b' ' || octets[3] == b'-', "{line:?}");
        assert!(octets.len() <= 510, "[5321-4.5.3.1.5] {line:?}");
        assert!(octets.iter().all(|octet| (b' '..=b'~').contains(octet)), "{line:?}");
    }
    let limit = setting.split(' ').find_map(|word| word.strip_prefix("size=")?.parse().ok());
    for accepted in &outcome.accepted {
        assert!(!accepted.recipients.is_empty());
        assert!(limit.is_none_or(|limit: usize| accepted.content.len() <= limit));
        assert!(!(accepted.normalised && setting.contains("strict")));
        let content = &accepted.content;
        for (at, octet) in content.iter().enumerate() {
            match octet {
                b'\n' => assert!(at > 0 && content[at - 1] == b'\r', "a bare LF"),
                b'\r' => assert_eq!(content.get(at + 1), Some(&b'\n'), "a bare CR"),
                _ => {}
            }
        }
    }
    assert!(!outcome.turned || outcome.said.contains("235 2.7.0 ") || setting.contains("certificate"));
    assert_eq!(outcome.said.matches(" queued as ").count(), outcome.accepted.len());
}
