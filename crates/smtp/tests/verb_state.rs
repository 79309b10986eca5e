//! Every verb in every state, against the table in `verb_state.txt`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;

use memory::Memory;

const TABLE: &str = include_str!("verb_state.txt");

const AUTHENTICATE: &str = "EHLO c.example\r\nAUTH PLAIN AHVzZXIAcGVuY2ls\r\n";

/// A session in a state.
fn session(state: &str) -> Memory {
    let to_rcpt = "EHLO c.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\n";
    let way = match state {
        "greeted" | "tls-required" | "auth-greeted" => String::new(),
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
        "auth" | "auth-clear" | "odmr" | "odmr-clear" | "collected" => "EHLO c.example\r\n".into(),
        "authenticated" | "odmr-known" => AUTHENTICATE.into(),
        "auth-mail" => format!("{AUTHENTICATE}MAIL FROM:<a@client.example>\r\n"),
        "inside-tls" => "EHLO c.example\r\nSTARTTLS\r\n".into(),
        _ => panic!("no way to {state}"),
    };
    let words = match state {
        "tls-required" => "starttls tls-required",
        "auth-clear" => "starttls auth=PLAIN atrn turn",
        "auth" | "auth-greeted" | "authenticated" | "auth-mail" => "starttls tls auth=PLAIN atrn turn",
        "odmr" | "odmr-known" => "odmr starttls tls auth=PLAIN atrn turn",
        "odmr-clear" => "odmr starttls tls-required auth=PLAIN atrn turn",
        "collected" => "collected starttls tls auth=PLAIN atrn turn",
        _ => "starttls",
    };
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
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
        "ATRN" => " a.example",
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
    assert_eq!(cells, 21 * 18);
}
