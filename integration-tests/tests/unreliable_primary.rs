//! Thousands of messages through a primary that fails at random, with the daemon killed on the way: each recipient is
//! delivered once or reported once.
//!
//! `RESTANTE_UNRELIABLE=10000` is how many messages; 2,000 without it. What the primary does goes by `RESTANTE_SEED` (42).
//! The same without a kill, with 600 messages or as many, shows that only a kill has anything delivered twice.

#[path = "unreliable/primary.rs"]
mod primary;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use primary::{Books, Primary, WHIMS};
use restante_integration_tests::faults::{number, say};
use restante_integration_tests::{
    Behaviour, Client, Daemon, DaemonOptions, Sink, connect, eventually, sample,
};

const LIMIT: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 4;
/// The daemon is killed once for so many messages, and twice at least.
const A_KILL_EACH: usize = 1_000;
/// The most messages of one drain that are handed out and not recorded yet, on all its connections; see delivery's limits.
const UNRECORDED: usize = 1024;

/// How long a message is, by its number.
fn size(number: usize) -> usize {
    300 + (number % 40) * 150
}

/// Whom a message is for. What becomes of each is in its name.
fn recipients(number: usize) -> Vec<String> {
    let kind = |index: usize| match (number + index) % 10 {
        _ if number % 25 == 7 => "late",
        3 | 7 => "no",
        5 => "slow",
        _ => "ok",
    };
    (0..=number % 4).map(|index| format!("{}-{number}-{index}@example.org", kind(index))).collect()
}

fn sender(number: usize) -> String {
    format!("s{}@example.com", number % 30)
}

/// Hands in so many messages over several connections at once; each is acknowledged.
fn fill(daemon: &Daemon, count: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = connect(daemon.ports().smtp);
                client.say("EHLO client.example");
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    hand_in(&mut client, number);
                }
            });
        }
    });
}

