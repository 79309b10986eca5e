//! Mail comes in over SMTP, is held, is asked for by ETRN, and arrives: byte for byte, once.

use std::time::Duration;

use restante_integration_tests::{
    Behaviour, Client, Daemon, DaemonOptions, Sink, connect, eventually, sample, without_received,
};

const LONG: Duration = Duration::from_secs(20);

fn hello(port: u16) -> Client {
    let mut client = connect(port);
    client.expect("EHLO client.example", "250");
    client
}

fn send_many(port: u16, domain: &str, range: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let mut client = hello(port);
    let sent: Vec<_> = range.map(|seed| sample(seed, 400 + seed * 37)).collect();
    for content in &sent {
        let reply = client.send("a@sender.example", &[&format!("b@{domain}")], content);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    client.expect("QUIT", "221");
    sent
}

#[test]
fn held_then_released_by_etrn_in_order() {
    let daemon = Daemon::start(&DaemonOptions { org: "connections = 1".into(), ..DaemonOptions::default() });
    let ports = daemon.ports();
    let sent = send_many(ports.smtp, "example.org", 0..30);
    assert_eq!(daemon.waiting("example.org"), 30);
    assert_eq!(daemon.waiting("example.com"), 0);

    let listed = daemon.json(&["list", "--domain", "example.org"]);
    assert_eq!(listed.len(), 30);
    for key in [
        "id",
        "domain",
        "sender",
        "recipients",
        "size",
        "arrived",
        "expires",
        "next_attempt",
        "state",
        "client",
        "helo",
    ] {
        assert!(listed[0].get(key).is_some(), "list has no {key}: {}", listed[0]);
    }
    assert_eq!(listed[0]["state"], "queued");
    assert_eq!(listed[0]["recipients"][0]["address"], "b@example.org");

    let sink = Sink::start(ports.org, Behaviour::default());
    let mut client = hello(ports.smtp);
    client.expect("ETRN example.org", "253 2.0.0");
    assert!(eventually(LONG, || sink.count() == 30), "{} of 30 arrived", sink.count());
    let arrived: Vec<_> = sink.accepted().iter().map(|message| without_received(&message.content)).collect();
    assert!(arrived == sent, "byte for byte, oldest first");
    assert!(eventually(LONG, || daemon.waiting("example.org") == 0));
    assert!(daemon.json(&["list", "--domain", "example.org"]).is_empty());
    // Nothing waits: a client without authentication hears 250, because fetchmail stops at 251.
    client.expect("ETRN example.org", "250 2.0.0");
}

#[test]
fn one_message_to_three_queues_is_three_entries_and_two_recipients_are_one() {
    let options = DaemonOptions {
        tables: "[[domain]]\nname = \"example.net\"\nprimary = \"[127.0.0.1]:9\"".into(),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&options);
    let mut client = hello(daemon.ports().smtp);
    let to = ["a@example.org", "b@example.org", "c@example.com", "d@example.net"];
    let reply = client.send("s@sender.example", &to, &sample(1, 2000));
    assert!(reply.starts_with("250"), "{reply}");
    let entries = daemon.json(&["list"]);
    assert_eq!(entries.len(), 3);
    let ids: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "one content");
    let org =
        entries.iter().find(|entry| entry["domain"] == "example.org").expect("an entry for example.org");
    assert_eq!(org["recipients"].as_array().map(Vec::len), Some(2));

    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    client.expect("ETRN example.org", "253 2.0.0");
    assert!(eventually(LONG, || sink.count() == 1));
    assert_eq!(sink.accepted()[0].recipients.len(), 2, "both in one transaction");
    assert!(eventually(LONG, || daemon.json(&["list"]).len() == 2), "the other two still wait");
    assert_eq!(daemon.waiting("example.com"), 1);
}

#[test]
fn each_recipient_has_an_outcome_of_its_own() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let mut client = hello(daemon.ports().smtp);
    client.send(
        "s@sender.example",
        &["good@example.org", "later@example.org", "never@example.org"],
        &sample(1, 500),
    );
    client.send("s@sender.example", &["good@example.org"], b"Subject: refused\r\n\r\npoison\r\n");
    let replies = vec![("later@", "450 4.2.1 mailbox busy"), ("never@", "550 5.1.1 no such user")];
    let behaviour = Behaviour {
        recipient_replies: replies,
        content_replies: vec![("poison", "554 5.6.0 we do not like it")],
        ..Behaviour::default()
    };
    let sink = Sink::start(daemon.ports().org, behaviour);
    client.expect("ETRN example.org", "253 2.0.0 OK, 2 pending");
    let state = |id: usize, address: &str| {
        let entries = daemon.json(&["list", "--domain", "example.org"]);
        let recipients =
            entries.get(id).map(|entry| entry["recipients"].as_array().expect("an array").clone());
        let found = recipients?.into_iter().find(|recipient| recipient["address"] == address)?;
        Some((
            found["state"].as_str()?.to_owned(),
            found["last_reply"].as_str().unwrap_or_default().to_owned(),
        ))
    };
    assert!(eventually(LONG, || state(1, "good@example.org").is_some_and(|(state, _)| state == "failed")));
    assert!(eventually(LONG, || state(0, "later@example.org").is_some_and(|(state, _)| state == "deferred")));
    let (_, reply) = state(0, "later@example.org").expect("it is listed");
    assert!(reply.contains("450 4.2.1 mailbox busy"), "{reply}");
    let (never, reply) = state(0, "never@example.org").expect("it is listed");
    assert_eq!(never, "failed");
    assert!(reply.contains("550 5.1.1 no such user"), "{reply}");
    assert_eq!(sink.count(), 1);
    // What was delivered is not delivered again; what is parked is not tried again.
    client.expect("ETRN example.org", "253 2.0.0 OK, 1 pending");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sink.count(), 1);
}

