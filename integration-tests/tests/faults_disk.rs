//! The disk is full, refuses calls, or gives back other bits than it was given: no 250 without durability, no server
//! that stays away, and damage that is told and stays with its message.
//!
//! `RESTANTE_FAILING_CALLS=n` lets calls fail so often, `RESTANTE_FLIPS=n` flips so many bits, `RESTANTE_BAD_BLOCKS=n` takes
//! so many blocks (20, 12 and 12 if not given), `RESTANTE_SEED=n` begins the chances there.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::libc::{EIO, ENOSPC};
use restante_integration_tests::faults::{
    Account, Call, Chance, FailingCalls, FileSystem, LoopMount, Recipient, Sums, Traffic, may_mount, number,
    say, seed,
};
use restante_integration_tests::{Behaviour, Daemon, DaemonOptions, eventually};

const LONG: Duration = Duration::from_secs(90);

/// What one damaged message may repeat: the state of one recipient may be another than it was, in both queues. Where its
/// content cannot be sent to the end the connection ends, but not before what went before it was answered.
const REPEATED: u32 = 2;

fn options(data_dir: PathBuf, low_water: &str) -> DaemonOptions {
    DaemonOptions {
        data_dir: Some(data_dir),
        tables: format!("[limits]\ndisk-low-water = \"{low_water}\"\n"),
        ..DaemonOptions::default()
    }
}

fn owed(accepted: &BTreeSet<usize>) -> BTreeSet<(usize, Recipient)> {
    accepted.iter().flat_map(|one| Recipient::of(*one).iter().map(|to| (*one, *to))).collect()
}

/// A daemon, its clients and its sinks; brought back like a service manager does it.
struct World {
    traffic: Traffic,
    account: Account,
    daemon: Daemon,
    ended: u32,
}

impl World {
    fn start(daemon: Daemon) -> Self {
        let account = Account::open(&daemon, &Behaviour::default());
        let traffic = Traffic::start(daemon.ports().smtp, 4, Duration::from_millis(3));
        let world = Self { traffic, account, daemon, ended: 0 };
        assert!(eventually(LONG, || world.traffic.count() > 50), "intake stands still");
        world
    }

    /// Mail is accepted again, by this process or the next.
    fn serves(&mut self, what: &str) {
        let before = self.traffic.count();
        let served = eventually(LONG, || {
            if !self.daemon.runs() {
                self.ended += 1;
                std::thread::sleep(Duration::from_millis(500));
                self.daemon.launch();
            }
            self.traffic.count() > before + 10
        });
        assert!(served, "{what}: no mail comes in any more; {}", health(&self.daemon));
    }

    /// What becomes of everything, once nothing fails any more.
    fn finish(&mut self) -> Sums {
        self.traffic.stop();
        assert_eq!(self.traffic.wrong(), Vec::<String>::new(), "nobody is refused for good");
        let accepted = self.traffic.acknowledged();
        // What could not be read while reads failed was set aside as damaged; a start after it looks again.
        self.daemon.kill();
        self.daemon.run();
        let empty = self.account.drain(&self.daemon, &owed(&accepted), LONG);
        let sums = self.account.sums(&accepted, &BTreeSet::new());
        let left = || self.daemon.json(&["list"]).into_iter().next();
        assert!(empty, "the queue does not empty: {sums}; {}; {:?}", health(&self.daemon), left());
        sums
    }
}

fn health(daemon: &Daemon) -> String {
    String::from_utf8_lossy(&daemon.admin(&["health", "--json"]).stdout).into_owned()
}

/// Fills a file system; what it takes until nothing goes in.
fn fill(ballast: &Path) {
    let mut block = 1 << 20;
    let mut at = 0;
    let file = File::create(ballast).expect("the ballast can be made");
    while block >= 512 {
        match file.write_all_at(&vec![1; block], at) {
            Ok(()) => at += block as u64,
            Err(_) => block /= 2,
        }
    }
}

