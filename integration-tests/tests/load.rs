//! Crowds: many connections, slow ones, floods, large messages. Memory and descriptors are bounded by a formula that
//! stands at each test, others are served meanwhile, limits answer as configured, and everything is given back. Of each
//! message it is known by its id what became of it.
//!
//! `RESTANTE_LOAD=full` makes the sizes those of the promise: 50 MB on each of 200 connections.

#[path = "load/bounds.rs"]
mod bounds;

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use restante_integration_tests::faults::say;
use restante_integration_tests::hostile::{Crawler, Crowd, Slow, Usage, usage};
use restante_integration_tests::{
    Behaviour, Daemon, DaemonOptions, Sink, Tally, connect, eventually, free_port, no_dns, sample,
};

const LONG: Duration = Duration::from_secs(60);
/// Whoever is no part of the crowd is served within this: on a quiet machine in milliseconds, behind a busy disk in seconds.
/// The crowd stays until then, so that whoever were held up by it would be served never.
const SERVED: Duration = Duration::from_secs(30);
const HELLO: &[u8] = b"EHLO client.example\r\n";
/// Between two octets of whoever is slow.
const SECOND: Duration = Duration::from_secs(1);

/// One crowd at a time: what others wait for is measured.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn full() -> bool {
    std::env::var("RESTANTE_LOAD").is_ok_and(|value| value == "full")
}

/// A daemon of which these tables are part, and which need not wait for the DNS.
fn options(tables: &str) -> DaemonOptions {
    let tables = format!("{tables}\n[dns]\nservers = [\"{}\"]\n", no_dns());
    DaemonOptions { tables, ..DaemonOptions::default() }
}

fn used(daemon: &Daemon) -> Usage {
    usage(daemon.pid()).expect("it runs")
}

/// Sends a message and takes leave; how long that took.
fn probe(port: u16, to: &str, tally: &Tally) -> Duration {
    let began = Instant::now();
    let mut client = connect(port);
    client.expect("EHLO probe.example", "250");
    let reply = client.send("a@sender.example", &[to], &sample(7, 2000));
    assert!(tally.note(&reply), "{reply}");
    client.expect("QUIT", "221");
    began.elapsed()
}

/// The slowest of some probes.
fn probes(port: u16, count: usize, tally: &Tally) -> Duration {
    let slowest = (0..count).map(|_| probe(port, "b@example.org", tally)).max().unwrap_or_default();
    assert!(slowest < SERVED, "somebody else waited {slowest:?}");
    slowest
}

/// A warm daemon's usage: threads, buffers and caches are there. Twenty messages are held.
fn warm(daemon: &Daemon, tally: &Tally) -> Usage {
    for _ in 0..20 {
        probe(daemon.ports().smtp, "b@example.org", tally);
    }
    used(daemon)
}

/// Descriptors are back. Of the memory so many KiB may be kept for the next crowd.
fn given_back(daemon: &Daemon, before: Usage, kept: u64) {
    let back = |now: Usage| now.files <= before.files + 8 && now.resident <= before.resident + kept;
    let given = eventually(LONG, || back(used(daemon)));
    let after = used(daemon);
    say(&format!("given back: {} KiB kept", after.resident.saturating_sub(before.resident)));
    assert!(given, "{after:?}, before {before:?}, {kept} KiB may be kept");
}

