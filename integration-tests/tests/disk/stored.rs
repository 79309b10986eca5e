//! A store on which something was done, to be harmed in copies.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use restante_integration_tests::faults::{Account, Chance, FailingCalls, Recipient, Sums, body_of, say};
use restante_integration_tests::{Behaviour, Daemon, eventually};
use tempfile::TempDir;

use crate::world::{LONG, World, health, options, owed};

/// What one damaged message may repeat: the state of one recipient may be another than it was, in both queues. Where its
/// content cannot be sent to the end the connection ends, but not before what went before it was answered.
const REPEATED: u32 = 2;

/// Every file below, with its place.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The files of a store below one of its directories, those that are not empty, and their names.
fn parts(data: &Path, kind: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    files(data, &mut found);
    let named =
        found.into_iter().filter(|path| path.metadata().is_ok_and(|file| file.len() > 0)).map(|path| {
            let name = path.strip_prefix(data).map_or(String::new(), |name| name.display().to_string());
            (name, path)
        });
    let mut named: Vec<_> = named.filter(|(name, _)| name.starts_with(kind)).collect();
    named.sort();
    assert!(!named.is_empty(), "the store has something in {kind:?}");
    named
}

fn one_of<T>(these: &[T], chance: &mut Chance) -> usize {
    usize::try_from(chance.below(these.len() as u64)).expect("an index")
}

fn flip_at(path: &Path, at: u64, chance: &mut Chance) -> Option<u64> {
    let file = File::options().read(true).write(true).open(path).expect("it opens");
    let mut octet = [0];
    file.read_exact_at(&mut octet, at).expect("it can be read");
    let bit = chance.below(8);
    // Much of a segment is not written yet.
    let written = octet[0] != 0;
    if written {
        octet[0] ^= 1 << bit;
        file.write_all_at(&octet, at).expect("it can be written");
    }
    written.then_some(bit)
}

/// Flips one bit of what is written there, below one of its directories; what was flipped.
pub(crate) fn flip(data: &Path, kind: &str, chance: &mut Chance) -> String {
    let found = parts(data, kind);
    let mut tries = 0..1_000_000;
    loop {
        assert!(tries.next().is_some(), "nothing is written in {kind:?}");
        let (name, path) = &found[one_of(&found, chance)];
        let len = path.metadata().expect("it has a length").len();
        let reach = [64, 4096, len, len, len];
        let reach = reach[one_of(&reach, chance)].min(len);
        let at = chance.below(reach);
        if let Some(bit) = flip_at(path, at, chance) {
            return format!("{name} octet {at} bit {bit}");
        }
    }
}

/// Flips one bit in the content of this message, which lies in the log; what was flipped.
pub(crate) fn flip_content(data: &Path, number: usize, chance: &mut Chance) -> String {
    let subject = format!("Subject: sample {number}\r\n");
    let found = parts(data, "log/").into_iter().find_map(|(name, path)| {
        let octets = std::fs::read(&path).expect("it can be read");
        let place = octets.windows(subject.len()).position(|window| window == subject.as_bytes())?;
        Some((name, path, place as u64 + chance.below(subject.len() as u64)))
    });
    let (name, path, at) = found.expect("the message is in the log");
    let bit = flip_at(&path, at, chance).expect("a text has no zeros");
    format!("{name} octet {at} bit {bit}, message {number}")
}

pub(crate) fn copy(from: &Path, to: &Path) {
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
    eventually(LONG, || {
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
pub(crate) struct Stored {
    pub(crate) base: PathBuf,
    pub(crate) killed: PathBuf,
    pub(crate) accepted: BTreeSet<usize>,
    before: BTreeSet<(usize, Recipient)>,
    _dir: TempDir,
}

impl Stored {
    /// One for all tests that want it at the same time.
    pub(crate) fn shared() -> Arc<Self> {
        static STORED: Mutex<Weak<Stored>> = Mutex::new(Weak::new());
        let mut known = STORED.lock().unwrap_or_else(PoisonError::into_inner);
        known.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Self::make());
            *known = Arc::downgrade(&made);
            made
        })
    }

    fn make() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (base, killed) = (dir.path().join("base"), dir.path().join("killed"));
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
        let quiet = Duration::from_secs(6);
        std::thread::sleep(quiet);
        let checkpoint = || base.join("checkpoint").metadata().and_then(|file| file.modified());
        let old = |at: SystemTime| at.elapsed().is_ok_and(|since| since > quiet);
        assert!(eventually(LONG, || checkpoint().is_ok_and(old)), "the last checkpoint comes");
        world.daemon.signal(nix::sys::signal::Signal::SIGSTOP);
        copy(&base, &killed);
        world.daemon.signal(nix::sys::signal::Signal::SIGCONT);
        let ended = world.daemon.stop();
        say(&format!("{} delivered before the end, {ended:?}", world.account.deliveries()));
        let (accepted, before) = (world.traffic.acknowledged(), world.account.delivered());
        Self { base, killed, accepted, before, _dir: dir }
    }

    /// A message that lies in the log, whole and for one recipient, and is still to be delivered.
    pub(crate) fn some_message(&self, chance: &mut Chance) -> usize {
        let alone = |number: &usize| {
            let to = Recipient::of(*number);
            body_of(*number).len() < 100_000 && to.len() == 1 && !self.before.contains(&(*number, to[0]))
        };
        let waiting: Vec<usize> = self.accepted.iter().copied().filter(alone).collect();
        waiting[one_of(&waiting, chance)]
    }

    /// Starts on a store that was harmed, delivers everything, and tells what is missing and what was said of it: at
    /// most `most` messages may be. Where it was reads that failed, they go well in the end, and nothing is missing.
    pub(crate) fn survive(&self, data: &Path, reads: Option<&FailingCalls>, most: usize, what: &str) -> Sums {
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

/// What a disk reads at once, and loses at once.
const BLOCK: u64 = 4096;

/// A block of a file that cannot be read any more; which.
pub(crate) fn spoil(data: &Path, calls: &FailingCalls, number: u64, chance: &mut Chance) -> String {
    let kind = ["log/", "index/", "log/", "large/"][usize::try_from(number % 4).expect("a small number")];
    let found = parts(data, kind);
    let (name, path) = &found[one_of(&found, chance)];
    let blocks = path.metadata().expect("it has a length").len().div_ceil(BLOCK);
    // The first and the last are special in more than one format.
    let block =
        [0, blocks - 1, chance.below(blocks)][usize::try_from(number / 4 % 3).expect("a small number")];
    let sector = u32::try_from(block * (BLOCK / 512)).expect("not that far");
    calls.spoil(path, sector..sector + u32::try_from(BLOCK / 512).expect("eight"));
    format!("{name} block {block} of {blocks}")
}