/// In one go, as a client does that knows PIPELINING.
fn hand_in(client: &mut Client, number: usize) {
    let (content, to) = (sample(number, size(number)), recipients(number));
    let mut octets = format!("MAIL FROM:<{}>\r\n", sender(number)).into_bytes();
    for recipient in &to {
        octets.extend_from_slice(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
    }
    octets.extend_from_slice(format!("BDAT {} LAST\r\n", content.len()).as_bytes());
    octets.extend_from_slice(&content);
    client.raw(&octets);
    for _ in 0..to.len() + 2 {
        let reply = client.reply();
        assert!(reply.starts_with("250"), "message {number}: {reply:?}");
    }
}

fn ask(daemon: &Daemon, domain: &str) {
    let mut client = connect(daemon.ports().smtp);
    client.say("EHLO client.example");
    client.say(&format!("ETRN {domain}"));
}

/// Asks until so many recipients were taken.
fn drive(daemon: &Daemon, primary: &Primary, enough: usize, limit: Duration) {
    let began = Instant::now();
    while primary.shared.count() < enough {
        assert!(began.elapsed() < limit, "{} of {enough} were taken", primary.shared.count());
        ask(daemon, "example.org");
        eventually(Duration::from_millis(250), || primary.shared.count() >= enough);
    }
}

/// Asks until nothing is left, told of or not.
fn finish(daemon: &Daemon, limit: Duration) {
    let began = Instant::now();
    while daemon.waiting("example.org") > 0 || !daemon.json(&["list", "--domain", "example.org"]).is_empty() {
        assert!(began.elapsed() < limit, "{:?}", daemon.json(&["status", "example.org"]));
        ask(daemon, "example.org");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Who was reported, and how often, by the notices that wait for the senders' server.
fn reported(daemon: &Daemon) -> BTreeMap<String, usize> {
    let sink = Sink::start(daemon.ports().com, Behaviour::default());
    let all = || {
        ask(daemon, "example.com");
        std::thread::sleep(Duration::from_millis(200));
        daemon.waiting("example.com") == 0
    };
    assert!(eventually(LIMIT, all), "{} notices wait", daemon.waiting("example.com"));
    let mut reported = BTreeMap::new();
    for notice in sink.accepted() {
        assert!(notice.mail.contains("<>"), "{}", notice.mail);
        let text = String::from_utf8(notice.content).expect("a notice is text");
        assert_eq!(text.matches("Action: failed").count(), text.matches("Final-Recipient:").count());
        for recipient in text.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; ")) {
            // To its sender, and to nobody else.
            let number =
                recipient.split('-').nth(1).and_then(|number| number.parse().ok()).expect("a number");
            assert!(notice.recipients[0].contains(&sender(number)), "{recipient}: {:?}", notice.recipients);
            *reported.entry(recipient.to_owned()).or_default() += 1;
        }
    }
    reported
}

// [3461-5.2.6]
#[test]
fn each_recipient_is_delivered_once_or_reported_once() {
    let count = messages(2_000);
    run("with kills", count, (count / A_KILL_EACH).max(2), 80);
}

// [3461-5.2.6]
#[test]
fn without_a_kill_nothing_is_doubled() {
    run("without a kill", messages(600), 0, 32);
}

fn messages(usual: u64) -> usize {
    usize::try_from(number("RESTANTE_UNRELIABLE", usual)).expect("not so many")
}

/// So many messages through a primary of whose commands one in so many goes wrong, with so many kills on the way.
fn run(what: &str, count: usize, kills: usize, one_in: u64) {
    let seed = number("RESTANTE_SEED", 42);
    say(&format!("RESTANTE_SEED={seed}, {what}"));
    let limit = LIMIT * u32::try_from(1 + count / 1_000).expect("not so many");
    let options = DaemonOptions {
        defaults: "notices = \"all\"".to_owned(),
        org: format!("circuit = []\nconnections = {CONNECTIONS}"),
        ..DaemonOptions::default()
    };
    let mut daemon = Daemon::start(&options);
    let began = Instant::now();
    fill(&daemon, count);
    let filled = began.elapsed();
    let primary = Primary::start(daemon.ports().org, seed, one_in);
    let all: Vec<String> = (0..count).flat_map(recipients).collect();
    let wanted = all.iter().filter(|name| good(name)).count();
    for kill in 1..=kills {
        drive(&daemon, &primary, wanted * kill / (kills + 1), limit);
        daemon.kill();
        daemon.run();
        primary.shared.life.store(kill, Ordering::SeqCst);
    }
    finish(&daemon, limit);
    let reported = reported(&daemon);
    say(&format!(
        "{what}: {count} messages, {kills} kills, in {:?} ({filled:?} to take them)",
        began.elapsed()
    ));
    let held = daemon.json(&["list"]).len();
    account(what, &all, &primary.shared.books.lock().expect("no session panics"), &reported, held, kills);
}

/// Whether somebody is to be delivered; everybody else is to be reported.
fn good(name: &str) -> bool {
    name.starts_with("ok-") || name.starts_with("slow-")
}

/// Every recipient is looked for on both sides.
fn account(
    what: &str,
    all: &[String],
    books: &Books,
    reported: &BTreeMap<String, usize>,
    held: usize,
    kills: usize,
) {
    let taken = |name: &str| books.taken.get(name);
    let told = |name: &str| reported.get(name).copied().unwrap_or(0);
    let lost: Vec<_> = all.iter().filter(|name| taken(name).is_none() && told(name) == 0).collect();
    let doubled: usize = books.taken.values().map(|lives| lives.len() - 1).sum();
    let otherwise = books.taken.values().filter(|lives| in_one_life(lives)).count();
    say(&format!(
        "{what}: {} recipients accepted, {} delivered, {} reported, {held} held, {} lost, {doubled} doubled ({otherwise} \
         without a kill between), {} reported twice\nwhat went wrong: {:?}",
        all.len(),
        books.taken.len(),
        reported.len(),
        lost.len(),
        reported.values().filter(|count| **count > 1).count(),
        books.whims
    ));
    assert_eq!(held, 0, "everything was drained");
    assert_eq!(books.broken, 0, "every message came as it was sent");
    assert!(
        lost.is_empty(),
        "neither delivered nor reported: {:?}",
        lost.iter().take(10).collect::<Vec<_>>()
    );
    for name in all {
        let once = (taken(name).is_some(), told(name));
        assert_eq!(once, if good(name) { (true, 0) } else { (false, 1) }, "{name}");
    }
    assert_eq!(books.taken.len() + reported.len(), all.len(), "nobody else");
    // What was taken and not yet written down when it was killed comes again; nothing else does.
    for (name, lives) in &books.taken {
        assert!(!in_one_life(lives), "{name} came twice without a kill between: {lives:?}");
    }
    assert!(doubled <= kills * UNRECORDED, "{doubled} came twice");
    for whim in WHIMS {
        assert!(books.whims.contains_key(whim), "{whim} did not happen: {:?}", books.whims);
    }
}

/// Whether one life of the daemon delivered the same twice.
fn in_one_life(lives: &[usize]) -> bool {
    lives.iter().collect::<BTreeSet<_>>().len() < lives.len()
}

/// Where too many are refused nothing is bounced: all wait, and all go once somebody has looked.
#[test]
fn where_too_many_are_refused_all_wait_and_all_go_later() {
    const COUNT: usize = 150;
    let options = DaemonOptions {
        defaults: "notices = \"all\"".to_owned(),
        org: "circuit = [\"3/10\", \"10/100\"]\nconnections = 2".to_owned(),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&options);
    fill(&daemon, COUNT);
    let primary = Primary::start(daemon.ports().org, 7, 0);
    let held = || daemon.json(&["status", "example.org"])[0]["hold"].to_string();
    let opened = || {
        ask(&daemon, "example.org");
        std::thread::sleep(Duration::from_millis(100));
        daemon.log().contains("circuit_open")
    };
    assert!(eventually(LIMIT, opened), "{} {}", primary.shared.count(), held());
    let failed = || daemon.json(&["list", "--domain", "example.org", "--state", "failed"]).len();
    assert!(eventually(LIMIT, || failed() == 0), "{} are still parked as failed", failed());
    let taken = primary.shared.count();
    ask(&daemon, "example.org");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(primary.shared.count(), taken, "it is stopped");
    assert_eq!(daemon.waiting("example.com"), 0, "nobody was told");

    primary.shared.strict.store(false, Ordering::SeqCst);
    assert!(daemon.admin(&["release", "example.org"]).status.success());
    let wanted = (0..COUNT).flat_map(recipients).count();
    let through = || {
        ask(&daemon, "example.org");
        std::thread::sleep(Duration::from_millis(100));
        primary.shared.count() == wanted
    };
    assert!(eventually(LIMIT, through), "{} of {wanted}: {}", primary.shared.count(), held());
    assert!(eventually(LIMIT, || daemon.waiting("example.org") == 0));
    let books = primary.shared.books.lock().expect("no session panics");
    let doubled: usize = books.taken.values().map(|lives| lives.len() - 1).sum();
    say(&format!(
        "too many refused, {taken} taken before it was held: {wanted} recipients accepted, {} delivered, {} held, {} lost, \
         {doubled} doubled",
        books.taken.len(),
        daemon.waiting("example.org"),
        wanted - books.taken.len()
    ));
    assert!(books.taken.values().all(|lives| lives.len() == 1), "and none twice");
    assert_eq!(books.broken, 0);
    assert!(taken < wanted / 2, "{taken}");
    assert!(daemon.json(&["list"]).is_empty(), "nothing is left, and nobody was told");
}
