//! Power is lost under load: on ext4 and xfs, on a disk whose unflushed writes are dropped in any mixture, the real
//! daemon loses nothing that a client was told is stored.
//!
//! `RESTANTE_POWER_SNAPSHOTS=n` takes so many losses of power on each file system (4 on ext4 and 1 on xfs if not given, and
//! more where the disk had nothing to forget), `RESTANTE_SEED=n` begins the chances there.
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use restante_integration_tests::faults::{
    Account, Chance, FileSystem, LoopMount, Loss, PowerDisk, Recipient, Snapshot, Sums, Traffic, may_mount,
    number, say, seed,
};
use restante_integration_tests::{Behaviour, Daemon, DaemonOptions, eventually};

const DISK: u64 = 640 << 20;
/// What one loss may repeat: for each of both drains what was handed to its connections and is not recorded yet.
const REPEATED: u32 = 2 * 1024;
const LONG: Duration = Duration::from_secs(120);
/// Losses more than were asked for, where the disk had nothing to forget.
const MORE: u64 = 20;

fn options(mount: &LoopMount) -> DaemonOptions {
    DaemonOptions {
        data_dir: Some(mount.path().join("data")),
        tables: "[limits]\ndisk-low-water = \"16 MB\"\n".into(),
        org: "connections = 3".into(),
        ..DaemonOptions::default()
    }
}

/// What was known at the moment of the loss.
struct Known {
    accepted: BTreeSet<usize>,
    delivered: BTreeSet<(usize, Recipient)>,
}

/// A daemon under load on a disk that can lose power.
struct World {
    traffic: Traffic,
    account: Account,
    daemon: Daemon,
    // Dropped after the daemon, in this order.
    _mount: LoopMount,
    disk: PowerDisk,
    system: FileSystem,
}

impl World {
    fn start(system: FileSystem) -> Self {
        let disk = PowerDisk::new(DISK, |image| system.make(image, &[])).expect("FUSE works");
        let mount = LoopMount::new(&disk.image(), system);
        let daemon = Daemon::start(&options(&mount));
        let account = Account::open(&daemon, &Behaviour::default());
        let traffic = Traffic::start(daemon.ports().smtp, 6, Duration::from_millis(4));
        Self { traffic, account, daemon, _mount: mount, disk, system }
    }

    /// The power is lost at some write from now on; what is found then, and what had to be in it.
    fn lose_power(&mut self, image: &Path, loss: Loss, chance: &mut Chance) -> (Snapshot, Known) {
        let daemon = &self.daemon;
        for recipient in [Recipient::Org, Recipient::Com] {
            if chance.percent(if recipient == Recipient::Org { 80 } else { 20 }) {
                let _ = daemon.try_etrn(recipient.domain());
            }
        }
        std::thread::sleep(Duration::from_millis(chance.below(1500)));
        // A flush is never far: without a choice most losses would take one write or two.
        let unflushed = [1, 1, 4, 12, 30][usize::try_from(chance.below(5)).expect("a small number")];
        let moment = (1 + chance.below(20), unflushed);
        self.lose_power_at(moment, image, loss, chance)
    }

    fn lose_power_at(
        &mut self,
        moment: (u64, usize),
        image: &Path,
        loss: Loss,
        chance: &mut Chance,
    ) -> (Snapshot, Known) {
        let Self { traffic, account, disk, .. } = self;
        let known = || Known { accepted: traffic.acknowledged(), delivered: account.delivered() };
        disk.snapshot(image, moment, loss, chance, known).expect("the image can be written")
    }

    /// A second daemon on what was found: its log must be whole, and everything owed has to come out of it.
    fn account_for(&self, image: &Path, known: &Known) -> Sums {
        let mount = LoopMount::new(image, self.system);
        let mut daemon = Daemon::prepare(&options(&mount));
        let verified = daemon.admin(&["spool", "verify", "--json"]);
        let text = String::from_utf8_lossy(&verified.stdout).into_owned();
        let whole = text.contains("\"damage\":0") || known.accepted.is_empty();
        assert!(whole, "a loss of power looks like damage: {text}{verified:?}");
        daemon.run();
        let mut account = Account::open(&daemon, &Behaviour::default());
        let owed = known.accepted.iter().flat_map(|one| Recipient::of(*one).iter().map(|to| (*one, *to)));
        let owed = owed.filter(|one| !known.delivered.contains(one)).collect();
        let empty = account.drain(&daemon, &owed, LONG);
        let sums = account.sums(&known.accepted, &known.delivered);
        assert!(empty || !sums.lost.is_empty(), "the queue does not empty: {sums}");
        sums
    }
}

