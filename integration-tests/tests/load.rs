//! Crowds: many connections, slow ones, floods, large messages. Memory and descriptors are bounded by a formula that
//! stands at each test, others are served meanwhile, limits answer as configured, and everything is given back.
//!
//! `RESTANTE_LOAD=full` makes the sizes those of the promise: 50 MB on each of 200 connections.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use restante_integration_tests::hostile::{Crowd, Usage, crawl, usage};
use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Provider, Sink, binary, connect, eventually, sample,
};

const LONG: Duration = Duration::from_secs(60);
/// Whoever is no part of the crowd is served within this; on a quiet machine it takes milliseconds.
const SERVED: Duration = Duration::from_secs(5);
const HELLO: &[u8] = b"EHLO client.example\r\n";

/// One crowd at a time: memory is measured.
static ALONE: Mutex<()> = Mutex::new(());

fn full() -> bool {
    std::env::var("RESTANTE_LOAD").is_ok_and(|value| value == "full")
}

fn used(daemon: &Daemon) -> Usage {
    usage(daemon.pid()).expect("it runs")
}

/// Sends a message and takes leave; how long that took.
fn probe(port: u16, to: &str) -> Duration {
    let began = Instant::now();
    let mut client = connect(port);
    client.expect("EHLO probe.example", "250");
    let reply = client.send("a@sender.example", &[to], &sample(7, 2000));
    assert!(reply.starts_with("250"), "{reply}");
    client.expect("QUIT", "221");
    began.elapsed()
}

/// The slowest of some probes.
fn probes(port: u16, count: usize) -> Duration {
    let slowest = (0..count).map(|_| probe(port, "b@example.org")).max().unwrap_or_default();
    assert!(slowest < SERVED, "somebody else waited {slowest:?}");
    slowest
}

/// A warm daemon's usage: threads, buffers and caches are there.
fn warm(daemon: &Daemon) -> Usage {
    probes(daemon.ports().smtp, 20);
    used(daemon)
}

/// Descriptors are back, and memory is not far.
fn given_back(daemon: &Daemon, before: Usage) {
    let files = eventually(LONG, || used(daemon).files <= before.files + 8);
    assert!(files, "{:?}, before {before:?}", used(daemon));
}

/// The default limits: 2000 on a listener, 50 from one address. A session that waits has at most 16 KiB, one that sends
/// a message at most 160 KiB besides, of which the content in flight is bounded by the store's budget.
#[test]
fn two_thousand_at_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let other = restante_integration_tests::free_port();
    let mut tables = String::new();
    write!(tables, "[[listen]]\naddress = \"127.0.0.1:{other}\"\n").expect("a string");
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let port = daemon.ports().smtp;
    let before = warm(&daemon);

    let began = Instant::now();
    let mut crowd = Crowd::arrive(port, 2000, 50, 81);
    assert_eq!(crowd.greeted("220"), 2000, "the default limit");
    let idle = used(&daemon);
    println!(
        "2000 connected in {:?}: {} KiB and {} descriptors more",
        began.elapsed(),
        idle.resident - before.resident,
        idle.files - before.files
    );
    assert!(idle.resident - before.resident < 2000 * 16, "{before:?} {idle:?}");
    assert!(idle.files - before.files <= 2000 + 16, "{before:?} {idle:?}");

    // From an address with 50 already it is that; from a new one the listener is full.
    assert_eq!(Crowd::arrive(port, 3, 50, 81).greeted("421 4.7.0"), 3);
    assert_eq!(Crowd::arrive(port, 3, 50, 82).greeted("421 4.3.2"), 3);
    let slowest = probes(other, 10);
    println!("the other listener meanwhile: {slowest:?} at most");

    assert_eq!(crowd.say(HELLO, 1, "250"), 2000);
    let envelope = b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\n";
    let content = sample(3, 20_000);
    let message = [envelope, format!("BDAT {} LAST\r\n", content.len()).as_bytes(), &content].concat();
    let began = Instant::now();
    assert_eq!(crowd.say(&message, 3, "250 2.0.0 queued"), 2000);
    let busy = used(&daemon);
    println!(
        "2000 messages of 20 kB at once in {:?}: {} KiB more at most",
        began.elapsed(),
        busy.peak - before.resident
    );
    assert!(busy.peak - before.resident < 2000 * (16 + 160), "{before:?} {busy:?}");
    assert_eq!(daemon.waiting("example.org"), 2000 + 20 + 10);

    drop(crowd);
    given_back(&daemon, before);
    probes(port, 3);
    println!("accepted 2033, delivered 0, held {}, lost 0, doubled 0", daemon.waiting("example.org"));
}

