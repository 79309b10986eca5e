//! A real Exim as the primary: what it offers is used, what it refuses is told apart, and every octet arrives.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use restante_integration_tests::{
    Daemon, DaemonOptions, Exim, EximOptions, Peer, connect, eventually, have, sample, without_received,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A daemon for example.org, and where its primary shall be.
fn daemon(rules: &str) -> (Daemon, SocketAddr) {
    let org = format!("circuit = []\nnotices = \"all\"\n{rules}");
    let daemon = Daemon::start(&DaemonOptions { org, ..DaemonOptions::default() });
    let at = SocketAddr::from(([127, 0, 0, 1], daemon.ports().org));
    (daemon, at)
}

/// One message by hand: parameters of MAIL, recipients with theirs, content in one chunk as it is.
fn send(daemon: &Daemon, mail: &str, to: &[&str], content: &[u8]) {
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.expect(&format!("MAIL FROM:{mail}"), "250");
    for recipient in to {
        client.expect(&format!("RCPT TO:{recipient}"), "250");
    }
    client.raw(format!("BDAT {} LAST\r\n", content.len()).as_bytes());
    client.raw(content);
    let reply = client.reply();
    assert!(reply.starts_with("250"), "{reply}");
}

fn ask(daemon: &Daemon) {
    connect(daemon.ports().smtp).expect("ETRN example.org", "25");
}

fn own(path: &Path) -> Vec<u8> {
    without_received(&Exim::as_received(path))
}

/// Two hundred of all sizes, 8 bits, dots and empty lines: over CHUNKING in big pipelines, and over DATA where Exim does
/// not offer it.
#[test]
fn exim_gets_every_message_whole() {
    if !have("exim_gets_every_message_whole", &[Peer::Exim]) {
        return;
    }
    let plain = "chunking_advertise_hosts =\npipelining_advertise_hosts =\n";
    for (what, chunking, pipelining) in [("all", true, true), ("neither", false, false)] {
        let (daemon, at) = daemon("connections = 3");
        let mut wanted = BTreeSet::new();
        for seed in 0..100 {
            let mut content = sample(seed, 200 + (seed % 10) * 9_000);
            content.extend_from_slice("Grüße, naïve ŝ\r\n\r\n.\r\n..\r\n\r\n".as_bytes());
            send(&daemon, "<a@sender.example> BODY=8BITMIME", &["<b@example.org>"], &content);
            wanted.insert(content);
        }
        let main = if chunking { String::new() } else { plain.to_owned() };
        let exim = Exim::start(at, "example.org", &EximOptions { main, ..EximOptions::default() });
        ask(&daemon);
        assert!(
            eventually(LIMIT, || exim.mailbox().len() == 100),
            "{} {what}\n{}",
            exim.mailbox().len(),
            exim.log()
        );
        let got: BTreeSet<Vec<u8>> = exim.mailbox().iter().map(|path| own(path)).collect();
        assert!(got == wanted, "{what}: not as they were sent");
        assert!(eventually(LIMIT, || daemon.waiting("example.org") == 0));
        let log = exim.log();
        let taken: Vec<&str> = log.lines().filter(|line| line.contains(" <= a@sender.example")).collect();
        assert_eq!(taken.len(), 100, "{what}: none twice");
        assert_eq!(
            taken.iter().filter(|line| line.contains(" K ")).count(),
            if chunking { 100 } else { 0 },
            "{log}"
        );
        // Exim notes with L that pipelining was used; a dot behind it is about another extension.
        let piped = taken.iter().filter(|line| line.contains(" L ") || line.contains(" L. ")).count();
        assert_eq!(piped > 0, pipelining, "{log}");
        assert!(taken.iter().all(|line| line.contains(" M8S=8")), "8 bits are announced: {}", taken[0]);
    }
}

