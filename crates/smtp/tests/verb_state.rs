//! Every verb in every state, against the table in `verb_state.txt`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;

use memory::Memory;

const TABLE: &str = include_str!("verb_state.txt");

/// A session in a state.
fn session(state: &str) -> Memory {
    let to_rcpt = "EHLO c.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\n";
    let way = match state {
        "greeted" | "tls-required" => String::new(),
        "helo" => "HELO c.example\r\n".into(),
        "ehlo" => "EHLO c.example\r\n".into(),
        "mail" => "EHLO c.example\r\nMAIL FROM:<a@client.example>\r\n".into(),
        "rcpt" => to_rcpt.into(),
        "refused-rcpt" => "EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@elsewhere.example>\r\n".into(),
        "chunks" => format!("{to_rcpt}BDAT 2\r\nab"),
        "failed-chunk" => {
            "HELO c\r\nMAIL FROM:<nobegin@c.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 2\r\nab".into()
        }
        "queued" => format!("{to_rcpt}DATA\r\n.\r\n"),
        "reset" => format!("{to_rcpt}RSET\r\n"),
        "inside-tls" => "EHLO c.example\r\nSTARTTLS\r\n".into(),
        _ => panic!("no way to {state}"),
    };
    let mut words = vec!["starttls".to_owned()];
    if state == "tls-required" {
        words.push(state.to_owned());
    }
    let mut memory = Memory::new(&words);
    for line in way.split_inclusive("\r\n") {
        memory.send(line.as_bytes());
    }
    memory.said();
    memory
}

fn command(verb: &str) -> String {
    let arguments = match verb {
        "HELO" | "EHLO" => " again.example",
        "MAIL" => " FROM:<a@client.example>",
        "RCPT" => " TO:<b@example.org>",
        "BDAT" => " 2 LAST\r\nab",
        "VRFY" | "EXPN" => " b",
        "ETRN" => " started.example",
        "AUTH" => " PLAIN",
        "ATRN" => " example.org",
        _ => "",
    };
    if verb == "BDAT" { format!("{verb}{arguments}") } else { format!("{verb}{arguments}\r\n") }
}

#[test]
fn every_verb_in_every_state() {
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let verbs: Vec<_> = lines.next().unwrap().split_whitespace().skip(1).collect();
    let mut cells = 0;
    for line in lines {
        let mut words = line.split_whitespace();
        let state = words.next().unwrap();
        for (verb, code) in verbs.iter().zip(words.by_ref()) {
            let mut memory = session(state);
            memory.send(command(verb).as_bytes());
            let said = memory.said();
            let replies = said.lines().filter(|line| line.as_bytes()[3] == b' ').count();
            assert_eq!((said.get(..3), replies), (Some(code), 1), "{verb} in {state}: {said}");
            assert_eq!(memory.closed, *verb == "QUIT", "{verb} in {state}");
            cells += 1;
        }
    }
    assert_eq!(cells, 12 * 18);
}