/// Two hundred that send an octet a second, in the envelope and in the content, and one primary that reads an octet a
/// second: neither costs others anything.
#[test]
fn the_slow_hold_up_nobody() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let tables = "mode = \"push\"\n[limits]\nconnections-per-client = 300\n".to_owned();
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let port = daemon.ports().smtp;
    let before = warm(&daemon);
    crawl(daemon.ports().org);
    let sink = Sink::start(daemon.ports().com, Behaviour::default());
    connect(port).expect("ETRN example.org", "253");

    let mut words = Crowd::arrive(port, 100, 100, 83);
    let mut content = Crowd::arrive(port, 100, 100, 84);
    assert_eq!(content.say(b"HELO slow.example\r\nMAIL FROM:<a@sender.example>\r\n", 2, "250"), 100);
    assert_eq!(content.say(b"RCPT TO:<b@example.org>\r\nDATA\r\n", 2, "354"), 100);
    let (second, last) = (Duration::from_secs(1), Duration::from_secs(8));
    let mut sent = 0;
    let slowest = words.dribble(HELLO, second, last, || {
        content.dribble(b"slowly\r\n", second, last, || {
            let (began, mut slowest) = (Instant::now(), Duration::ZERO);
            while began.elapsed() < last {
                slowest = slowest.max(probe(port, "c@example.com"));
                sent += 1;
            }
            slowest
        })
    });
    assert!(slowest < SERVED, "somebody else waited {slowest:?}");
    let delivered = eventually(LONG, || sink.count() == sent);
    let slow = used(&daemon);
    println!(
        "200 slow senders and a slow primary: {sent} others accepted, the slowest in {slowest:?}, {} delivered, {} KiB more",
        sink.count(),
        slow.resident.saturating_sub(before.resident)
    );
    assert!(delivered, "{} of {sent} at the other primary", sink.count());
    assert!(slow.resident.saturating_sub(before.resident) < 200 * 64 + 32 * 1024, "{before:?} {slow:?}");
    assert_eq!(daemon.waiting("example.org"), 20, "held while their primary crawls");
    // They end their content after all: each is one message.
    assert_eq!(content.say(b"\r\n.\r\n", 1, "250 2.0.0 queued"), 100);
    assert_eq!(daemon.waiting("example.org"), 120);
    println!("accepted {}, delivered {sent}, held 120, lost 0, doubled 0", sent + 120);
}

/// Connections that come faster than they are served: each is answered, nobody stays, and mail flows.
#[test]
fn floods_are_turned_away() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let tables = "[limits]\nconnections = 300\nconnections-per-client = 20\n".to_owned();
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let port = daemon.ports().smtp;
    let before = warm(&daemon);
    let one = Crowd::arrive(port, 1000, 1000, 85);
    assert_eq!((one.greeted("220"), one.greeted("421 4.7.0")), (20, 980));
    let slowest = probes(port, 10);
    println!("a flood from one address: 20 in, 980 turned away, others in {slowest:?}");
    drop(one);
    assert!(eventually(LONG, || used(&daemon).files <= before.files + 8));
    let many = Crowd::arrive(port, 1000, 10, 86);
    assert_eq!((many.greeted("220"), many.greeted("421 4.3.2")), (300, 700));
    drop(many);
    given_back(&daemon, before);
    // One after the other, as fast as they come.
    let began = Instant::now();
    let mut greeted = 0;
    while began.elapsed() < Duration::from_secs(3) {
        let crowd = Crowd::arrive(port, 100, 10, 87);
        greeted += crowd.greeted("220") + crowd.greeted("421");
    }
    let after = used(&daemon);
    println!("{greeted} connections in 3 s, {} KiB more", after.resident.saturating_sub(before.resident));
    assert!(greeted >= 300, "{greeted}");
    assert!(after.resident.saturating_sub(before.resident) < 300 * 16 + 16 * 1024, "{before:?} {after:?}");
    given_back(&daemon, before);
    probes(port, 3);
    assert_eq!(daemon.waiting("example.org"), 20 + 10 + 3, "accepted 33, held 33, lost 0, doubled 0");
}

