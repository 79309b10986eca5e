//! A primary that is honest but for one answer, at each stage and with each kind of nonsense in turn: every message is
//! there at the end, nobody is told anything, and nothing waits for long.

#[path = "odd/primary.rs"]
mod primary;

use std::time::{Duration, Instant};

use primary::{Answer, Primary, Trick};
use restante_integration_tests::faults::say;
use restante_integration_tests::{Daemon, DaemonOptions, connect, eventually, free_port, sample};

const LIMIT: Duration = Duration::from_secs(20);
/// How long a message is; two of three lines begin with dots.
const SIZE: usize = 1500;
const MESSAGES: usize = 3;

/// Answers at a stage, and how many at it are honest before.
const STAGES: [(&str, usize); 8] = [
    ("GREETING", 0),
    ("EHLO", 0),
    ("STARTTLS", 0),
    ("MAIL", 1),
    ("RCPT", 1),
    ("DATA", 1),
    ("END", 1),
    ("QUIT", 0),
];

/// What it says in place of what is right.
fn answers(stage: &str) -> Vec<(&'static str, Answer)> {
    let says = |text: &str| Answer::Instead(text.as_bytes().to_vec());
    let mut all = vec![
        ("closes", Answer::Closed),
        ("closes behind its reply", Answer::HonestThenClosed),
        ("says two codes in one reply", says("250-fine\r\n550 or not\r\n")),
        ("says lines without end", Answer::InsteadThenClosed(b"250-fine\r\n".repeat(20_000))),
        ("says a line without end", Answer::InsteadThenClosed(vec![b'2'; 400_000])),
        ("breaks off in a reply", Answer::InsteadThenClosed(b"250-fine\r\n250".to_vec())),
        ("says 999", says("999 nonsense\r\n")),
        ("says 099", says("099 nonsense\r\n")),
        ("says 25", says("25 nonsense\r\n")),
        ("says words", says("fine, go on\r\n")),
        ("says octets", says("\0\u{1}\u{7f}\r\n\r\n")),
        ("says 421", Answer::InsteadThenClosed(b"421 4.3.2 enough\r\n".to_vec())),
        ("says 451", says("451 4.3.0 not now\r\n")),
    ];
    // It is the right answer to DATA.
    if stage != "DATA" {
        all.push(("says 354", says("354 go on\r\n")));
    }
    // One more than was asked for, and the next command has its answer before it was said: only there it can be told.
    if matches!(stage, "GREETING" | "EHLO" | "END" | "QUIT") {
        all.push(("says more", Answer::HonestAndMore));
    }
    // For good, and not about a recipient or the message.
    if matches!(stage, "GREETING" | "EHLO" | "STARTTLS" | "MAIL") {
        all.push(("says 554", says("554 5.3.2 never\r\n")));
    }
    if stage == "STARTTLS" {
        all.push(("breaks TLS", Answer::InsteadThenClosed(b"220 go\r\n\x16\x03\x03no hello\r\n".to_vec())));
    }
    all
}

/// Hands in mail for this domain and asks until it is there.
fn one(daemon: &Daemon, primary: &Primary, domain: &str, number: usize, trick: Trick, what: &str) {
    let named = |message: usize| format!("r{number}-{message}@{domain}");
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for message in 0..MESSAGES {
        let to = named(message);
        let reply = client.send("anna@sender.example", &[&to], &sample(number * 10 + message, SIZE));
        assert!(reply.starts_with("250"), "{reply}");
    }
    let said = format!("{domain}: a primary that {what} at {}", trick.stage);
    primary.play(trick);
    let there = || (0..MESSAGES).all(|message| primary.taken(&named(message)) > 0);
    let began = Instant::now();
    while !there() || !primary.played() {
        assert!(began.elapsed() < LIMIT, "{said}: not all there, {}", daemon.log());
        let before = primary.closed();
        client.expect(&format!("ETRN {domain}"), "25");
        eventually(Duration::from_millis(500), || primary.closed() > before);
    }
    for message in 0..MESSAGES {
        // What stood behind the odd answer in a burst was taken without our hearing of it.
        let most = if primary.bursts() && message == MESSAGES - 1 { 2 } else { 1 };
        assert!((1..=most).contains(&primary.taken(&named(message))), "{said}: message {message}");
    }
}

