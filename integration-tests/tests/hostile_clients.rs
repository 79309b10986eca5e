//! Senders that smuggle, flood and crowd, while mail flows and the configuration changes.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use restante_integration_tests::{
    Behaviour, Client, Daemon, DaemonOptions, Sink, connect, eventually, sample,
};

const LONG: Duration = Duration::from_secs(30);
const INNER: &[u8] =
    b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: inner\r\n\r\nx";
const ENDS: &[&[u8]] =
    &[b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\r", b"\0\r\n", b"\r\0\n", b"\x0b", b"\x85", b""];

fn envelope(client: &mut Client) {
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.expect("RCPT TO:<b@example.org>", "250");
}

/// What looks like the end of DATA goes in by BDAT, where it may stand, cut in two at every octet around it, and without
/// a line end behind it. Then what the next hop sees is looked at, by DATA and by BDAT.
#[test]
fn an_end_that_came_in_by_bdat_ends_nothing_at_the_next_hop() {
    let daemon = Daemon::start(&DaemonOptions::default());
    for keywords in [vec![], vec!["PIPELINING"], vec!["CHUNKING"], vec!["PIPELINING", "CHUNKING"]] {
        let mut client = connect(daemon.ports().smtp);
        client.expect("EHLO client.example", "250");
        let mut sent = 0;
        for (before, after) in ENDS.iter().flat_map(|before| ENDS.iter().map(move |after| (before, after))) {
            let dot = [&b"Subject: outer\r\n\r\nouter"[..], before, b".", after].concat();
            let inner = [&dot[..], INNER].concat();
            for (content, cut) in
                [(&dot, dot.len() - after.len()), (&dot, dot.len()), (&inner, dot.len() - 1)]
            {
                envelope(&mut client);
                let (one, other) = content.split_at(cut);
                client.raw(&[format!("BDAT {}\r\n", one.len()).as_bytes(), one].concat());
                assert!(client.reply().starts_with("250"), "{before:?} {after:?}");
                client.raw(&[format!("BDAT {} LAST\r\n", other.len()).as_bytes(), other].concat());
                assert!(client.reply().starts_with("250 2.0.0 queued"), "{before:?} {after:?}");
                sent += 1;
            }
        }
        let sink = Sink::start(daemon.ports().org, Behaviour { keywords, ..Behaviour::default() });
        connect(daemon.ports().smtp).expect("ETRN example.org", "253");
        assert!(eventually(LONG, || daemon.waiting("example.org") == 0));
        let accepted = sink.accepted();
        assert_eq!(accepted.len(), sent, "neither more nor fewer");
        for message in accepted {
            let text = String::from_utf8_lossy(&message.content).into_owned();
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
            assert!(text.contains("Subject: outer") && !message.mail.contains("evil"), "{text:?}");
        }
    }
}

/// Kilobytes of memory that it has.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok()).expect("a number")
}

/// Sends until nothing is taken any more, and reads nothing.
fn flood(port: u16, start: &str, command: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket takes a timeout");
    // The greeting comes first, or we talk early.
    std::io::Read::read(&mut stream, &mut [0; 512]).expect("it greets");
    stream.write_all(start.as_bytes()).expect("it reads");
    let many = command.repeat(1000);
    let taken = (0..20_000).take_while(|_| stream.write_all(many.as_bytes()).is_ok()).count();
    assert!(taken < 20_000, "{command:?}: more answers than anybody reads, without end");
}

/// A session's memory is fixed: neither crowds nor floods nor a lot of mail make it grow.
#[test]
fn memory_stays_what_it_is_under_load() {
    let tables = "[limits]\nconnections-per-client = 1000".to_owned();
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let port = daemon.ports().smtp;
    let mut client = connect(port);
    client.expect("EHLO client.example", "250");
    client.send("a@sender.example", &["b@example.org"], &sample(0, 100_000));
    let before = resident(&daemon);

    let mut crowd: Vec<Client> = (0..400).map(|_| connect(port)).collect();
    let idle = resident(&daemon) - before;
    assert!(idle < 400 * 16, "400 sessions that wait have {idle} KiB");
    for each in &mut crowd {
        each.expect("EHLO client.example", "250");
        envelope(each);
        each.expect("DATA", "354");
        each.raw(&sample(1, 300_000));
    }
    let busy = resident(&daemon).saturating_sub(before);
    // What all have in memory on its way to the disk is bounded (64 MiB), and each has its buffers.
    assert!(busy < 64 * 1024 + 400 * 96, "400 sessions with content have {busy} KiB");
    drop(crowd);

    let hello = "EHLO client.example\r\n";
    let transaction = format!("{hello}MAIL FROM:<a@sender.example>\r\n");
    flood(port, hello, "NOOP\r\n");
    flood(port, hello, "HELP\r\n");
    flood(port, hello, "EHLO again.example\r\n");
    flood(port, hello, "ETRN example.org\r\n");
    flood(port, hello, "ETRN @nowhere.example\r\n");
    flood(port, &transaction, "RCPT TO:<b@example.org>\r\n");
    flood(port, &transaction, "RCPT TO:<b@elsewhere.example>\r\n");
    flood(port, hello, "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 0 LAST\r\n");
    for seed in 0..300 {
        client.send("a@sender.example", &["b@example.org"], &sample(seed, 100_000));
    }
    let after = resident(&daemon).saturating_sub(before);
    assert!(after < 128 * 1024, "{after} KiB more than before");
    connect(port).expect("QUIT", "221");
}

/// Every message that was taken arrives once, whatever SIGHUP does meanwhile.
#[test]
fn mail_flows_while_the_configuration_is_read_again() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let sink = Sink::start(daemon.ports().org, Behaviour::default());
    let (stop, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for sender in 0..2 {
            let (daemon, stop, taken) = (&daemon, &stop, &taken);
            scope.spawn(move || {
                let mut client = connect(daemon.ports().smtp);
                client.expect("EHLO client.example", "250");
                for seed in (0..).take_while(|_| !stop.load(Ordering::SeqCst)) {
                    let reply =
                        client.send("a@sender.example", &["b@example.org"], &sample(2 * seed + sender, 800));
                    assert!(reply.starts_with("250"), "{reply}");
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..30 {
            let tables = format!(
                "[[domain]]\nname = \"d{round}.example\"\nprimary = \"[127.0.0.1]:9\"\n[limits]\nrecipients = {}",
                100 + round
            );
            daemon.configure(&DaemonOptions { tables, ..DaemonOptions::default() });
            daemon.signal(Signal::SIGHUP);
            connect(daemon.ports().smtp).expect("ETRN example.org", "25");
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::SeqCst);
    });
    connect(daemon.ports().smtp).expect("ETRN example.org", "25");
    assert!(eventually(LONG, || daemon.waiting("example.org") == 0));
    let mut contents: Vec<_> = sink.accepted().into_iter().map(|message| message.content).collect();
    assert_eq!(contents.len(), taken.load(Ordering::SeqCst));
    contents.sort_unstable();
    contents.dedup();
    assert_eq!(contents.len(), taken.load(Ordering::SeqCst), "each once");
}
