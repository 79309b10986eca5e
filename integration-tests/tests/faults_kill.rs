//! kill -9 under intake, drain, checkpoint, rebuild and reload: nothing that was acknowledged is lost, and what is
//! delivered twice is bounded by what was not recorded yet at each kill.
//!
//! `RESTANTE_KILLS=n` kills so often (15 times if not given), `RESTANTE_SEED=n` begins the chances there.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use restante_integration_tests::faults::{Account, Chance, Recipient, Traffic, number, say, seed};
use restante_integration_tests::{Behaviour, Daemon, DaemonOptions, eventually};

const LONG: Duration = Duration::from_secs(60);

/// Connections of one drain.
const CONNECTIONS: u32 = 2;

/// What one kill may repeat: for each of both drains the outcomes on their way to the store (512) with the batch that is
/// being recorded (128), and for each connection the messages whose answers were not read yet (64).
const REPEATED_PER_KILL: u32 = 2 * (512 + 128 + CONNECTIONS * 64);

/// In the middle of what the daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Under {
    Intake,
    Drain,
    Checkpoint,
    Rebuild,
    Reload,
}

impl Under {
    const EVERY: [Self; 5] = [Self::Intake, Self::Drain, Self::Checkpoint, Self::Rebuild, Self::Reload];
}

struct World {
    daemon: Daemon,
    traffic: Traffic,
    account: Account,
    chance: Chance,
    kills: BTreeMap<Under, u32>,
}

fn options(quota: &str) -> DaemonOptions {
    DaemonOptions {
        org: format!("connections = {CONNECTIONS}\nquota = \"{quota}\""),
        defaults: format!("connections = {CONNECTIONS}"),
        ..DaemonOptions::default()
    }
}

impl World {
    fn pause(&mut self, most: u64) {
        std::thread::sleep(Duration::from_micros(self.chance.below(most * 1000)));
    }

    fn ask(&self, recipient: Recipient) {
        let _ = self.daemon.try_etrn(recipient.domain());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.daemon.data_dir().join(name)
    }

    /// Waits for the beginning of a checkpoint (the index is written) or its end (the file says so).
    fn await_checkpoint(&mut self) {
        let name = if self.chance.percent(50) { "index/db" } else { "checkpoint" };
        let path = self.file(name);
        let written = || path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let (before, end) = (written(), Instant::now() + Duration::from_secs(7));
        while written() == before && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
        }
        self.pause(4);
    }

    fn kill(&mut self, under: Under) {
        self.daemon.kill();
        *self.kills.entry(under).or_default() += 1;
    }

    fn round(&mut self, under: Under) {
        self.ask(Recipient::Org);
        if self.chance.percent(30) {
            self.ask(Recipient::Com);
        }
        let before = self.account.deliveries();
        match under {
            Under::Intake => self.pause(600),
            Under::Drain => {
                // With nothing to deliver it is one more kill under intake.
                let account = &mut self.account;
                eventually(Duration::from_secs(3), || account.deliveries() > before);
                self.pause(40);
            }
            Under::Checkpoint => self.await_checkpoint(),
            Under::Rebuild => {
                self.kill(Under::Rebuild);
                std::fs::remove_dir_all(self.file("index")).expect("the index can be removed");
                self.daemon.launch();
                self.pause(1500);
            }
            Under::Reload => {
                let quota = if self.chance.percent(50) { "8 GB" } else { "9 GB" };
                self.daemon.configure(&options(quota));
                self.daemon.signal(Signal::SIGHUP);
                self.pause(30);
            }
        }
        self.kill(under);
        self.daemon.run();
        let (traffic, served) = (&self.traffic, self.traffic.count());
        assert!(
            eventually(LONG, || traffic.count() > served),
            "nothing comes in after a kill under {under:?}"
        );
    }
}

#[test]
fn kills_under_everything() {
    let wanted = number("RESTANTE_KILLS", 15);
    let chance = Chance::new(seed());
    let daemon = Daemon::start(&options("8 GB"));
    let account = Account::open(&daemon, &Behaviour::default());
    let traffic = Traffic::start(daemon.ports().smtp, 6, Duration::from_millis(3));
    let mut world = World { daemon, traffic, account, chance, kills: BTreeMap::new() };
    assert!(eventually(LONG, || world.traffic.count() > 100), "intake stands still");
    let (mut doubled, mut most) = (0, 0);
    for round in 0.. {
        if u64::from(world.kills.values().sum::<u32>()) >= wanted {
            break;
        }
        world.round(Under::EVERY[round % Under::EVERY.len()]);
        let now = world.account.sums(&BTreeSet::new(), &BTreeSet::new()).doubled;
        most = most.max(now - doubled);
        doubled = now;
    }
    world.traffic.stop();
    let accepted = world.traffic.acknowledged();
    let owed: BTreeSet<_> =
        accepted.iter().flat_map(|one| Recipient::of(*one).iter().map(|to| (*one, *to))).collect();
    let empty = world.account.drain(&world.daemon, &owed, Duration::from_secs(300));
    let sums = world.account.sums(&accepted, &BTreeSet::new());
    let kills: u32 = world.kills.values().sum();
    say(&format!(
        "{kills} kills {:?}: {sums} (at most {most} from one kill to the next); {} connections broken, {} refused",
        world.kills,
        world.traffic.broken(),
        world.traffic.refused()
    ));
    sums.check("kills");
    assert!(empty, "the queue empties");
    assert_eq!(world.traffic.wrong(), Vec::<String>::new(), "nobody is refused for good");
    assert!(sums.accepted > 100 * usize::try_from(kills).expect("few") / 15, "the clients did their work");
    assert!(sums.doubled <= kills * REPEATED_PER_KILL, "{} doubled", sums.doubled);
}