#[test]
fn a_disk_that_is_full() {
    if !may_mount("a_disk_that_is_full", &[FileSystem::Ext4]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let image = dir.path().join("image");
    File::create(&image).and_then(|file| file.set_len(192 << 20)).expect("an image");
    FileSystem::Ext4.make(&image, &["-N", "128", "-m", "0"]);
    let mount = LoopMount::new(&image, FileSystem::Ext4);
    // The mark is so low that the disk is really full, and every write has to fail well.
    let mut world = World::start(Daemon::start(&options(mount.path().join("data"), "4 kB")));
    let (mut full, mut refused) = (0, 0);
    for inodes in [false, true, false, true] {
        let ballast = mount.path().join("ballast");
        std::fs::create_dir(&ballast).expect("a directory");
        let before = world.traffic.refused();
        if inodes {
            let left = (0..).find(|number| File::create(ballast.join(format!("{number}"))).is_err());
            assert!(left.is_some_and(|left| left > 10), "there were inodes to use up: {left:?}");
        } else {
            fill(&ballast.join("octets"));
            let refuses = eventually(LONG, || world.traffic.refused() > before + 20);
            assert!(refuses, "a full disk takes no mail: {} came in", world.traffic.count());
        }
        full += 1;
        // What is held goes out meanwhile.
        let _ = world.daemon.try_etrn("example.org");
        std::thread::sleep(Duration::from_secs(2));
        assert!(world.daemon.runs(), "it ended on a full disk");
        refused += world.traffic.refused() - before;
        std::fs::remove_dir_all(&ballast).expect("the ballast can go");
        world.serves("room again");
    }
    let sums = world.finish();
    say(&format!("disk full {full} times, by space and by inodes: {sums}; {refused} refused for now"));
    sums.check("a full disk");
    assert!(refused > 20 && sums.accepted > 200, "{refused} refused, {sums}");
}

#[test]
fn calls_that_fail() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let (faults, mut chance) = (FailingCalls::build(dir.path()), Chance::new(seed()));
    let mut daemon = Daemon::prepare(&options(data.clone(), "1 MB"));
    faults.preload(&mut daemon, &data);
    daemon.run();
    let mut world = World::start(daemon);
    let mut failed: BTreeMap<Call, u32> = BTreeMap::new();
    let rounds = number("RESTANTE_FAILING_CALLS", 20);
    for round in 0..rounds {
        let call = Call::EVERY[usize::try_from(round).expect("few") % Call::EVERY.len()];
        // Some kinds come seldom, or while it starts only. What fails then may end it; it has to come again when
        // nothing fails any more.
        let often = matches!(call, Call::Read | Call::Write | Call::Sync);
        let starting = chance.percent(if often { 20 } else { 70 });
        let most = if often { 1 << chance.below(6) } else { 3 };
        let skip = u32::try_from(chance.below(most)).expect("a small number");
        let times = [1, 1, 5, u32::MAX][usize::try_from(chance.below(4)).expect("a small number")];
        let (errno, half) = (if chance.percent(70) { EIO } else { ENOSPC }, chance.percent(50));
        let what = format!("{call:?} number {skip}, {times} times, errno {errno}, starting: {starting}");
        if starting {
            world.daemon.kill();
        }
        faults.arm(call, skip, times, errno, half);
        if starting {
            world.daemon.launch();
        }
        for recipient in [Recipient::Org, Recipient::Com] {
            let _ = world.daemon.try_etrn(recipient.domain());
        }
        eventually(Duration::from_secs(2), || faults.failed() > 0);
        std::thread::sleep(Duration::from_millis(chance.below(600)));
        *failed.entry(call).or_default() += faults.heal();
        let before = Instant::now();
        world.serves(&what);
        if before.elapsed() > Duration::from_secs(5) {
            let log = world.daemon.log();
            let trouble: Vec<_> = log.lines().filter(|line| !line.contains("\"INFO\"")).collect();
            let trouble = trouble[trouble.len().saturating_sub(12)..].join("\n");
            say(&format!("{what}: mail comes in again after {:?}\n{trouble}", before.elapsed()));
        }
    }
    let sums = world.finish();
    let ended = world.ended;
    say(&format!("{rounds} times calls failed {failed:?}: {sums}; the process ended {ended} times"));
    sums.check("calls that fail");
    let kinds = failed.values().filter(|times| **times > 0).count();
    assert!(kinds >= 5, "few calls failed: {failed:?}");
}

/// Every file below, with its place.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Flips one bit of what is written there; what was flipped.
fn flip(data: &Path, chance: &mut Chance) -> Option<String> {
    let mut found = Vec::new();
    files(data, &mut found);
    let kind = ["log/", "log/", "log/", "index/", "large/", ""][usize::try_from(chance.below(6)).ok()?];
    let name = |path: &Path| path.strip_prefix(data).map_or(String::new(), |path| path.display().to_string());
    found.retain(|path| name(path).starts_with(kind) && path.metadata().is_ok_and(|file| file.len() > 0));
    found.sort();
    let path = found.get(usize::try_from(chance.below(found.len().max(1) as u64)).ok()?)?;
    let file = File::options().read(true).write(true).open(path).expect("it opens");
    let len = file.metadata().expect("it has a length").len();
    let mut octet = [0];
    // Much of a segment is not written yet.
    for _ in 0..200_000 {
        let most = [64, 4096, len, len, len][usize::try_from(chance.below(5)).ok()?];
        let at = chance.below(most.min(len));
        file.read_exact_at(&mut octet, at).expect("it can be read");
        if octet[0] != 0 {
            let bit = chance.below(8);
            octet[0] ^= 1 << bit;
            file.write_all_at(&octet, at).expect("it can be written");
            return Some(format!("{} octet {at} bit {bit}", name(path)));
        }
    }
    None
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--sparse=always"]).args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "a copy of the data");
}

