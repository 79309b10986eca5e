//! The disk is full, refuses calls, or gives back other bits than it was given: no 250 without durability, no server
//! that stays away, and damage that is told and stays with its message.
//!
//! `RESTANTE_FAILING_CALLS=n` lets calls fail so often, `RESTANTE_FLIPS=n` flips so many bits, `RESTANTE_BAD_BLOCKS=n` takes
//! so many blocks (10, 6 and 8 if not given: each kind of call, each part of the store, the first block and the last of
//! each), `RESTANTE_SEED=n` begins the chances there.
#[path = "disk/stored.rs"]
mod stored;
#[path = "disk/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::libc::{EIO, ENOSPC};
use nix::sys::statvfs::statvfs;
use restante_integration_tests::faults::{
    Call, Chance, FailingCalls, FileSystem, LoopMount, Recipient, body_of, may_mount, number, say, seed,
};
use restante_integration_tests::{Daemon, eventually};
use stored::{Stored, copy, flip, flip_content, spoil};
use world::{LONG, World, health, options};

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

/// An ext4 of this size with so many inodes, none of them kept for root.
fn small_ext4(dir: &Path, size: u64, inodes: &str) -> LoopMount {
    let image = dir.join("image");
    File::create(&image).and_then(|file| file.set_len(size)).expect("an image");
    FileSystem::Ext4.make(&image, &["-N", inodes, "-m", "0"]);
    LoopMount::new(&image, FileSystem::Ext4)
}

/// Makes empty files until no more than so many inodes are left, or none can be had; how many.
fn use_inodes(ballast: &Path, leave: u64) -> u64 {
    let left = || statvfs(ballast).expect("a file system").files_available();
    let mut made = 0;
    while left() > leave && File::create(ballast.join(format!("{made}"))).is_ok() {
        made += 1;
    }
    made
}

/// Octets are not what is missing: whatever is refused is refused for want of an inode.
fn has_octets(dir: &Path) -> bool {
    let seen = statvfs(dir).expect("a file system");
    seen.blocks_available() * seen.fragment_size() > 8 << 20
}

/// A message that has a file of its own in the store comes in: there is an inode for it.
fn takes_large(world: &World) -> bool {
    let last = world.traffic.acknowledged().last().copied();
    let large = |number: &usize| body_of(*number).len() > 400_000 && Some(*number) > last;
    eventually(LONG, || world.traffic.acknowledged().iter().any(large))
}

