//! A daemon under load, whatever its disk does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use restante_integration_tests::faults::{Account, Recipient, Sums, Traffic};
use restante_integration_tests::{Behaviour, Daemon, DaemonOptions, eventually};

pub(crate) const LONG: Duration = Duration::from_secs(90);

pub(crate) fn options(data_dir: PathBuf, low_water: &str) -> DaemonOptions {
    DaemonOptions {
        data_dir: Some(data_dir),
        tables: format!("[limits]\ndisk-low-water = \"{low_water}\"\n"),
        ..DaemonOptions::default()
    }
}

pub(crate) fn owed(accepted: &BTreeSet<usize>) -> BTreeSet<(usize, Recipient)> {
    accepted.iter().flat_map(|one| Recipient::of(*one).iter().map(|to| (*one, *to))).collect()
}

/// A daemon, its clients and its sinks; brought back like a service manager does it.
pub(crate) struct World {
    pub(crate) traffic: Traffic,
    pub(crate) account: Account,
    pub(crate) daemon: Daemon,
    pub(crate) ended: u32,
}

impl World {
    pub(crate) fn start(daemon: Daemon) -> Self {
        let account = Account::open(&daemon, &Behaviour::default());
        let traffic = Traffic::start(daemon.ports().smtp, 4, Duration::from_millis(3));
        let world = Self { traffic, account, daemon, ended: 0 };
        assert!(eventually(LONG, || world.traffic.count() > 50), "intake stands still");
        world
    }

    /// Mail is accepted again, by this process or the next.
    pub(crate) fn serves(&mut self, what: &str) {
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
    pub(crate) fn finish(&mut self) -> Sums {
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

pub(crate) fn health(daemon: &Daemon) -> String {
    String::from_utf8_lossy(&daemon.admin(&["health", "--json"]).stdout).into_owned()
}