/// A large message costs a session its buffers, not its size: 1 MiB each, and 64 MiB for all that are in memory on
/// their way to the disk.
#[test]
fn large_messages_go_past_the_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (senders, size) = if full() { (200, 50_000_000) } else { (12, 20_000_000) };
    let tables =
        "[limits]\nconnections-per-client = 300\nmessage-size = \"50 MB\"\ndisk-low-water = \"1 GB\"\n"
            .to_owned();
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let port = daemon.ports().smtp;
    let before = warm(&daemon);
    let piece = [&b"x".repeat(78)[..], b"\r\n"].concat().repeat(1250);
    let pieces = size / piece.len() - 1;
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..senders)
            .map(|number| {
                let piece = &piece;
                scope.spawn(move || {
                    let mut client = connect(port);
                    client.expect("EHLO client.example", "250");
                    client.expect("MAIL FROM:<a@sender.example>", "250");
                    client.expect("RCPT TO:<b@example.org>", "250");
                    let total = pieces * piece.len();
                    let by_data = number % 2 == 0;
                    if by_data {
                        client.expect("DATA", "354");
                    } else {
                        client.raw(format!("BDAT {total} LAST\r\n").as_bytes());
                    }
                    for _ in 0..pieces {
                        client.raw(piece);
                    }
                    if by_data {
                        client.raw(b".\r\n");
                    }
                    patient(&mut client)
                })
            })
            .collect();
        while all.iter().any(|thread| !thread.is_finished()) {
            slowest = slowest.max(probe(port, "c@example.com"));
        }
        for thread in all {
            let reply = thread.join().expect("a sender does not panic");
            assert!(reply.starts_with("250 2.0.0 queued"), "{reply}");
        }
    });
    let peak = used(&daemon).peak - before.resident;
    println!(
        "{senders} of {size} octets in {:?}: {peak} KiB more at most, others in {slowest:?}",
        began.elapsed()
    );
    assert!(peak < senders as u64 * 1024 + 64 * 1024, "{peak} KiB");
    assert!(slowest < 4 * SERVED, "somebody else waited {slowest:?}");
    assert_eq!(daemon.waiting("example.org"), senders as u64 + 20);
    given_back(&daemon, before);
    println!("accepted {}, held {}, lost 0, doubled 0", senders + 20, daemon.waiting("example.org"));
}

/// The end of a large message takes as long as the disk does.
fn patient(client: &mut restante_integration_tests::Client) -> String {
    let mut reply = String::new();
    let _ = eventually(LONG, || {
        reply = client.reply();
        !reply.is_empty()
    });
    reply
}

/// Whoever takes all 64 connections of the admin socket and says nothing, in whole or in the middle of a request, is put
/// out after a while, and the administrator's own command comes through.
#[test]
fn the_admin_socket_outlives_those_who_sit_on_it() {
    let daemon = Daemon::start(&DaemonOptions::default());
    let before = warm(&daemon);
    let socket = daemon.dir().join("run/admin.sock");
    let sitting: Vec<_> = (0..64)
        .map(|number| {
            let mut stream = UnixStream::connect(&socket).expect("it listens");
            if number % 2 == 1 {
                stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("it is read");
            }
            stream
        })
        .collect();
    let began = Instant::now();
    let status = daemon.admin(&["status"]);
    println!("status beside 64 idle connections: {:?}, {:?}", status.status.code(), began.elapsed());
    let works = status.status.success() || eventually(LONG, || daemon.admin(&["status"]).status.success());
    assert!(works, "{}", String::from_utf8_lossy(&status.stderr));
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    probes(daemon.ports().smtp, 3);
    drop(sitting);
    given_back(&daemon, before);
}

/// Mail that comes in faster than an export writes it out: the export ends, and has what was held when it began.
#[test]
fn an_export_does_not_run_after_what_comes_in() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let daemon = Daemon::start(&DaemonOptions::default());
    let (port, out, stop) = (daemon.ports().smtp, daemon.dir().join("out"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let pour = || {
            let mut client = connect(port);
            client.expect("EHLO client.example", "250");
            while !stop.load(Ordering::SeqCst) {
                let reply = client.send("a@sender.example", &["b@example.org"], &sample(1, 900));
                assert!(reply.starts_with("250"), "{reply}");
            }
        };
        (0..4).for_each(|_| drop(scope.spawn(pour)));
        assert!(eventually(LONG, || daemon.waiting("example.org") > 100));
        let before = daemon.waiting("example.org");
        let (began, path) = (Instant::now(), out.display().to_string());
        let mut export = Command::new(binary())
            .args(["export", "--all", "--format", "eml", "--output", &path, "--config"])
            .arg(daemon.config())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let ended = eventually(LONG, || export.try_wait().is_ok_and(|ended| ended.is_some()));
        let (took, after) = (began.elapsed(), daemon.waiting("example.org"));
        stop.store(true, Ordering::SeqCst);
        let _ = export.kill();
        let files = std::fs::read_dir(&out).expect("it is there").count() as u64;
        println!("{before} held, {files} exported in {took:?}, {} came in meanwhile", after - before);
        assert!(ended && export.wait().is_ok_and(|status| status.success()));
        assert!(files >= before && after > files, "{before} {files} {after}");
    });
}