/// All stages and answers with a primary that offers this.
fn all(daemon: &Daemon, domain: &str, port: u16, keywords: &'static [&'static str]) {
    let primary = Primary::start(port, keywords);
    let mut number = 0;
    for (stage, after) in STAGES {
        let offered = keywords.contains(&"STARTTLS") || stage != "STARTTLS";
        if !offered || keywords.contains(&"CHUNKING") && stage == "DATA" {
            continue;
        }
        for (what, answer) in answers(stage) {
            one(daemon, &primary, domain, number, Trick { stage, after, answer }, what);
            number += 1;
        }
    }
    let waits = || daemon.waiting(domain);
    assert!(eventually(LIMIT, || waits() == 0), "{domain}: {} wait", waits());
    let (taken, twice, broken) = primary.account();
    say(&format!(
        "{domain}: {number} oddities; {} messages accepted, {taken} delivered, {} held, {} lost, {twice} doubled",
        number * MESSAGES,
        waits(),
        number * MESSAGES - taken
    ));
    assert!(number > 90, "{number}");
    assert_eq!((taken, broken), (number * MESSAGES, 0));
    assert!(twice == 0 || primary.bursts(), "{domain}");
}

/// What is asked and answered step by step comes once. In a burst (PIPELINING and CHUNKING) whole messages are behind an odd
/// answer already; one that stands there may come again, and none is lost.
#[test]
fn one_odd_answer_loses_and_doubles_nothing() {
    let daemon = Daemon::prepare(&DaemonOptions::default());
    let port = free_port();
    daemon.configure(&DaemonOptions {
        defaults: "notices = \"all\"".to_owned(),
        tables: format!("[[domain]]\nname = \"example.net\"\nprimary = \"[127.0.0.1]:{port}\"\n"),
        ..DaemonOptions::default()
    });
    let mut daemon = daemon;
    daemon.run();
    let ports = daemon.ports();
    std::thread::scope(|scope| {
        scope.spawn(|| all(&daemon, "example.org", ports.org, &["PIPELINING", "STARTTLS"]));
        scope.spawn(|| all(&daemon, "example.com", ports.com, &["STARTTLS"]));
        scope.spawn(|| all(&daemon, "example.net", port, &["PIPELINING", "CHUNKING", "STARTTLS"]));
    });
    assert!(daemon.json(&["list"]).is_empty(), "nothing is left, nobody was told");
    assert!(!daemon.log().contains("circuit_open"));
}

/// [5321-5.1-ourselves] Mail that would come back to us is no mail for its sender: it waits until somebody saw to it.
#[test]
fn a_primary_that_greets_with_our_name_keeps_everything_waiting() {
    let defaults = "notices = \"all\"".to_owned();
    let daemon = Daemon::start(&DaemonOptions { defaults, ..DaemonOptions::default() });
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for message in 0..MESSAGES {
        let to = format!("r-{message}@example.org");
        let reply = client.send("anna@example.com", &[&to], &sample(message, SIZE));
        assert!(reply.starts_with("250"), "{reply}");
    }
    let primary = Primary::start(daemon.ports().org, &["PIPELINING"]);
    let greeting = Answer::Instead(b"220 mx2.example.net ESMTP\r\n".to_vec());
    primary.play(Trick { stage: "GREETING", after: 0, answer: greeting });
    client.expect("ETRN example.org", "25");
    let stopped = || daemon.json(&["status", "example.org"])[0]["hold"].to_string().contains("misrouted");
    assert!(eventually(LIMIT, stopped), "{}", daemon.log());
    assert_eq!((daemon.waiting("example.org"), primary.account().0), (3, 0));
    assert_eq!(daemon.waiting("example.com"), 0, "nobody is told");
    // Somebody saw to it.
    client.expect("ETRN example.org", "458");
    assert!(daemon.admin(&["release", "example.org"]).status.success());
    client.expect("ETRN example.org", "25");
    assert!(eventually(LIMIT, || daemon.waiting("example.org") == 0), "{}", daemon.log());
    let (taken, twice, broken) = primary.account();
    let held = daemon.json(&["list"]).len();
    say(&format!(
        "greeted with our name: {MESSAGES} messages accepted, {taken} delivered, {held} held, {} lost, {twice} doubled",
        MESSAGES - taken
    ));
    assert_eq!((taken, twice, broken, held), (MESSAGES, 0, 0, 0));
}