/// The default limits: 2000 on a listener, 50 from one address. A session that waits has at most 16 KiB, one that sends
/// a message at most 160 KiB besides, of which the content in flight is bounded by the store's budget.
#[test]
fn two_thousand_at_once() {
    let (other, tally) = (free_port(), Tally::default());
    let mut tables = String::new();
    write!(tables, "[[listen]]\naddress = \"127.0.0.1:{other}\"\n").expect("a string");
    let daemon = Daemon::start(&options(&tables));
    let port = daemon.ports().smtp;
    let before = warm(&daemon, &tally);
    let _alone = alone();

    let began = Instant::now();
    let mut crowd = Crowd::arrive(port, 2000, 50, 81);
    assert_eq!(crowd.greeted("220"), 2000, "the default limit");
    let idle = used(&daemon);
    say(&format!(
        "2000 connected in {:?}: {} KiB and {} descriptors more",
        began.elapsed(),
        idle.resident - before.resident,
        idle.files - before.files
    ));
    assert!(idle.resident - before.resident < 2000 * 16, "{before:?} {idle:?}");
    assert!(idle.files - before.files <= 2000 + 16, "{before:?} {idle:?}");

    // From an address with 50 already it is that; from a new one the listener is full.
    assert_eq!(Crowd::arrive(port, 3, 50, 81).greeted("421 4.7.0"), 3);
    assert_eq!(Crowd::arrive(port, 3, 50, 82).greeted("421 4.3.2"), 3);
    let slowest = probes(other, 10, &tally);
    say(&format!("the other listener meanwhile: {slowest:?} at most"));

    assert_eq!(crowd.say(HELLO, 1, "250"), 2000);
    let envelope = b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\n";
    let content = sample(3, 20_000);
    let message = [envelope, format!("BDAT {} LAST\r\n", content.len()).as_bytes(), &content].concat();
    let began = Instant::now();
    assert_eq!(crowd.hear(&message, 3).iter().filter(|reply| tally.note(reply)).count(), 2000);
    let busy = used(&daemon);
    let most = 2000 * (16 + 160);
    say(&format!(
        "2000 messages of 20 kB at once in {:?}: {} KiB more at most",
        began.elapsed(),
        busy.peak - before.resident
    ));
    assert!(busy.peak - before.resident < most, "{before:?} {busy:?}");
    drop(crowd);
    given_back(&daemon, before, most / 2);
    probes(port, 3, &tally);
    let sums = tally.account("two thousand at once", &daemon, []);
    assert_eq!((sums.accepted, sums.held), (2033, 2033));
}

/// Octets of a message that a slow receiver does not see the end of.
const LARGE: usize = 3_000_000;

/// The slow receivers: of each a domain of its own, and what it does slowly. A primary that reads an octet a second, by
/// DATA or by BDAT, or that takes all and answers an octet a second.
fn crawlers() -> Vec<(String, u16, Slow)> {
    let kinds = [Slow::Data, Slow::Chunk, Slow::Answer].into_iter().cycle();
    kinds
        .take(9)
        .enumerate()
        .map(|(number, slow)| (format!("slow{number}.example"), free_port(), slow))
        .collect()
}

/// One message to each.
fn begin(port: u16, slow: &[(String, u16, Slow)], tally: &Tally) {
    for (domain, _, kind) in slow {
        let mut client = connect(port);
        client.expect("EHLO client.example", "250");
        let size = if *kind == Slow::Answer { 20_000 } else { LARGE };
        let reply = client.send("a@sender.example", &[&format!("b@{domain}")], &sample(5, size));
        assert!(tally.note(&reply), "{reply}");
    }
}

/// How far they are: connections, and octets of content, of whoever has the fewest.
fn progress(crawling: &[Crawler]) -> (usize, u64) {
    let connections = crawling.iter().map(Crawler::connections).min().unwrap_or_default();
    (connections, crawling.iter().map(Crawler::octets).min().unwrap_or_default())
}