/// Slow and endless beginnings on the port for on-demand mail relay: half a TLS greeting, nothing at all, one octet after
/// the other, and passwords tried as fast as they are answered. Mail comes in, and who has the password collects.
#[test]
fn the_odmr_port_under_siege() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let tables = "[limits]\nconnections-per-client = 400\n".to_owned();
    let provider = Provider::start(
        DaemonOptions { tables, ..DaemonOptions::default() },
        "tls = \"starttls\"",
        &["--allow-cleartext", "--legacy-cram-md5"],
    );
    let sent = provider.fill((0..5).map(|seed| 900 + seed));
    let daemon = &provider.daemon;
    let before = warm(daemon);
    let mut silent = Crowd::arrive(provider.odmr(), 200, 200, 88);
    let mut shaking = Crowd::arrive(provider.odmr(), 100, 100, 89);
    assert_eq!(shaking.say(b"EHLO client.example\r\nSTARTTLS\r\n", 1, "250"), 100);
    let mut guessing = Crowd::arrive(provider.odmr(), 100, 100, 90);
    assert_eq!(guessing.say(HELLO, 1, "250"), 100);
    let letter = Sink::start(0, Behaviour::default());
    let (second, last) = (Duration::from_millis(900), Duration::from_secs(6));
    let (slowest, tried) = silent.dribble(HELLO, second, last, || {
        shaking.dribble(b"\x16\x03\x01\x02\x00\x01", second, last, || {
            let tried = guess(&mut guessing);
            (probes(daemon.ports().smtp, 10), tried)
        })
    });
    let agent = provider.agent(&format!("127.0.0.1:{}", letter.port()), "");
    let (code, said) = agent.collected();
    println!(
        "passwords tried: {tried:?}; 200 slow and 100 in the middle of a handshake: others in {slowest:?}, the customer: {said}"
    );
    let refused: usize =
        tried.iter().filter(|(reply, _)| reply.starts_with("535")).map(|(_, count)| count).sum();
    // Each of the 800 is answered; ten are looked at, however many connections the network has.
    let later: usize =
        tried.iter().filter(|(reply, _)| reply.starts_with("454")).map(|(_, count)| count).sum();
    assert_eq!((refused, later), (10, 790), "{tried:?}");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(letter.count(), sent.len() + 30);
    let after = used(daemon);
    assert!(after.resident.saturating_sub(before.resident) < 400 * 64 + 64 * 1024, "{before:?} {after:?}");
    drop((silent, shaking, guessing));
    given_back(daemon, before);
    println!("accepted {}, delivered {}, held 0, lost 0, doubled 0", sent.len() + 30, letter.count());
}

/// Everybody tries one password after the other until the server has enough; how often it said what.
fn guess(crowd: &mut Crowd) -> BTreeMap<String, usize> {
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..8 {
        crowd.say(b"AUTH CRAM-MD5\r\n", 1, "334");
        // An answer to a challenge that nobody can know.
        for reply in crowd.hear(b"ZXhhbXBsZS1vcmcgMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\r\n", 1) {
            *heard.entry(reply.chars().take(9).collect()).or_default() += 1;
        }
    }
    assert!(!heard.keys().any(|reply| reply.starts_with("235")), "nobody gets in");
    heard
}

/// The descriptors of the systemd unit are enough for its limits: 2000 on each of two listeners.
#[test]
fn the_units_limit_on_descriptors_is_enough() {
    let unit = include_str!("../../etc/restante.service");
    let limit: u64 = unit
        .lines()
        .find_map(|line| line.strip_prefix("LimitNOFILE="))
        .and_then(|limit| limit.parse().ok())
        .expect("the unit has a limit");
    // Two listeners full, each session with a file for its large content; 1000 drains of 8 connections with the content
    // they read; segments kept open.
    assert!(limit >= 2 * 2 * 2000 + 2 * 1000 * 8 + 1024, "{limit}");
}

/// Out of descriptors the server waits, serves whom it has, and goes on when there are some again.
#[test]
fn out_of_descriptors_is_no_end() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let tables = "[limits]\nconnections-per-client = 2000\n".to_owned();
    let daemon = Daemon::start(&DaemonOptions { tables, ..DaemonOptions::default() });
    let limited =
        Command::new("prlimit").args([&format!("--pid={}", daemon.pid()), "--nofile=160:160"]).status();
    assert!(limited.is_ok_and(|status| status.success()), "prlimit is part of util-linux");
    let port = daemon.ports().smtp;
    let before = warm(&daemon);
    let mut first = connect(port);
    first.expect("EHLO client.example", "250");
    let crowd: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    std::thread::sleep(Duration::from_secs(1));
    let full = used(&daemon);
    assert!(full.files <= 164, "{full:?}");
    let reply = first.send("a@sender.example", &["b@example.org"], &sample(1, 900));
    assert!(reply.starts_with('2') || reply.starts_with('4'), "{reply}");
    let busy = usage(daemon.pid()).expect("it lives");
    drop(crowd);
    given_back(&daemon, before);
    probes(port, 5);
    println!(
        "400 connections against 160 descriptors: {busy:?}, then served again; the one inside heard {reply}"
    );
}