#[test]
fn a_disk_that_is_full() {
    if !may_mount("a_disk_that_is_full", &[FileSystem::Ext4]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mount = small_ext4(dir.path(), 192 << 20, "128");
    // The mark is so low that the disk is really full, and every write has to fail well.
    let mut world = World::start(Daemon::start(&options(mount.path().join("data"), "4 kB")));
    let mut refused = [0, 0];
    for inodes in [false, true, false, true] {
        let ballast = mount.path().join("ballast");
        std::fs::create_dir(&ballast).expect("a directory");
        let before = world.traffic.refused();
        // Without inodes it is only what wants one that is refused.
        let most = if inodes { 0 } else { 20 };
        if inodes {
            assert!(use_inodes(&ballast, 0) > 10, "there were inodes to use up");
        } else {
            fill(&ballast.join("octets"));
        }
        let refuses = eventually(LONG, || world.traffic.refused() > before + most);
        assert!(refuses, "a full disk (inodes: {inodes}) takes no mail: {} came in", world.traffic.count());
        assert!(!inodes || has_octets(mount.path()), "there is room for octets");
        // What is held goes out meanwhile, if there is room to work.
        let (_, deliveries) = (world.daemon.try_etrn("example.org"), world.account.deliveries());
        eventually(Duration::from_secs(2), || world.account.deliveries() > deliveries);
        assert!(world.daemon.runs(), "it ended on a full disk");
        refused[usize::from(inodes)] += world.traffic.refused() - before;
        std::fs::remove_dir_all(&ballast).expect("the ballast can go");
        world.serves("room again");
        assert!(!inodes || takes_large(&world), "with inodes again, whatever wants one is taken");
    }
    assert!(eventually(LONG, || world.traffic.count() > 200), "{} came in", world.traffic.count());
    let sums = world.finish();
    let [octets, inodes] = refused;
    say(&format!(
        "disk full 4 times: {sums}; refused for now: {octets} for want of room, {inodes} for want of an inode"
    ));
    sums.check("a full disk");
    assert!(sums.accepted > 200, "{sums}");
}

/// The watch over inodes, which a mark in octets switches off: the alarm comes before mail is refused, and mail is
/// refused before there is none.
#[test]
fn inodes_that_run_out() {
    if !may_mount("inodes_that_run_out", &[FileSystem::Ext4]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Sparse; room enough, so that it is not the octets.
    let mount = small_ext4(dir.path(), 2 << 30, "1000");
    let daemon = Daemon::start(&options(mount.path().join("data"), "20%"));
    let (ballast, mark) =
        (mount.path().join("ballast"), statvfs(mount.path()).expect("it is there").files() / 5);
    std::fs::create_dir(&ballast).expect("a directory");
    assert!(!health(&daemon).contains("disk-low"), "{}", health(&daemon));
    assert!(use_inodes(&ballast, mark * 120 / 100) > 100, "there were inodes to use up");
    let told = eventually(LONG, || health(&daemon).contains("inodes are free; below"));
    assert!(told, "the alarm comes: {}", health(&daemon));
    let mut world = World::start(daemon);
    assert_eq!(world.traffic.refused(), 0, "mail is still taken");
    use_inodes(&ballast, mark / 2);
    assert!(eventually(LONG, || world.traffic.refused() > 20), "below the mark mail is refused");
    let left = statvfs(mount.path()).expect("it is there").files_available();
    assert!(left > 10 && has_octets(mount.path()), "{left} inodes are left to work with");
    assert!(health(&world.daemon).contains("mail is refused"), "{}", health(&world.daemon));
    std::fs::remove_dir_all(&ballast).expect("the ballast can go");
    world.serves("inodes again");
    let (refused, sums) = (world.traffic.refused(), world.finish());
    say(&format!("inodes below the mark of {mark}, told before: {sums}; {refused} refused for now"));
    sums.check("inodes that run out");
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
    let rounds = number("RESTANTE_FAILING_CALLS", 10);
    for round in 0..rounds {
        let call = Call::EVERY[usize::try_from(round).expect("few") % Call::EVERY.len()];
        // Some kinds come seldom, or while it starts only. What fails then may end it; it has to come again when
        // nothing fails any more.
        let often = matches!(call, Call::Read | Call::Write | Call::Sync);
        let starting = chance.percent(if often { 20 } else { 70 });
        // The first of each kind fails for certain.
        let certain = round < Call::EVERY.len() as u64;
        let most = if certain {
            1
        } else if often {
            1 << chance.below(6)
        } else {
            3
        };
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
        let fails = provoke(&mut world.daemon, &faults, certain);
        assert!(fails || !certain, "{what}: no such call comes");
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
    let asked = Call::EVERY.iter().take(usize::try_from(rounds).expect("few"));
    let missed: Vec<_> = asked.filter(|call| failed.get(call).is_none_or(|times| *times == 0)).collect();
    assert!(missed.is_empty(), "never failed: {missed:?} of {failed:?}");
}

/// Lets the daemon do all it can do, and start again, until a call failed; if it need not be, for two seconds.
fn provoke(daemon: &mut Daemon, faults: &FailingCalls, certain: bool) -> bool {
    let mut since = Instant::now();
    eventually(if certain { LONG } else { Duration::from_secs(2) }, || {
        for recipient in [Recipient::Org, Recipient::Com] {
            let _ = daemon.try_etrn(recipient.domain());
        }
        if certain && faults.failed() == 0 && since.elapsed() > Duration::from_secs(2) {
            daemon.kill();
            daemon.launch();
            since = Instant::now();
        }
        faults.failed() > 0
    })
}

/// Where in a store bits are flipped, in turn; the first is in the content of a message that waits.
const FLIPPED: [&str; 6] = ["log/", "index/db", "log/", "large/", "log/", ""];

#[test]
fn bits_that_flip() {
    let (dir, stored) = (tempfile::tempdir().expect("a temporary directory"), Stored::shared());
    let (mut chance, flips) = (Chance::new(seed()), number("RESTANTE_FLIPS", 6));
    let (mut damaged, mut delivered, mut doubled) = (0, 0, 0);
    let mut hit: BTreeMap<String, u64> = BTreeMap::new();
    for done in 0..usize::try_from(flips).expect("few") {
        let case = dir.path().join("case");
        let turn = done % FLIPPED.len();
        // Both kinds of end under every kind of file.
        let ended = (turn / 2 + done / FLIPPED.len()).is_multiple_of(2);
        copy(if ended { &stored.base } else { &stored.killed }, &case);
        let flipped = match turn {
            0 => flip_content(&case, stored.some_message(&mut chance), &mut chance),
            _ => flip(&case, FLIPPED[turn], &mut chance),
        };
        let sums = stored.survive(&case, None, 1, &format!("flip {done}, {flipped}"));
        assert!(turn > 0 || sums.held == 1, "flip {done}, {flipped}: the message is held as damaged: {sums}");
        *hit.entry(flipped.split_once('/').map_or("others", |(kind, _)| kind).to_owned()).or_default() += 1;
        damaged += sums.held;
        delivered += sums.delivered;
        doubled += sums.doubled;
        std::fs::remove_dir_all(&case).expect("the copy can go");
    }
    say(&format!(
        "{flips} bits flipped, {hit:?}: {} accepted each time, {delivered} delivered in all, {damaged} held as damaged, 0 lost, \
         {doubled} doubled",
        stored.accepted.len()
    ));
    let kinds = ["log", "index", "large"];
    assert!(flips < FLIPPED.len() as u64 || kinds.iter().all(|kind| hit.contains_key(*kind)), "{hit:?}");
}

#[test]
fn blocks_that_cannot_be_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (stored, calls) = (Stored::shared(), FailingCalls::build(dir.path()));
    let (mut chance, blocks) = (Chance::new(seed()), number("RESTANTE_BAD_BLOCKS", 8));
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