/// Two hundred that send an octet a second, in the envelope and in the content, and nine primaries that take a message, or
/// answer it, an octet a second: neither costs others anything, on the way in or out.
#[test]
fn the_slow_hold_up_nobody() {
    let (slow, tally) = (crawlers(), Tally::default());
    let mut tables = "mode = \"push\"\n[limits]\nconnections-per-client = 300\n".to_owned();
    for (domain, port, _) in &slow {
        write!(
            tables,
            "[[domain]]\nname = \"{domain}\"\nmode = \"push\"\nprimary = \"[127.0.0.1]:{port}\"\n"
        )
        .expect("a string");
    }
    let daemon = Daemon::start(&options(&tables));
    let port = daemon.ports().smtp;
    let before = warm(&daemon, &tally);
    let _alone = alone();
    let crawling: Vec<_> = slow.iter().map(|(_, port, slow)| Crawler::start(*port, *slow)).collect();
    let sink = Sink::start(daemon.ports().com, Behaviour::default());
    begin(port, &slow, &tally);

    let mut words = Crowd::arrive(port, 100, 100, 83);
    let mut content = Crowd::arrive(port, 100, 100, 84);
    assert_eq!(content.say(b"HELO slow.example\r\nMAIL FROM:<a@sender.example>\r\n", 2, "250"), 100);
    assert_eq!(content.say(b"RCPT TO:<b@example.org>\r\nDATA\r\n", 2, "354"), 100);
    // As long as all of them are in the middle of it, and at least three seconds of it; others are served until then.
    let (sent, slowest) = words.dribble(HELLO, SECOND, |words| {
        content.dribble(b"slowly", SECOND, |content| {
            let (began, mut sent, mut slowest) = (Instant::now(), 0, Duration::ZERO);
            let crawled = || progress(&crawling).0 >= 1 && progress(&crawling).1 >= 4;
            while sent < 300 || words.least() < 4 || content.least() < 4 || !crawled() {
                assert!(began.elapsed() < 2 * LONG, "{:?}", progress(&crawling));
                slowest = slowest.max(probe(port, "c@example.com", &tally));
                sent += 1;
            }
            assert!(eventually(LONG, || sink.count() == sent), "{} of {sent} delivered", sink.count());
            (sent, slowest)
        })
    });
    assert!(slowest < SERVED, "somebody else waited {slowest:?}");
    let used = used(&daemon);
    let (connections, octets) = progress(&crawling);
    say(&format!(
        "200 slow senders and {} slow primaries, each connected to {connections} times or more and with {octets} octets or \
         more of a message: {sent} others accepted and delivered, the slowest in {slowest:?}, {} KiB more",
        crawling.len(),
        used.resident.saturating_sub(before.resident)
    ));
    assert!(used.resident.saturating_sub(before.resident) < 200 * 64 + 32 * 1024, "{before:?} {used:?}");
    for ((domain, _, kind), crawler) in slow.iter().zip(&crawling) {
        assert!(*kind == Slow::Answer || crawler.octets() < LARGE as u64, "{domain} has all of it");
        assert_eq!(daemon.waiting(domain), 1, "nothing is complete at {domain}");
    }
    // They end their content after all: each is one message.
    assert_eq!(content.hear(b"\r\n.\r\n", 1).iter().filter(|reply| tally.note(reply)).count(), 100);
    drop(crawling);
    let after: Vec<_> = slow.iter().map(|(_, port, _)| Sink::start(*port, Behaviour::default())).collect();
    let rest = || {
        after.iter().all(|sink| sink.count() > 0)
            && slow.iter().all(|(domain, ..)| daemon.waiting(domain) == 0)
    };
    assert!(eventually(2 * LONG, rest), "what was sent slowly does not come when they are quick");
    let arrived = after.iter().chain([&sink]).flat_map(Sink::accepted).map(|message| message.content);
    let sums = tally.account("the slow", &daemon, arrived);
    assert_eq!((sums.delivered, sums.held), (sent + slow.len(), 120));
}

