//! The disk is full, refuses calls, or gives back other bits than it was given: no 250 without durability, no server
//! that stays away, and damage that is told and stays with its message.
//!
//! `RESTANTE_FAILING_CALLS=n` lets calls fail so often, `RESTANTE_FLIPS=n` flips so many bits (20 and 12 if not given),
//! `RESTANTE_SEED=n` begins the chances there.
#![allow(clippy::panic, reason = "a test fails by panicking")]

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
        let empty = self.account.drain(&self.daemon, &owed(&accepted), LONG);
        let sums = self.account.sums(&accepted, &BTreeSet::new());
        assert!(empty, "the queue does not empty: {sums}; {}", health(&self.daemon));
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
        let listed = daemon.json(&["list", "--state", "damaged"]).len();
        let left = daemon.try_waiting() == Some(listed as u64);
        let since = *left_since.get_or_insert_with(Instant::now);
        if !left {
            left_since = None;
        }
        left && since.elapsed() > Duration::from_secs(1)
    });
}

/// Starts, delivers everything, and tells what is missing and what was said of it.
fn survive(
    data: &Path,
    accepted: &BTreeSet<usize>,
    before: &BTreeSet<(usize, Recipient)>,
    what: &str,
) -> Sums {
    let mut daemon = Daemon::prepare(&options(data.to_owned(), "1 MB"));
    let verified = daemon.admin(&["spool", "verify", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap_or_default();
    daemon.launch();
    let port = daemon.ports().smtp;
    let up = eventually(LONG, || !daemon.runs() || TcpStream::connect(("127.0.0.1", port)).is_ok());
    if !daemon.runs() {
        // The one file that may not be guessed: which domains are stopped.
        assert!(daemon.log().contains("domains.json"), "{what}: it does not start: {}", daemon.log());
        std::fs::remove_file(data.join("domains.json")).expect("what it says can be done");
        daemon.run();
    }
    assert!(up, "{what}: nobody listens");
    let mut account = Account::open(&daemon, &Behaviour::default());
    let wanted: BTreeSet<_> = owed(accepted).difference(before).copied().collect();
    deliver(&mut account, &daemon, &wanted);
    let mut sums = account.sums(accepted, before);
    let told: serde_json::Value = serde_json::from_str(&health(&daemon)).unwrap_or_default();
    let listed = daemon.json(&["list", "--state", "damaged"]).len();
    let (found, noticed) = (report["damage"].as_u64(), told["damaged"].as_u64());
    let messages: BTreeSet<_> = sums.lost.iter().map(|(number, _)| *number).collect();
    say(&format!(
        "{what}: {} of {} not delivered; verify finds {found:?}, health tells {noticed:?}, {listed} listed",
        messages.len(),
        accepted.len()
    ));
    if !messages.is_empty() {
        assert!(messages.len() == 1, "{what}: more than one message is concerned: {messages:?}");
        assert!(found > Some(0), "{what}: spool verify does not see it: {report}");
        assert!(noticed > Some(0) || listed > 0, "{what}: nobody is told: {told}");
        sums.held = sums.lost.len();
        sums.lost.clear();
    }
    sums.check(what);
    sums
}

#[test]
fn bits_that_flip() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let base = dir.path().join("base");
    let mut world = World::start(Daemon::start(&options(base.clone(), "1 MB")));
    assert!(eventually(LONG, || world.traffic.count() > 120), "intake stands still");
    // Some is delivered already, so that there are dead records and records that are half done.
    let _ = world.daemon.try_etrn("example.com");
    assert!(eventually(LONG, || world.account.deliveries() > 10), "example.com is drained");
    assert!(eventually(LONG, || world.traffic.count() > 250), "intake stands still");
    world.traffic.stop();
    assert!(eventually(LONG, || world.daemon.waiting("example.com") == 0 || world.account.deliveries() > 10));
    std::thread::sleep(Duration::from_millis(500));
    let killed = dir.path().join("killed");
    world.daemon.signal(nix::sys::signal::Signal::SIGSTOP);
    copy(&base, &killed);
    world.daemon.signal(nix::sys::signal::Signal::SIGCONT);
    world.daemon.stop();
    let (accepted, before) = (world.traffic.acknowledged(), world.account.delivered());
    let (mut chance, flips) = (Chance::new(seed()), number("RESTANTE_FLIPS", 12));
    let (mut damaged, mut delivered, mut doubled, mut done) = (0, 0, 0, 0);
    while done < flips {
        let case = dir.path().join("case");
        let from = if done % 2 == 0 { &base } else { &killed };
        copy(from, &case);
        let Some(flipped) = flip(&case, &mut chance) else {
            std::fs::remove_dir_all(&case).expect("the copy can go");
            continue;
        };
        done += 1;
        let sums = survive(&case, &accepted, &before, &format!("flip {done}, {flipped}"));
        damaged += sums.held;
        delivered += sums.delivered;
        doubled += sums.doubled;
        std::fs::remove_dir_all(&case).expect("the copy can go");
    }
    say(&format!(
        "{flips} bits flipped: {} accepted each time, {delivered} delivered in all, {damaged} held as damaged, 0 lost, \
         {doubled} doubled",
        accepted.len()
    ));
}
