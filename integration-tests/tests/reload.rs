//! A running server takes up what changed, and keeps what it had when the new configuration is bad.

use std::time::Duration;

use nix::sys::signal::Signal;
use restante_integration_tests::{Behaviour, Daemon, DaemonOptions, Sink, connect, eventually, sample};

const LONG: Duration = Duration::from_secs(20);

fn rcpt(daemon: &Daemon, address: &str) -> String {
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.say(&format!("RCPT TO:<{address}>"))
}

fn with_new_domain(name: &str) -> DaemonOptions {
    DaemonOptions {
        tables: format!("[[domain]]\nname = \"{name}\"\nprimary = \"[127.0.0.1]:9\""),
        ..DaemonOptions::default()
    }
}

#[test]
fn domains_come_and_go() {
    let daemon = Daemon::start(&with_new_domain("leaving.example"));
    assert!(rcpt(&daemon, "x@coming.example").starts_with("550 5.7.1"));
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.send("a@sender.example", &["x@leaving.example"], &sample(1, 300));

    daemon.configure(&with_new_domain("coming.example"));
    daemon.signal(Signal::SIGHUP);
    assert!(eventually(LONG, || rcpt(&daemon, "x@coming.example").starts_with("250")));
    // A lost line of configuration must not bounce a customer's mail.
    assert!(rcpt(&daemon, "x@leaving.example").starts_with("450"), "{}", rcpt(&daemon, "x@leaving.example"));
    assert!(
        eventually(LONG, || daemon.json(&["list", "--state", "orphaned"]).len() == 1),
        "{:?}",
        daemon.json(&["list"])
    );
    assert!(daemon.log().contains("orphaned"), "an alarm");

    // It comes back: its mail still waits for the operator.
    daemon.configure(&with_new_domain("leaving.example"));
    daemon.signal(Signal::SIGHUP);
    assert!(eventually(LONG, || rcpt(&daemon, "x@leaving.example").starts_with("250")));
    // The front end hears of it some lines before the desk.
    assert!(eventually(LONG, || connect(daemon.ports().smtp).say("ETRN leaving.example").starts_with("458")));
    assert!(daemon.admin(&["release", "leaving.example"]).status.success());
    connect(daemon.ports().smtp).expect("ETRN leaving.example", "253 2.0.0 OK, 1 pending");
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let good = std::fs::read_to_string(daemon.config()).expect("it can be read");
    std::fs::write(daemon.config(), format!("{good}\nnonsense = 1\n")).expect("it can be written");
    daemon.signal(Signal::SIGHUP);
    assert!(eventually(LONG, || daemon.log().contains("nonsense")), "the log says what is wrong");
    assert!(rcpt(&daemon, "x@example.org").starts_with("250"));
    let check = daemon.admin(&["config", "check", daemon.config().to_str().expect("a path in UTF-8")]);
    assert_eq!(check.status.code(), Some(78));
    let said = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("restante.toml") && said.contains("nonsense"), "{said}");
}

#[test]
fn shutdown_finishes_what_is_in_flight() {
    let mut daemon = Daemon::start(&DaemonOptions::default());
    let mut busy = connect(daemon.ports().smtp);
    busy.expect("EHLO client.example", "250");
    busy.expect("MAIL FROM:<a@sender.example>", "250");
    busy.expect("RCPT TO:<b@example.org>", "250");
    busy.expect("DATA", "354");
    busy.raw(b"Subject: half\r\n");
    let mut idle = connect(daemon.ports().smtp);
    idle.expect("EHLO client.example", "250");
    daemon.signal(Signal::SIGTERM);
    assert!(idle.reply().starts_with("421 4.3.2"), "an idle session hears it at once");
    busy.raw(b"\r\nend\r\n.\r\n");
    assert!(busy.reply().starts_with("250"), "what is in flight is finished");
    assert!(busy.reply().starts_with("421"));
    assert_eq!(daemon.stop(), Some(0));
    daemon.run();
    assert_eq!(daemon.waiting("example.org"), 1);
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    connect(daemon.ports().smtp).expect("ETRN example.org", "253 2.0.0 OK, 1 pending");
    assert!(eventually(LONG, || sink.count() == 1));
}