/// Messages listed as damaged; nothing where nobody answers, as while the store is opened again.
fn damaged(daemon: &Daemon) -> Option<u64> {
    let output = daemon.admin(&["list", "--state", "damaged", "--json"]);
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).lines().count() as u64)
}

/// Everything wanted is delivered, or what is left has been listed as damaged for a while.
fn deliver(account: &mut Account, daemon: &Daemon, wanted: &BTreeSet<(usize, Recipient)>) {
    let mut left_since = None;
    eventually(Duration::from_secs(20), || {
        for recipient in [Recipient::Org, Recipient::Com] {
            let _ = daemon.try_etrn(recipient.domain());
        }
        if wanted.is_subset(&account.delivered()) {
            return true;
        }
        let left = damaged(daemon).is_some_and(|listed| daemon.try_waiting() == Some(listed));
        let since = *left_since.get_or_insert_with(Instant::now);
        if !left {
            left_since = None;
        }
        left && since.elapsed() > Duration::from_secs(1)
    });
}

/// A store on which something was done, closed in order and as if killed.
struct Stored {
    base: PathBuf,
    killed: PathBuf,
    accepted: BTreeSet<usize>,
    before: BTreeSet<(usize, Recipient)>,
}

impl Stored {
    fn make(dir: &Path) -> Self {
        let (base, killed) = (dir.join("base"), dir.join("killed"));
        let mut world = World::start(Daemon::start(&options(base.clone(), "1 MB")));
        assert!(eventually(LONG, || world.traffic.count() > 120), "intake stands still");
        // Some is delivered already, so that there are dead records and records that are half done.
        let _ = world.daemon.try_etrn("example.com");
        assert!(eventually(LONG, || world.account.deliveries() > 10), "example.com is drained");
        assert!(eventually(LONG, || world.traffic.count() > 250), "intake stands still");
        world.traffic.stop();
        assert!(
            eventually(LONG, || world.daemon.waiting("example.com") == 0 || world.account.deliveries() > 10)
        );
        // A checkpoint comes after 5 s at the latest; what lies behind it may pass for a write that was cut short.
        std::thread::sleep(Duration::from_secs(6));
        world.daemon.signal(nix::sys::signal::Signal::SIGSTOP);
        copy(&base, &killed);
        world.daemon.signal(nix::sys::signal::Signal::SIGCONT);
        let ended = world.daemon.stop();
        say(&format!("{} delivered before the end, {ended:?}", world.account.deliveries()));
        let (accepted, before) = (world.traffic.acknowledged(), world.account.delivered());
        Self { base, killed, accepted, before }
    }

