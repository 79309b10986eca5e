//! kill -9 under intake, drain, checkpoint, rebuild and reload: nothing that was acknowledged is lost, and what is
//! delivered twice is bounded by what was not recorded yet at each kill.
//!
//! `RESTANTE_KILLS=n` kills so often (15 times if not given), `RESTANTE_SEED=n` begins the chances there.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use restante_integration_tests::faults::{Account, Chance, Recipient, Traffic, number, say, seed};
use restante_integration_tests::{Behaviour, Daemon, DaemonOptions, eventually};

const LONG: Duration = Duration::from_secs(60);

/// Connections of one drain.
const CONNECTIONS: u32 = 2;

/// What is recorded together of one drain: what a kill repeats as a rule.
const GROUP: u32 = 128;

/// What one kill may repeat at worst: for each of both drains what was handed to its connections and is not recorded yet,
/// however many those are and however wide their windows.
const REPEATED_PER_KILL: u32 = 2 * 1024;

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
    /// Of these, such that really came in the middle of it, as far as can be seen from outside.
    hits: BTreeMap<Under, u32>,
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

    /// Waits for the beginning of a checkpoint (the index is written) or its end (the file says so). False: none came.
    fn await_checkpoint(&mut self) -> bool {
        let name = if self.chance.percent(50) { "index/db" } else { "checkpoint" };
        let path = self.file(name);
        let written = || path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let (before, end) = (written(), Instant::now() + Duration::from_secs(7));
        while written() == before && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
        }
        self.pause(4);
        written() != before
    }

    fn kill(&mut self, under: Under) {
        self.daemon.kill();
        *self.kills.entry(under).or_default() += 1;
    }

    /// Starts on an index that is gone, and waits until the log is being read.
    fn begin_rebuild(&mut self) {
        self.kill(Under::Intake);
        std::fs::remove_dir_all(self.file("index")).expect("the index can be removed");
        let said = self.daemon.log_so_far().len();
        self.daemon.launch();
        let daemon = &self.daemon;
        let begins = || daemon.log_so_far()[said..].contains("index_rebuilding");
        let end = Instant::now() + Duration::from_secs(10);
        while !begins() && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(500));
        }
        self.pause(60);
    }

    /// Brings the daemon into the middle of something. False: it cannot be said to be there; with [`Under::Rebuild`] and
    /// [`Under::Reload`] what it had said until the kill tells.
    fn bring(&mut self, under: Under) -> bool {
        let before = (self.account.deliveries(), self.traffic.count());
        match under {
            Under::Intake => {
                self.pause(600);
                self.traffic.count() > before.1
            }
            Under::Drain => {
                // With nothing to deliver it is one more kill under intake.
                let account = &mut self.account;
                let drains = eventually(Duration::from_secs(3), || account.deliveries() > before.0);
                self.pause(40);
                drains
            }
            Under::Checkpoint => self.await_checkpoint(),
            Under::Rebuild => {
                self.begin_rebuild();
                true
            }
            Under::Reload => {
                let quota = if self.chance.percent(50) { "8 GB" } else { "9 GB" };
                self.daemon.configure(&options(quota));
                self.daemon.signal(Signal::SIGHUP);
                self.pause(30);
                true
            }
        }
    }

    fn round(&mut self, under: Under) {
        let said = self.daemon.log_so_far().len();
        self.ask(Recipient::Org);
        if self.chance.percent(30) {
            self.ask(Recipient::Com);
        }
        let there = self.bring(under);
        self.kill(under);
        let said = self.daemon.log_so_far().split_off(said);
        // What says that it was over before the kill.
        let over = match under {
            Under::Rebuild => {
                said.rsplit("index_rebuilding").next().is_some_and(|end| end.contains("index_ready"))
            }
            Under::Reload => said.contains("\"reloaded\""),
            _ => false,
        };
        *self.hits.entry(under).or_default() += u32::from(there && !over);
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
    let mut world = World { daemon, traffic, account, chance, kills: BTreeMap::new(), hits: BTreeMap::new() };
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
        "{kills} kills {:?}, in the middle of it {:?}: {sums} (at most {most} from one kill to the next); {} connections broken, {} refused",
        world.kills,
        world.hits,
        world.traffic.broken(),
        world.traffic.refused()
    ));
    sums.check("kills");
    assert!(empty, "the queue empties");
    assert_eq!(world.traffic.wrong(), Vec::<String>::new(), "nobody is refused for good");
    assert!(sums.accepted > 100 * usize::try_from(kills).expect("few") / 15, "the clients did their work");
    assert!(
        most <= REPEATED_PER_KILL && sums.doubled <= kills * GROUP,
        "{} doubled, {most} at once",
        sums.doubled
    );
    let hits = |under| world.hits.get(&under).copied().unwrap_or(0);
    assert!(world.hits.values().sum::<u32>() * 2 > kills, "the kills came at other times: {:?}", world.hits);
    assert!(hits(Under::Drain) > 0 && hits(Under::Checkpoint) > 0, "{:?}", world.hits);
    assert!(kills < 100 || Under::EVERY.iter().all(|under| hits(*under) >= 5), "{:?}", world.hits);
}
