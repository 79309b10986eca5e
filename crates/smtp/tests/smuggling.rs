//! SMTP smuggling: every way of writing an end of content that another server might take for one. The clauses are in
//! `rfc-notes/smuggling.md`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "smuggling/ends.rs"]
mod ends;
mod memory;

use ends::ENDS;
use memory::Memory;

const BEFORE: &[u8] = b"HELO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\n";
const STOWAWAY: &[u8] =
    b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nevil\r\n.\r\n";

/// What is accepted when `octets` come behind DATA's 354 in two pieces.
fn accepted(words: &[String], octets: &[u8], cut: usize) -> Memory {
    let mut memory = Memory::new(words);
    memory.send(BEFORE);
    memory.send(b"DATA\r\n");
    memory.send(&octets[..cut]);
    memory.send(&octets[cut..]);
    memory
}

/// Only CRLF, lines that end where they ended, no CR and no LF alone.
fn is_canonical(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content).replace("\r\n", "");
    !text.contains(['\r', '\n'])
}

/// [smuggling-a] [smuggling-b] in every pair of line ends.
#[test]
fn no_pair_of_line_ends_smuggles() {
    for before in ENDS {
        for after in ENDS {
            let content = [b"Subject: x\r\n\r\nbody", before, b".", after, STOWAWAY].concat();
            let raw = [&content[..], b"\r\n.\r\n"].concat();
            let is_end = before.ends_with(b"\r\n") && after.starts_with(b"\r\n");
            for cut in 0..raw.len() {
                let memory = accepted(&[], &raw, cut);
                // Where the pair is no end, what STOWAWAY ends with is one, and the message holds all of it.
                let first = &memory.accepted[0].content;
                let holds = first.windows(4).any(|window| window == b"evil");
                assert_eq!(holds, !is_end, "{before:?} . {after:?} cut {cut}");
                assert!(is_canonical(first), "{before:?} . {after:?} cut {cut}: {first:?}");
            }
        }
    }
}

/// [smuggling-b] A strict listener keeps nothing of it.
#[test]
fn a_strict_listener_refuses_every_bare_line_end() {
    for end in ENDS {
        let raw = [b"a", end, b"b\r\n.\r\n"].concat();
        let memory = accepted(&["strict".into()], &raw, 0);
        let bare = !is_canonical(&raw);
        assert_eq!(memory.accepted.is_empty(), bare, "{end:?}");
        assert_eq!(memory.voids, usize::from(bare), "{end:?}");
    }
}

/// [smuggling-c] The same content as chunks, cut anywhere, comes out as it does in one chunk, and nothing in it ends it.
#[test]
fn chunks_hold_whatever_they_hold() {
    for before in ENDS {
        for after in ENDS {
            let content = [b"a", before, b".", after, STOWAWAY].concat();
            let mut whole = None;
            for cut in 0..=content.len() {
                let mut memory = Memory::new(&[]);
                memory.send(BEFORE);
                memory.send(format!("BDAT {cut}\r\n").as_bytes());
                memory.send(&content[..cut]);
                memory.send(format!("BDAT {} LAST\r\n", content.len() - cut).as_bytes());
                memory.send(&content[cut..]);
                memory.send(b"QUIT\r\n");
                assert!(memory.closed && memory.accepted.len() == 1, "{before:?} . {after:?} cut {cut}");
                let got = memory.accepted.remove(0).content;
                assert!(is_canonical(&got));
                assert_eq!(
                    *whole.get_or_insert_with(|| got.clone()),
                    got,
                    "{before:?} . {after:?} cut {cut}"
                );
            }
        }
    }
}

/// [smuggling-b] A bare CR never becomes a line end: it would forge header lines.
#[test]
fn a_bare_cr_forges_no_header_line() {
    let memory = accepted(&[], b"Subject: a\rBcc: evil@client.example\r\n\r\nbody\r\n.\r\n", 11);
    assert_eq!(memory.accepted[0].content, b"Subject: a Bcc: evil@client.example\r\n\r\nbody\r\n");
    assert!(memory.accepted[0].normalised);
}

/// [smuggling-i] Whoever talks before the greeting is no mail client.
#[test]
fn talking_before_the_greeting_closes() {
    let mut memory = Memory::silent(&[]);
    memory.send(b"HELO client.example\r\n");
    assert_eq!(memory.said(), "554 5.5.0 SMTP synchronisation error\r\n");
    assert!(memory.closed && memory.hellos.is_empty());
}

/// [smuggling-d] However the octets behind STARTTLS are cut, the machine that took it takes no more.
#[test]
fn nothing_behind_starttls_is_read() {
    let mut memory = Memory::new(&["starttls".into()]);
    memory.send(b"EHLO client.example\r\n");
    memory.send(b"STARTTLS\r\nMAIL FROM:<evil@client.example>\r\n");
    assert!(memory.closed && memory.said().ends_with("554 5.5.0 SMTP synchronisation error\r\n"));
    let mut memory = Memory::new(&["starttls".into()]);
    memory.send(b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRSET\r\n");
    memory.send(b"STARTTLS\r\n");
    assert!(memory.session.transaction().is_none() && memory.session.client().helo.is_empty(), "[3207-4.2]");
    assert!(!memory.session.is_esmtp() && memory.session.client().tls.is_some());
}
