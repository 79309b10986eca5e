//! kill -9 under intake, drain, checkpoint, rebuild and reload: nothing that was acknowledged is lost, and what is
//! delivered twice is bounded by what was not recorded yet at each kill.
//!
//! `RESTANTE_KILLS=n` kills so often (15 times if not given, and on until each kind was met), `RESTANTE_SEED=n` begins the
//! chances there.
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
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

/// Kills that may miss what they were meant for, until one meets it.
const TRIES: u64 = 20;

/// What the daemon tells its service manager (sd_notify).
struct Manager(UnixDatagram);

impl Manager {
    fn of(daemon: &mut Daemon) -> Self {
        let path = daemon.dir().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        daemon.set_environment("NOTIFY_SOCKET", &path.display().to_string());
        Self(socket)
    }

    /// What was told since this was asked last.
    fn told(&self) -> String {
        let (mut told, mut octets) = (String::new(), [0; 4096]);
        while let Ok(length) = self.0.recv(&mut octets) {
            told += &String::from_utf8_lossy(&octets[..length]);
            told.push('\n');
        }
        told
    }
}

struct World {
    daemon: Daemon,
    manager: Manager,
    traffic: Traffic,
    account: Account,
    chance: Chance,
    kills: BTreeMap<Under, u32>,
    /// Of these, such that came in the middle of it.
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
    /// At most so many milliseconds, as often as not hardly any.
    fn pause(&mut self, most: u64) {
        let most = if self.chance.percent(50) { most * 1000 } else { most * 10 };
        std::thread::sleep(Duration::from_micros(self.chance.below(most)));
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
        let (before, end) = (written(), Instant::now() + LONG);
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

    fn note(&mut self, under: Under, hit: bool) {
        *self.hits.entry(under).or_default() += u32::from(hit);
    }

    /// Starts on an index that is gone, and waits until the log is being read.
    fn begin_rebuild(&mut self) {
        let takes = self.takes_mail();
        self.kill(Under::Intake);
        self.note(Under::Intake, takes);
        std::fs::remove_dir_all(self.file("index")).expect("the index can be removed");
        let said = self.daemon.log_so_far().len();
        self.daemon.launch();
        let daemon = &self.daemon;
        let begins = || daemon.log_so_far()[said..].contains("index_rebuilding");
        let end = Instant::now() + LONG;
        while !begins() {
            assert!(Instant::now() < end, "an index that is gone is made anew");
            std::thread::sleep(Duration::from_micros(500));
        }
        self.pause(60);
    }

    /// Sends SIGHUP, and waits until the configuration is being read. False: it was over at once.
    fn begin_reload(&mut self) -> bool {
        let quota = if self.chance.percent(50) { "8 GB" } else { "9 GB" };
        self.daemon.configure(&options(quota));
        self.manager.told();
        self.daemon.signal(Signal::SIGHUP);
        let (end, mut told) = (Instant::now() + LONG, String::new());
        while !told.contains("RELOADING=1") {
            assert!(Instant::now() < end, "the configuration is read again");
            std::thread::sleep(Duration::from_micros(200));
            told += &self.manager.told();
        }
        self.pause(2);
        told.rsplit("RELOADING=1").next().is_some_and(|since| !since.contains("READY=1"))
    }

    /// Waits for more mail; false: none comes.
    fn takes_mail(&self) -> bool {
        let (traffic, before) = (&self.traffic, self.traffic.count());
        eventually(LONG, || traffic.count() > before)
    }

    /// Brings the daemon into the middle of something. False: it cannot be said to be there; of [`Under::Rebuild`] and
    /// [`Under::Reload`] it is known after the kill.
    fn bring(&mut self, under: Under) -> bool {
        match under {
            Under::Intake => {
                self.pause(600);
                self.takes_mail()
            }
            Under::Drain => {
                // What came before the request may be delivered already.
                let (account, daemon) = (&mut self.account, &self.daemon);
                let before = account.deliveries();
                let drains = eventually(LONG, || {
                    let _ = daemon.try_etrn(Recipient::Org.domain());
                    account.deliveries() > before
                });
                self.pause(40);
                drains
            }
            Under::Checkpoint => self.await_checkpoint(),
            Under::Rebuild => {
                self.begin_rebuild();
                true
            }
            Under::Reload => self.begin_reload(),
        }
    }

    /// What to kill it under in this round: each in turn, then those that no kill has met.
    fn next(&self, round: usize, wanted: u64) -> Option<Under> {
        if u64::from(self.kills.values().sum::<u32>()) < wanted {
            return Some(Under::EVERY[round % Under::EVERY.len()]);
        }
        let times = |map: &BTreeMap<Under, u32>, under| map.get(&under).copied().unwrap_or(0);
        Under::EVERY.into_iter().find(|under| {
            times(&self.hits, *under) == 0 && u64::from(times(&self.kills, *under)) < wanted + TRIES
        })
    }

    fn round(&mut self, under: Under) {
        self.ask(Recipient::Org);
        if self.chance.percent(30) {
            self.ask(Recipient::Com);
        }
        let there = self.bring(under);
        self.kill(under);
        // The end of a reload is told as the beginning is.
        let reloaded = self.manager.told().contains("READY=1");
        let said = self.daemon.log_so_far().len();
        self.daemon.run();
        let hit = match under {
            // An index that was complete is not made anew.
            Under::Rebuild => self.daemon.log_so_far()[said..].contains("index_rebuilding"),
            Under::Reload => there && !reloaded,
            _ => there,
        };
        self.note(under, hit);
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
    let mut daemon = Daemon::prepare(&options("8 GB"));
    let manager = Manager::of(&mut daemon);
    daemon.run();
    let account = Account::open(&daemon, &Behaviour::default());
    let traffic = Traffic::start(daemon.ports().smtp, 6, Duration::from_millis(3));
    let mut world =
        World { daemon, manager, traffic, account, chance, kills: BTreeMap::new(), hits: BTreeMap::new() };
    assert!(eventually(LONG, || world.traffic.count() > 100), "intake stands still");
    let (mut doubled, mut most) = (0, 0);
    for round in 0.. {
        let Some(under) = world.next(round, wanted) else { break };
        world.round(under);
        let now = world.account.sums(&BTreeSet::new(), &BTreeSet::new()).doubled;
        most = most.max(now - doubled);
        doubled = now;
    }
    // Nobody reads there any more.
    drop(world.manager);
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
    let hits = |under: &Under| world.hits.get(under).copied().unwrap_or(0);
    assert!(world.hits.values().sum::<u32>() * 2 > kills, "the kills came at other times: {:?}", world.hits);
    let least = if wanted < 100 { 1 } else { 5 };
    assert!(Under::EVERY.iter().all(|under| hits(under) >= least), "{:?}", world.hits);
}
