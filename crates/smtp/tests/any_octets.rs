//! Whatever comes in: no panic, no content that nobody asked for, nothing that grows.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;

use memory::Memory;
use proptest::prelude::*;

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"EHLO c.example\r\n",
        b"HELO c\n",
        b"MAIL FROM:<a@c.example>\r\n",
        b"MAIL FROM:<full@c.example> SIZE=3\r\n",
        b"MAIL FROM:<void@c.example>\r\n",
        b"MAIL FROM:<nobegin@c.example>\r\n",
        b"RCPT TO:<b@example.org>\r\n",
        b"RCPT TO:<b@else.example>\r\n",
        b"DATA\r\n",
        b"BDAT 5\r\n",
        b"BDAT 3 LAST\r\n",
        b"BDAT 0 LAST\r\n",
        b"RSET\r\n",
        b"ETRN many.example\r\n",
        b"STARTTLS\r\n",
        b"NOOP\r\n",
        b"HELP\r\n",
        b"VRFY x\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"..a\r\n",
        b"text\r\n",
        b"\r",
        b"\n",
        b".",
        b"\0",
        b"BDAT x\r\n",
        b"ETRN\r\n",
        b"XYZZY\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH PLAIN AHVzZXIAcGVuY2ls\r\n",
        b"AUTH LOGIN dXNlcg==\r\n",
        b"AUTH CRAM-MD5\r\n",
        b"AUTH EXTERNAL =\r\n",
        b"AUTH SCRAM-SHA-256 bix",
        b"AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9YWJj\r\n",
        b"AUTH SCRAM-SHA-256-PLUS\r\n",
        b"cGVuY2ls\r\n",
        b"*\r\n",
        b"=\r\n",
        b"\r\n",
        b"ATRN\r\n",
        b"ATRN a.example,b.example\r\n",
        b"ATRN elsewhere.example\r\n",
        b"TURN\r\n",
    ];
    prop_oneof![
        20 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        2 => proptest::collection::vec(any::<u8>(), 0..30),
        1 => (1usize..4000).prop_map(|length| vec![b'x'; length]),
    ]
}

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    said: String,
    accepted: Vec<memory::Accepted>,
    voids: usize,
    closed: bool,
}

fn run(words: &[String], pieces: &[&[u8]]) -> Outcome {
    let mut memory = Memory::new(words);
    for piece in pieces {
        if !memory.closed && !memory.turned {
            memory.send(piece);
        }
    }
    let Memory { voids, closed, .. } = memory;
    Outcome { said: memory.said(), accepted: memory.accepted, voids, closed }
}

/// Settings with AUTH, ATRN and TURN.
fn on_demand(which: usize) -> Vec<String> {
    let words = [
        "tls auth=all atrn turn certificate",
        "auth=all cleartext atrn turn starttls",
        "odmr starttls tls-required auth=all",
        "odmr tls auth=all no-binding",
        "collected has-8bitmime has-dsn",
    ];
    words[which].split(' ').map(str::to_owned).collect()
}

fn words(strict: bool, small: bool) -> Vec<String> {
    let mut words = vec![format!("size={}", if small { 12 } else { 100_000 })];
    if strict {
        words.push("strict".into());
    }
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..400), strict: bool) {
        run(&words(strict, true), &[&octets]);
    }

    #[test]
    fn any_dialogue_is_survived_and_well_answered(
        pieces in proptest::collection::vec(piece(), 0..40), strict: bool, small: bool, starttls: bool,
    ) {
        let mut words = words(strict, small);
        if starttls {
            words.push("starttls".into());
        }
        let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
        let outcome = run(&words, &pieces);
        for line in outcome.said.split_terminator("\r\n") {
            let bytes = line.as_bytes();
            prop_assert!(bytes.len() > 3 && bytes[..3].iter().all(u8::is_ascii_digit), "{line}");
            prop_assert!(bytes[3] == b' ' || bytes[3] == b'-', "{line}");
            prop_assert!(line.len() <= 510, "[5321-4.5.3.1.5] {line}");
            prop_assert!(bytes.iter().all(|octet| (b' '..=b'~').contains(octet)), "{line}");
        }
        for accepted in &outcome.accepted {
            prop_assert!(!accepted.recipients.is_empty());
            if small {
                prop_assert!(accepted.content.len() <= 12);
            }
        }
    }

    /// A reply has no line end in it, whatever was named; nobody is turned who did not authenticate.
    #[test]
    fn any_dialogue_on_demand_is_survived(pieces in proptest::collection::vec(piece(), 0..40), which in 0_usize..5) {
        let mut memory = Memory::new(&on_demand(which));
        for piece in &pieces {
            if !memory.closed && !memory.turned {
                memory.send(piece);
            }
        }
        let said = memory.said();
        for line in said.split_terminator("\r\n") {
            let bytes = line.as_bytes();
            prop_assert!(bytes.len() > 3 && bytes[..3].iter().all(u8::is_ascii_digit), "{line}");
            prop_assert!(line.len() <= 510 && bytes.iter().all(|octet| (b' '..=b'~').contains(octet)), "{line}");
        }
        prop_assert!(!memory.turned || said.contains("235 2.7.0 "), "{said}");
        prop_assert!(said.matches("235 2.7.0 ").count() <= 1 + said.matches("220 2.0.0 ").count(), "{said}");
    }

    /// Early octets aside, cuts change nothing on demand either.
    #[test]
    fn cuts_change_nothing_on_demand(pieces in proptest::collection::vec(piece(), 0..40), cut in any::<prop::sample::Index>(), which in 0_usize..5) {
        let early = |piece: &Vec<u8>| [&b"DATA"[..], b"STARTTLS", b"ATRN", b"TURN"].iter().any(|verb| piece.starts_with(verb));
        let whole: Vec<u8> = pieces.into_iter().filter(|piece| !early(piece)).flatten().collect();
        let words = on_demand(which);
        let (left, right) = whole.split_at(cut.index(whole.len() + 1));
        prop_assert_eq!(run(&words, &[left, right]), run(&words, &[&whole]));
    }

    /// Except for what stands early behind DATA, cuts change nothing.
    #[test]
    fn cuts_change_nothing(pieces in proptest::collection::vec(piece(), 0..40), cut in any::<prop::sample::Index>(), strict: bool) {
        let is_data = |piece: &Vec<u8>| piece.starts_with(b"DATA");
        let whole: Vec<u8> = pieces.into_iter().filter(|piece| !is_data(piece)).flatten().collect();
        let words = words(strict, false);
        let (left, right) = whole.split_at(cut.index(whole.len() + 1));
        prop_assert_eq!(run(&words, &[left, right]), run(&words, &[&whole]));
    }
}
