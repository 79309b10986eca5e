//! What a real Postfix as the primary makes of XCLIENT and XFORWARD, and `restante why` of what it refuses.

use std::path::Path;
use std::time::Duration;

use restante_integration_tests::{
    Daemon, DaemonOptions, Peer, Postfix, command, connect, eventually, have, run_peer,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Holds mail for example.org, whose primary is this Postfix.
fn daemon(primary: &Postfix, rules: &str) -> Daemon {
    let org = rules.to_owned();
    let defaults = format!("primary = \"[127.0.0.1]:{}\"", primary.port());
    let daemon = Daemon::prepare(&DaemonOptions { org, ..DaemonOptions::default() });
    let text = std::fs::read_to_string(daemon.config()).expect("the configuration was written");
    let pinned = format!("primary = \"[127.0.0.1]:{}\"", daemon.ports().org);
    std::fs::write(daemon.config(), text.replace(&pinned, &defaults)).expect("it can be written");
    let mut daemon = daemon;
    daemon.run();
    daemon
}

/// From clients at addresses of their own, each with a name of its own.
fn send(daemon: &Daemon, clients: &[(&str, &str)]) {
    for (address, helo) in clients {
        let mut swaks = command(Peer::Swaks);
        let server = format!("127.0.0.1:{}", daemon.ports().smtp);
        swaks.args(["--server", &server, "--local-interface", address, "--helo", helo]);
        swaks.args([
            "--from",
            "a@sender.example",
            "--to",
            "b@example.org",
            "--header",
            &format!("X-Of: {helo}"),
        ]);
        let output = run_peer(&mut swaks, LIMIT);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).expect("a delivered file can be read")).into_owned()
}

/// Postfix's own Received line of each message, by the client's name.
fn received_of(primary: &Postfix, helo: &str) -> String {
    let all: Vec<String> = primary.mailbox().iter().map(|path| text_of(path)).collect();
    let one = all.iter().find(|text| text.contains(&format!("X-Of: {helo}\n"))).expect("it was delivered");
    let line = one.lines().find(|line| line.starts_with("Received: ")).expect("Postfix adds its line");
    line.to_owned()
}

/// [xclient-command] [xclient-again] [xclient-once] The primary takes each message for its client's.
#[test]
fn postfix_believes_xclient() {
    if !have("postfix_believes_xclient", &[Peer::Postfix, Peer::Swaks]) {
        return;
    }
    let lines = ["smtpd_authorized_xclient_hosts = 127.0.0.1", "smtpd_client_connection_rate_limit = 0"];
    let primary = Postfix::start_with(restante_integration_tests::free_port(), &lines);
    let daemon = daemon(&primary, "forward-client = \"xclient\"\nconnections = 1");
    let clients = [
        ("127.0.0.77", "one.client.example"),
        ("127.0.0.78", "two.client.example"),
        ("127.0.0.78", "three.client.example"),
    ];
    send(&daemon, &clients);
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LIMIT, || primary.mailbox().len() == 3), "{}", primary.log());
    for (address, helo) in clients {
        let line = received_of(&primary, helo);
        assert!(line.starts_with(&format!("Received: from {helo} (unknown [{address}]")), "{line:?}");
    }
    assert!(eventually(LIMIT, || daemon.waiting("example.org") == 0));
}

/// [xforward-command] The primary's log names the client.
#[test]
fn postfix_logs_xforward() {
    if !have("postfix_logs_xforward", &[Peer::Postfix, Peer::Swaks]) {
        return;
    }
    let lines = ["smtpd_authorized_xforward_hosts = 127.0.0.1"];
    let primary = Postfix::start_with(restante_integration_tests::free_port(), &lines);
    let daemon = daemon(&primary, "forward-client = \"xforward\"");
    send(&daemon, &[("127.0.0.77", "one.client.example"), ("127.0.0.78", "two.client.example")]);
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LIMIT, || primary.mailbox().len() == 2), "{}", primary.log());
    for address in ["127.0.0.77", "127.0.0.78"] {
        let logged = format!("orig_client=unknown[{address}]");
        assert!(eventually(LIMIT, || primary.log().contains(&logged)), "{}", primary.log());
    }
}

/// The primary is called from the address that the domain names, and sees nothing else.
#[test]
fn postfix_sees_the_address_that_was_named() {
    if !have("postfix_sees_the_address_that_was_named", &[Peer::Postfix, Peer::Swaks]) {
        return;
    }
    let primary = Postfix::start();
    let daemon = daemon(&primary, "source-address = [\"127.0.0.9\", \"::1\"]");
    send(&daemon, &[("127.0.0.77", "one.client.example")]);
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LIMIT, || primary.mailbox().len() == 1), "{}", primary.log());
    let line = received_of(&primary, "one.client.example");
    assert!(line.starts_with("Received: from mx2.example.net (unknown [127.0.0.9]"), "{line}");
}

/// A primary that does not offer it gets the mail as ours.
#[test]
fn who_does_not_offer_it_is_told_nothing() {
    if !have("who_does_not_offer_it_is_told_nothing", &[Peer::Postfix, Peer::Swaks]) {
        return;
    }
    let primary = Postfix::start();
    let daemon = daemon(&primary, "forward-client = \"xclient\"");
    send(&daemon, &[("127.0.0.77", "one.client.example")]);
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LIMIT, || primary.mailbox().len() == 1), "{}", primary.log());
    let line = received_of(&primary, "one.client.example");
    assert!(line.starts_with("Received: from mx2.example.net "), "{line}");
}

/// The administrator sees what was said.
#[test]
fn why_shows_the_refusal() {
    if !have("why_shows_the_refusal", &[Peer::Postfix, Peer::Swaks]) {
        return;
    }
    let lines = [
        "smtpd_recipient_restrictions = check_recipient_access inline:{{b@example.org = 450 4.2.0 not today}}",
    ];
    let primary = Postfix::start_with(restante_integration_tests::free_port(), &lines);
    let daemon = daemon(&primary, "");
    send(&daemon, &[("127.0.0.77", "one.client.example")]);
    connect(daemon.ports().smtp).expect("ETRN example.org", "253");
    let shown = || String::from_utf8_lossy(&daemon.admin(&["why", "example.org"]).stdout).into_owned();
    assert!(eventually(LIMIT, || shown().contains("not today")), "{} {}", shown(), primary.log());
    let shown = shown();
    for part in ["RCPT TO:<b@example.org>", "EHLO mx2.example.net", "refused at RCPT", "127.0.0.1"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
}