/// Connections that come faster than they are served: each is answered, nobody stays, and mail flows.
#[test]
fn floods_are_turned_away() {
    let tally = Tally::default();
    let daemon = Daemon::start(&options("[limits]\nconnections = 300\nconnections-per-client = 20\n"));
    let port = daemon.ports().smtp;
    let before = warm(&daemon, &tally);
    let _alone = alone();
    let most = 300 * 16 + 16 * 1024;
    let one = Crowd::arrive(port, 1000, 1000, 85);
    assert_eq!((one.greeted("220"), one.greeted("421 4.7.0")), (20, 980));
    let slowest = probes(port, 10, &tally);
    say(&format!("a flood from one address: 20 in, 980 turned away, others in {slowest:?}"));
    drop(one);
    assert!(eventually(LONG, || used(&daemon).files <= before.files + 8));
    let many = Crowd::arrive(port, 1000, 10, 86);
    assert_eq!((many.greeted("220"), many.greeted("421 4.3.2")), (300, 700));
    drop(many);
    given_back(&daemon, before, most);
    // A hundred after the other, as fast as they come.
    let (began, mut greeted, mut refused) = (Instant::now(), 0, 0);
    for _ in 0..100 {
        let crowd = Crowd::arrive(port, 100, 10, 87);
        greeted += crowd.greeted("220");
        refused += crowd.greeted("421");
    }
    let after = used(&daemon);
    say(&format!(
        "10000 connections in {:?}: {greeted} in, {refused} turned away, {} KiB more",
        began.elapsed(),
        after.resident.saturating_sub(before.resident)
    ));
    assert_eq!(greeted + refused, 10_000, "each is answered");
    assert!(greeted >= 300, "{greeted}");
    assert!(after.resident.saturating_sub(before.resident) < most, "{before:?} {after:?}");
    given_back(&daemon, before, most);
    probes(port, 3, &tally);
    let sums = tally.account("floods", &daemon, []);
    assert_eq!((sums.accepted, sums.held), (33, 33));
}

/// A large message costs a session its buffers, not its size: 1 MiB each, and 64 MiB for all that are in memory on
/// their way to the disk.
#[test]
fn large_messages_go_past_the_memory() {
    let (senders, size) = if full() { (200, 50_000_000) } else { (12, 20_000_000) };
    let tables =
        "[limits]\nconnections-per-client = 300\nmessage-size = \"50 MB\"\ndisk-low-water = \"1 GB\"\n";
    let (daemon, tally) = (Daemon::start(&options(tables)), Tally::default());
    let port = daemon.ports().smtp;
    let before = warm(&daemon, &tally);
    let _alone = alone();
    let piece = [&b"x".repeat(78)[..], b"\r\n"].concat().repeat(1250);
    let pieces = size / piece.len() - 1;
    let began = Instant::now();
    let (mut slowest, mut small) = (Duration::ZERO, 0);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..senders)
            .map(|number| {
                let piece = &piece;
                scope.spawn(move || large(port, piece, pieces, number % 2 == 0))
            })
            .collect();
        while all.iter().any(|thread| !thread.is_finished()) {
            slowest = slowest.max(probe(port, "c@example.com", &tally));
            small += 1;
        }
        for thread in all {
            let reply = thread.join().expect("a sender does not panic");
            assert!(tally.note(&reply), "{reply}");
        }
    });
    let peak = used(&daemon).peak - before.resident;
    say(&format!(
        "{senders} of {size} octets in {:?}: {peak} KiB more at most, {small} others in {slowest:?}",
        began.elapsed()
    ));
    let most = senders as u64 * 1024 + 64 * 1024;
    assert!(peak < most, "{peak} KiB");
    assert!(slowest < SERVED, "somebody else waited {slowest:?}");
    assert_eq!(daemon.waiting("example.org"), senders as u64 + 20);
    given_back(&daemon, before, most / 2);
    let sums = tally.account("large messages", &daemon, []);
    assert_eq!((sums.accepted, sums.held), (senders + 20 + small, senders + 20 + small));
}

/// One large message, by DATA or by BDAT; the reply to its end.
fn large(port: u16, piece: &[u8], pieces: usize, by_data: bool) -> String {
    let mut client = connect(port);
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@sender.example>", "250");
    client.expect("RCPT TO:<b@example.org>", "250");
    if by_data {
        client.expect("DATA", "354");
    } else {
        client.raw(format!("BDAT {} LAST\r\n", pieces * piece.len()).as_bytes());
    }
    for _ in 0..pieces {
        client.raw(piece);
    }
    if by_data {
        client.raw(b".\r\n");
    }
    // The end of a large message takes as long as the disk does.
    let mut reply = String::new();
    let _ = eventually(LONG, || {
        reply = client.reply();
        !reply.is_empty()
    });
    reply
}