    /// Starts on a store that was harmed, delivers everything, and tells what is missing and what was said of it: at
    /// most `most` messages may be. Where it was reads that failed, they go well in the end, and nothing is missing.
    fn survive(&self, data: &Path, reads: Option<&FailingCalls>, most: usize, what: &str) -> Sums {
        let mut daemon = Daemon::prepare(&options(data.to_owned(), "1 MB"));
        if let Some(calls) = reads {
            calls.preload(&mut daemon, data);
        }
        let verified = daemon.admin(&["spool", "verify", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap_or_default();
        start_harmed(&mut daemon, data, what);
        let mut account = Account::open(&daemon, &Behaviour::default());
        let wanted: BTreeSet<_> = owed(&self.accepted).difference(&self.before).copied().collect();
        deliver(&mut account, &daemon, &wanted);
        let mut sums = account.sums(&self.accepted, &self.before);
        let told: serde_json::Value = serde_json::from_str(&health(&daemon)).unwrap_or_default();
        let listed = damaged(&daemon).unwrap_or(0);
        let (found, noticed) = (report["damage"].as_u64(), told["damaged"].as_u64());
        let messages: BTreeSet<_> = sums.lost.iter().map(|(number, _)| *number).collect();
        say(&format!(
            "{what}: {} of {} not delivered; verify finds {found:?}, health tells {noticed:?}, {listed} listed",
            messages.len(),
            self.accepted.len()
        ));
        if !messages.is_empty() {
            assert!(messages.len() <= most, "{what}: too many messages are concerned: {messages:?}");
            assert!(found > Some(0), "{what}: spool verify does not see it: {report}");
            assert!(noticed > Some(0) || listed > 0, "{what}: nobody is told: {told}");
            sums.held = sums.lost.len();
            sums.lost.clear();
        }
        sums.check(what);
        assert!(daemon.runs(), "{what}: it ended by itself: {}", daemon.log());
        assert!(sums.doubled <= REPEATED, "{what}: {} doubled", sums.doubled);
        if let Some(calls) = reads {
            calls.heal();
            daemon.kill();
            daemon.run();
            deliver(&mut account, &daemon, &wanted);
            let late = account.sums(&self.accepted, &self.before);
            late.check(&format!("{what}, which can be read again"));
            assert_eq!(damaged(&daemon), Some(0), "{what}: nothing is damaged any more");
        }
        sums
    }
}

/// Starts on a store that was harmed. There is one file that may not be guessed: which domains are stopped.
fn start_harmed(daemon: &mut Daemon, data: &Path, what: &str) {
    daemon.launch();
    let port = daemon.ports().smtp;
    let up = eventually(LONG, || !daemon.runs() || TcpStream::connect(("127.0.0.1", port)).is_ok());
    if !daemon.runs() {
        assert!(daemon.log().contains("domains.json"), "{what}: it does not start: {}", daemon.log());
        std::fs::remove_file(data.join("domains.json")).expect("what it says can be done");
        daemon.run();
    }
    assert!(up, "{what}: nobody listens");
}

#[test]
fn bits_that_flip() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let stored = Stored::make(dir.path());
    let (mut chance, flips) = (Chance::new(seed()), number("RESTANTE_FLIPS", 12));
    let (mut damaged, mut delivered, mut doubled, mut done) = (0, 0, 0, 0);
    while done < flips {
        let case = dir.path().join("case");
        let from = if done % 2 == 0 { &stored.base } else { &stored.killed };
        copy(from, &case);
        let Some(flipped) = flip(&case, &mut chance) else {
            std::fs::remove_dir_all(&case).expect("the copy can go");
            continue;
        };
        done += 1;
        let sums = stored.survive(&case, None, 1, &format!("flip {done}, {flipped}"));
        damaged += sums.held;
        delivered += sums.delivered;
        doubled += sums.doubled;
        std::fs::remove_dir_all(&case).expect("the copy can go");
    }
    say(&format!(
        "{flips} bits flipped: {} accepted each time, {delivered} delivered in all, {damaged} held as damaged, 0 lost, \
         {doubled} doubled",
        stored.accepted.len()
    ));
}

/// What a disk reads at once, and loses at once.
const BLOCK: u64 = 4096;

/// A block of a file that cannot be read any more; which.
fn spoil(data: &Path, calls: &FailingCalls, number: u64, chance: &mut Chance) -> String {
    let mut found = Vec::new();
    files(data, &mut found);
    let kind = ["log/", "index/", "log/", "large/"][usize::try_from(number % 4).expect("a small number")];
    let name = |path: &Path| path.strip_prefix(data).map_or(String::new(), |path| path.display().to_string());
    found.retain(|path| name(path).starts_with(kind) && path.metadata().is_ok_and(|file| file.len() > 0));
    found.sort();
    let path = &found[usize::try_from(chance.below(found.len() as u64)).expect("an index")];
    let blocks = path.metadata().expect("it has a length").len().div_ceil(BLOCK);
    // The first and the last are special in more than one format.
    let block =
        [0, blocks - 1, chance.below(blocks)][usize::try_from(number / 4 % 3).expect("a small number")];
    let sector = u32::try_from(block * (BLOCK / 512)).expect("not that far");
    calls.spoil(path, sector..sector + u32::try_from(BLOCK / 512).expect("eight"));
    format!("{} block {block} of {blocks}", name(path))
}

#[test]
fn blocks_that_cannot_be_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (stored, calls) = (Stored::make(dir.path()), FailingCalls::build(dir.path()));
    let (mut chance, blocks) = (Chance::new(seed()), number("RESTANTE_BAD_BLOCKS", 12));
    let (mut damaged, mut delivered, mut doubled, mut read) = (0, 0, 0, 0);
    for number in 0..blocks {
        let case = dir.path().join("case");
        // Both kinds of end under every kind of file.
        copy(if number / 2 % 2 == number / 4 % 2 { &stored.base } else { &stored.killed }, &case);
        let spoilt = spoil(&case, &calls, number, &mut chance);
        // As many as begin, end or lie in it.
        let sums = stored.survive(&case, Some(&calls), 10, &format!("bad block {number}, {spoilt}"));
        damaged += sums.held;
        delivered += sums.delivered;
        doubled += sums.doubled;
        read += u64::from(calls.failed() > 0);
        std::fs::remove_dir_all(&case).expect("the copy can go");
    }
    say(&format!(
        "{blocks} blocks that cannot be read, {read} of them asked for: {} accepted each time, {delivered} delivered in \
         all, {damaged} held as damaged until they could be read again, 0 lost, {doubled} doubled",
        stored.accepted.len()
    ));
    assert!(read * 2 > blocks, "nobody reads there: {read}");
}