#[test]
fn parameters_survive_the_hold() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let mut client = hello(daemon.ports().smtp);
    client.expect("MAIL FROM:<s@sender.example> BODY=8BITMIME RET=HDRS ENVID=QQ+2B1 SIZE=100", "250");
    client.expect("RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2B@example.org", "250");
    client.expect("BDAT 20 LAST\r\nSubject: x\r\n\r\n\u{fc}\u{fc}", "250");
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    client.expect("ETRN example.org", "253");
    assert!(eventually(LONG, || sink.count() == 1));
    let got = &sink.accepted()[0];
    for word in ["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B1"] {
        assert!(got.mail.contains(word), "{word} is lost: {}", got.mail);
    }
    for word in ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2B@example.org"] {
        assert!(got.recipients[0].contains(word), "{word} is lost: {}", got.recipients[0]);
    }
    assert!(without_received(&got.content).ends_with("\u{fc}\u{fc}\r\n".as_bytes()));
}

#[test]
fn a_cut_line_leaves_what_was_not_acknowledged() {
    let daemon = Daemon::start(&DaemonOptions { org: "connections = 1".into(), ..DaemonOptions::default() });
    let sent = send_many(daemon.ports().smtp, "example.org", 0..40);
    let first = Sink::start(daemon.ports().org, Behaviour { cut_after: Some(17), ..Behaviour::default() });
    let port = first.port();
    let mut client = hello(daemon.ports().smtp);
    client.expect("ETRN example.org", "253 2.0.0 OK, 40 pending");
    assert!(eventually(LONG, || first.count() == 17));
    assert!(
        eventually(LONG, || daemon.waiting("example.org") == 23),
        "{} wait",
        daemon.waiting("example.org")
    );
    assert!(eventually(LONG, || daemon.json(&["status", "example.org"])[0]["last_drain"]["at"].is_string()));
    let mut arrived: Vec<_> =
        first.accepted().iter().map(|message| without_received(&message.content)).collect();
    drop(first);
    let second = Sink::start(port, Behaviour::default());
    client.expect("ETRN example.org", "253 2.0.0 OK, 23 pending");
    assert!(eventually(LONG, || second.count() == 23), "{} of 23 arrived", second.count());
    arrived.extend(second.accepted().iter().map(|message| without_received(&message.content)));
    assert!(arrived == sent, "each once, in order, over two drains");
}

#[test]
fn push_mode_delivers_on_its_own_and_retries() {
    let daemon = Daemon::start(&DaemonOptions { org: "mode = \"push\"".into(), ..DaemonOptions::default() });
    let sent = send_many(daemon.ports().smtp, "example.org", 0..3);
    // Nobody listens: it is tried, and stays.
    assert!(eventually(LONG, || daemon.json(&["status", "example.org"])[0]["last_drain"]["at"].is_string()));
    assert_eq!(daemon.waiting("example.org"), 3);
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    assert!(eventually(LONG, || sink.count() == 3), "the retry list brings it");
    let mut arrived: Vec<_> =
        sink.accepted().iter().map(|message| without_received(&message.content)).collect();
    arrived.sort();
    let mut sent = sent;
    sent.sort();
    assert!(arrived == sent);
}

#[test]
fn large_content_goes_through_unchanged() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let sent = sample(7, 6_000_000);
    let reply =
        hello(daemon.ports().smtp).send("s@sender.example", &["b@example.org", "b@example.com"], &sent);
    assert!(reply.starts_with("250"), "{reply}");
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    hello(daemon.ports().smtp).expect("ETRN example.org", "253");
    assert!(eventually(LONG, || sink.count() == 1));
    assert!(without_received(&sink.accepted()[0].content) == sent);
    // Without CHUNKING, and for the other queue, the same octets.
    let behaviour = Behaviour { keywords: vec!["8BITMIME"], ..Behaviour::default() };
    let plain = Sink::start(daemon.ports().com, behaviour);
    hello(daemon.ports().smtp).expect("ETRN example.com", "253");
    assert!(eventually(LONG, || plain.count() == 1));
    assert!(without_received(&plain.accepted()[0].content) == sent);
}