fn losses(system: FileSystem, snapshots: u64, chance: &mut Chance) {
    let mut world = World::start(system);
    let begun = eventually(LONG, || world.traffic.count() > 50);
    assert!(begun, "intake stands still");
    let image = world.disk.beside("snapshot");
    let (mut dropped, mut doubled, mut lossy, mut taken) = (0, 0, 0, 0);
    let enough = |taken, dropped, lossy: u64| dropped > taken && lossy * 2 > taken;
    while taken < snapshots || (taken < snapshots + MORE && !enough(taken, dropped, lossy)) {
        let number = taken;
        taken += 1;
        let loss = Loss::EVERY[usize::try_from((number + chance.below(2)) % 4).expect("a small number")];
        let (snapshot, known) = world.lose_power(&image, loss, chance);
        let sums = world.account_for(&image, &known);
        say(&format!(
            "{} power loss {number}, {loss:?}: {} unflushed writes, {} of {} sectors dropped: {sums}",
            system.name(),
            snapshot.writes,
            snapshot.dropped,
            snapshot.sectors
        ));
        sums.check("power loss");
        assert!(sums.doubled <= REPEATED, "{} doubled", sums.doubled);
        assert!(sums.accepted > 50, "the clients did their work: {sums}");
        dropped += snapshot.dropped;
        lossy += u64::from(snapshot.dropped > 0);
        doubled += sums.doubled;
    }
    let World { traffic, account, daemon, disk, .. } = &mut world;
    traffic.stop();
    let accepted = traffic.acknowledged();
    let owed: BTreeSet<_> =
        accepted.iter().flat_map(|one| Recipient::of(*one).iter().map(|to| (*one, *to))).collect();
    assert!(account.drain(daemon, &owed, LONG), "the queue empties");
    let sums = account.sums(&accepted, &BTreeSet::new());
    let (writes, flushes) = disk.counts();
    say(&format!(
        "{}: {taken} losses of power, {lossy} of them of something, {dropped} sectors dropped, {doubled} doubled after them; the daemon that \
         went on: {sums}; {writes} writes, {flushes} flushes",
        system.name()
    ));
    sums.check("the daemon that went on");
    assert!(enough(taken, dropped, lossy), "the disk forgot something: {dropped}, {lossy} of {taken}");
    assert!(flushes > taken, "flushes reach the disk");
}

#[test]
fn every_250_outlives_the_loss_of_power() {
    let systems = [(FileSystem::Ext4, 4), (FileSystem::Xfs, 1)];
    if !may_mount("every_250_outlives_the_loss_of_power", &systems.map(|(system, _)| system)) {
        return;
    }
    let mut chance = Chance::new(seed());
    for (system, few) in systems {
        losses(system, number("RESTANTE_POWER_SNAPSHOTS", few), &mut chance);
    }
}

/// The control: on a disk that confirms flushes and forgets what it was given, the same test finds mail lost.
#[test]
fn a_disk_that_lies_is_found_out() {
    if !may_mount("a_disk_that_lies_is_found_out", &[FileSystem::Ext4]) {
        return;
    }
    let mut world = World::start(FileSystem::Ext4);
    assert!(eventually(LONG, || world.traffic.count() > 50), "intake stands still");
    world.disk.lie();
    let before = world.traffic.count();
    assert!(eventually(LONG, || world.traffic.count() > before + 200), "a liar is fast");
    let image = world.disk.beside("snapshot");
    // Nobody asked for it yet: what was delivered is not missed.
    let (_, known) = world.lose_power_at((1, 1), &image, Loss::All, &mut Chance::new(seed()));
    world.traffic.stop();
    let sums = world.account_for(&image, &known);
    say(&format!("a disk that lies: {sums}"));
    assert!(sums.lost.len() > 50, "what a liar forgot is missed: {sums}");
}