/// [3461-5.2.1] What the sender asked for in the matter of notices goes on to Exim, which tells for itself.
#[test]
fn exim_hears_what_notices_are_wanted() {
    if !have("exim_hears_what_notices_are_wanted", &[Peer::Exim]) {
        return;
    }
    let (daemon, at) = daemon("");
    let to = [
        "<b@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bee@else.example",
        "<c@example.org> NOTIFY=NEVER",
    ];
    send(&daemon, "<anna@example.com> RET=HDRS ENVID=QQ314159", &to, &sample(1, 600));
    // What it was told it says of itself, at each recipient.
    let rcpt = "  warn log_message = told $smtp_command".to_owned();
    let exim = Exim::start(at, "example.org", &EximOptions { rcpt, ..EximOptions::default() });
    ask(&daemon);
    assert!(eventually(LIMIT, || daemon.waiting("example.org") == 0), "{}", daemon.log());
    // With Exim's own notice of success, which comes to the same mailbox a moment later.
    assert!(eventually(LIMIT, || exim.mailbox().len() == 2), "{}", exim.log());
    let log = exim.log();
    for told in [
        "told RCPT TO:<b@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bee@else.example",
        "told RCPT TO:<c@example.org> NOTIFY=NEVER",
    ] {
        assert!(log.contains(told), "{told} is missing in {log}");
    }
    // It is on Exim's conscience now: we tell nobody of success.
    assert_eq!(daemon.waiting("example.com"), 0);
    assert!(!daemon.log().contains("\"kind\":\"relayed\""));
}

/// Refused for good at RCPT, put off at RCPT and again after the content, refused after the content: each recipient's own.
#[test]
fn exim_takes_some_and_refuses_some() {
    if !have("exim_takes_some_and_refuses_some", &[Peer::Exim]) {
        return;
    }
    let (daemon, at) = daemon("connections = 2");
    for number in 0..20 {
        let to: Vec<String> = ["good", "bad", "fine", "worse", "late"]
            .iter()
            .map(|name| format!("<{name}{number}@example.org>"))
            .collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        send(&daemon, "<anna@example.com>", &to, &sample(number, 500));
    }
    send(&daemon, "<anna@example.com>", &["<v@example.org>"], b"Subject: virus\r\n\r\nx\r\n");
    send(&daemon, "<anna@example.com>", &["<t@example.org>"], b"Subject: tomorrow\r\n\r\nx\r\n");
    let options = EximOptions {
        rcpt: "  deny local_parts = ^bad : ^worse\n       message = no such user\n\
               \u{20} defer local_parts = ^late\n        message = come again"
            .to_owned(),
        data: "  deny condition = ${if match{$h_Subject:}{virus}}\n       message = we do not like it\n\
               \u{20} defer condition = ${if match{$h_Subject:}{tomorrow}}\n        message = not today"
            .to_owned(),
        ..EximOptions::default()
    };
    let exim = Exim::start(at, "example.org", &options);
    ask(&daemon);
    // One Maildir file for each message: its recipients are delivered together.
    assert!(eventually(LIMIT, || exim.mailbox().len() == 20), "{}", exim.log());
    let left = || daemon.json(&["list", "--domain", "example.org"]).len();
    assert!(eventually(LIMIT, || left() == 21), "{} are left", left());
    // 20 messages with two refused each, and the one whose content was: 21 notices.
    assert!(eventually(LIMIT, || daemon.waiting("example.com") == 21), "{}", daemon.waiting("example.com"));
    let why = daemon.admin(&["why", "example.org"]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("come again") || why.contains("not today"), "{why}");
    for path in exim.mailbox() {
        let text =
            String::from_utf8_lossy(&std::fs::read(&path).expect("it can be read")).replace(",\n", ",");
        let line = text.lines().find(|line| line.starts_with("Envelope-to:")).expect("Exim adds it");
        assert!(line.contains("good") && line.contains("fine") && !line.contains("late"), "{line}");
    }
    drop(exim);

    // It has thought better of it.
    let exim = Exim::start(at, "example.org", &EximOptions::default());
    ask(&daemon);
    assert!(eventually(LIMIT, || left() == 0), "{} are left: {}", left(), exim.log());
    assert!(eventually(LIMIT, || exim.mailbox().len() == 21), "{}", exim.log());
    let log = exim.log();
    let envelopes = log.lines().filter(|line| line.contains(" <= anna@example.com")).collect::<Vec<_>>();
    assert_eq!(envelopes.len(), 21);
    assert!(!log.contains("good") && !log.contains("fine"), "nothing goes twice: {log}");
    assert_eq!(daemon.waiting("example.com"), 21, "and nobody is told twice");
}
