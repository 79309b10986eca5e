//! ETRN over the wire: every answer of the table, for the entitled and for strangers.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use restante_integration_tests::{Behaviour, Daemon, DaemonOptions, Sink, connect, eventually, sample};

fn options() -> DaemonOptions {
    let tables = "\
[[domain]]
name = \"closed.example\"
primary = \"[127.0.0.1]:9\"
etrn-from = [\"192.0.2.1\"]

[[domain]]
name = \"truthful.example\"
primary = \"[127.0.0.1]:9\"
etrn-reply = \"truthful\"

[[domain]]
name = \"plain.example\"
primary = \"[127.0.0.1]:9\"
etrn-reply = \"plain\"

[[domain]]
name = \"slow.example\"
primary = \"[127.0.0.1]:9\"
etrn-interval = \"1h\"

[[domain]]
name = \"tree.example\"
primary = \"[127.0.0.1]:9\"
subdomains = true

[[group]]
name = \"customer42\"
domains = [\"example.org\", \"truthful.example\"]
";
    DaemonOptions { tables: tables.into(), ..DaemonOptions::default() }
}

#[test]
fn each_row_of_the_table() {
    let daemon = Daemon::start(&options());
    let mut client = connect(daemon.ports().smtp);
    // [1985-5] Taken before EHLO too, as Postfix, Exim and sendmail do.
    client.expect("ETRN example.org", "250");
    client.expect("EHLO client.example", "250");
    client.expect("ETRN", "500 5.5.2");
    client.expect("ETRN localname", "501 5.5.4");
    client.expect("ETRN %example.org", "501 5.5.4");
    client.expect("ETRN example.org.", "250 2.0.0");
    client.expect("etrn   EXAMPLE.ORG  ", "250 2.0.0");
    client.expect("ETRN truthful.example", "25");
    client.expect("ETRN plain.example", "250 2.0.0");
    let foreign = client.expect("ETRN elsewhere.example", "459 4.7.1");
    let forbidden = client.expect("ETRN closed.example", "459 4.7.1");
    let group = client.expect("ETRN #nobody", "459 4.7.1");
    assert_eq!(foreign.replace("elsewhere", "closed"), forbidden, "one text for both");
    assert_eq!(group.get(..9), foreign.get(..9));
    client.expect("ETRN slow.example", "250 2.0.0");
    let soon = client.expect("ETRN slow.example", "458 4.3.0");
    assert!(soon.contains("try again in"), "{soon}");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.expect("ETRN example.org", "503 5.5.1");
    client.expect("RSET", "250");
    for domain in ["example.org", "a.tree.example", "b.tree.example"] {
        client.send("a@sender.example", &[&format!("x@{domain}")], &sample(1, 300));
    }
    client.expect("ETRN @tree.example", "253 2.0.0 OK, 2 pending");
    client.expect("ETRN #customer42", "253 2.0.0 OK, 1 pending");
    client.expect("ETRN @example", "501");
    client.raw(b"ETRN example.org\nETRN plain.example\n");
    assert!(client.reply().starts_with("253 2.0.0 OK, 1 pending"), "bare LF ends a command line");
    assert!(client.reply().starts_with("250 2.0.0"), "pipelined ETRNs are all answered");
    assert!(daemon.admin(&["hold", "example.org", "--reason", "moving"]).status.success());
    client.expect("ETRN example.org", "458 4.3.0");
}

#[test]
fn a_request_during_a_drain_is_counted_and_looked_after() {
    let daemon = Daemon::start(&DaemonOptions { org: "connections = 1".into(), ..options() });
    let behaviour = Behaviour { slowness: Duration::from_millis(30), ..Behaviour::default() };
    let sink = Sink::start(daemon.ports().org, behaviour);
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    for seed in 0..20 {
        client.send("a@sender.example", &["x@example.org"], &sample(seed, 300));
    }
    client.expect("ETRN example.org", "253 2.0.0 OK, 20 pending");
    assert!(eventually(Duration::from_secs(10), || sink.count() > 2));
    // Mail that comes in while the drain runs is taken along when somebody asks again.
    client.send("a@sender.example", &["x@example.org"], &sample(99, 300));
    client.expect("ETRN example.org", "253 2.0.0");
    assert!(eventually(Duration::from_secs(20), || sink.count() == 21), "{} arrived", sink.count());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(sink.count(), 21, "none twice");
}

#[test]
fn the_answer_waits_for_neither_the_drain_nor_dns() {
    // A primary behind a name that the resolver says nothing about, so that whoever waits for it waits for a time-out.
    let resolver = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let silent = resolver.local_addr().expect("it is bound");
    let tables = "\
[[domain]]
name = \"dns.example\"
primary = \"mx\"
etrn-from = [\"primary\", \"127.0.0.0/8\"]

[[domain]]
name = \"cold.example\"
primary = \"mx\"
etrn-from = [\"primary\"]
";
    let tables = format!("{tables}\n[dns]\nservers = [\"{silent}\"]\n");
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let mut client = connect(daemon.ports().smtp);
    client.expect("EHLO client.example", "250");
    client.send("a@sender.example", &["x@dns.example"], &sample(1, 300));
    let started = Instant::now();
    client.expect("ETRN dns.example", "253 2.0.0 OK, 1 pending");
    client.expect("ETRN cold.example", "459 4.7.1");
    // No figure is asserted for its speed: this only tells an answer at once from one that waited for a time-out, which
    // comes after five seconds at the earliest.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
