//! The dialogues of the smtp crate, over a real socket and against the real daemon: what the machine says in memory
//! is what a client hears.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a dialogue that differs says where")]

#[path = "../../crates/smtp/tests/dialogue/mod.rs"]
mod dialogue;

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use dialogue::{Act, Dialogue, matches};
use restante_integration_tests::{Daemon, DaemonOptions};

/// Whom the in-memory caller treats in a way of its own; the daemon has no such rules.
const SCRIPTED: &[&str] = &["later@", "never@", "nobegin@", "void@", "full@", "bye@", "ETRN "];

/// Files whose recipients the daemon's own policy refuses (gateway addresses; SMTPUTF8 towards a primary that is not
/// known to speak it).
const REFUSED_BY_POLICY: &[&str] = &["addresses.txt", "smtputf8.txt"];

/// Whether it can be replayed here: no clock to turn, no TLS inside, no rules of the in-memory caller.
fn fits(dialogue: &Dialogue, text: &str) -> bool {
    let known = dialogue.config.iter().all(|word| word == "strict");
    let here = dialogue.steps.iter().all(|step| matches!(step.act, Act::Wait | Act::Send { .. } | Act::Eof));
    let commands = text.lines().filter(|line| line.starts_with("C"));
    let known = known && !REFUSED_BY_POLICY.contains(&dialogue.name.as_str());
    known && here && !commands.into_iter().any(|line| SCRIPTED.iter().any(|word| line.contains(word)))
}

fn load() -> Vec<Dialogue> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/smtp/tests/dialogues");
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).unwrap().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let dialogue = Dialogue::parse(&file.file_name().to_string_lossy(), &text);
        if fits(&dialogue, &text) {
            found.push(dialogue);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The next line, CRLF taken off; empty at the end.
fn line(reader: &mut BufReader<TcpStream>) -> String {
    let mut octets = Vec::new();
    // A connection that is reset has ended too.
    let _ = reader.read_until(b'\n', &mut octets);
    String::from_utf8_lossy(octets.strip_suffix(b"\r\n").unwrap_or(&octets)).into_owned()
}

fn replay(dialogue: &Dialogue, port: u16) {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    for step in &dialogue.steps {
        match &step.act {
            // The server may have closed already, and rightly so: what it says is compared.
            Act::Send { octets, .. } => drop(reader.get_mut().write_all(octets)),
            Act::Eof => drop(reader.get_mut().shutdown(Shutdown::Write)),
            _ => {}
        }
        for expected in &step.expect {
            let heard = line(&mut reader);
            // The id is the daemon's own.
            let expected = match expected.split_once(" queued as ") {
                Some((reply, _)) => format!("{reply} queued as *"),
                None => expected.clone(),
            };
            let place = format!("{}:{}", dialogue.name, step.line);
            assert!(matches(&expected, &heard), "{place}: wanted {expected:?}, heard {heard:?}");
        }
        if step.closes {
            let heard = line(&mut reader);
            assert!(heard.is_empty(), "{}:{}: wanted the end, heard {heard:?}", dialogue.name, step.line);
        }
    }
}

#[test]
fn the_daemon_says_what_the_machine_says() {
    let dialogues = load();
    assert!(dialogues.len() > 20, "only {} dialogues fit", dialogues.len());
    let start = |strict: bool| {
        Daemon::start(&DaemonOptions {
            listen: format!("tls = \"none\"\nstrict = {strict}"),
            ..DaemonOptions::default()
        })
    };
    let (lenient, strict) = (start(false), start(true));
    let mut messages = 0;
    for dialogue in &dialogues {
        let daemon = if dialogue.config.is_empty() { &lenient } else { &strict };
        replay(dialogue, daemon.ports().smtp);
        messages += dialogue.queued.iter().map(|queued| queues(&queued.recipients)).sum::<usize>();
    }
    let held = lenient.json(&["list"]).len() + strict.json(&["list"]).len();
    println!("{} dialogues, {messages} entries expected, {held} held", dialogues.len());
    assert_eq!(held, messages, "what was accepted is held, and nothing else");
}

/// How many queues these recipients stand in.
fn queues(recipients: &[String]) -> usize {
    let domain = |address: &String| {
        address.rsplit_once('@').map_or("example.com".to_owned(), |(_, d)| d.to_lowercase())
    };
    recipients.iter().map(domain).collect::<std::collections::BTreeSet<_>>().len()
}
