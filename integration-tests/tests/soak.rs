//! Everything at once, for as long as it is told to: senders, primaries, collectors and the agent over a bad network, an
//! operator who holds, releases, deletes, restores, lists, exports, backs up and reloads, primaries that go away, and
//! kill -9 in the middle of any of it. Then everything is drained, and every message accounted for.
//!
//! `integration-tests/soak/run MINUTES` runs it; `RESTANTE_SOAK_SECONDS` (25) and `RESTANTE_SEED` say the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use restante_integration_tests::faults::{number, say};
use restante_integration_tests::hostile::{Random, Scene, Weather, usage};
use restante_integration_tests::{Peer, eventually, have};

/// Between two kills in a long run, at most; a short one has three of them.
const KILL_EVERY: Duration = Duration::from_secs(150);
/// The daemon may hold this much more at the end than a minute after its start (its caches fill).
const GROWTH_KIB: u64 = 160 * 1024;

/// Who works on the daemon while mail flows.
struct Operator<'a> {
    scene: &'a Scene,
    random: Random,
    done: BTreeMap<&'static str, usize>,
    failed: BTreeMap<&'static str, usize>,
    copies: tempfile::TempDir,
    generation: usize,
}

impl Operator<'_> {
    fn command(&mut self, what: &'static str, args: &[&str]) -> String {
        let output = self.scene.admin(args);
        let count = if output.status.success() { &mut self.done } else { &mut self.failed };
        *count.entry(what).or_default() += 1;
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn pause(&mut self, most: u64) {
        std::thread::sleep(Duration::from_millis(self.random.below(most)));
    }

    /// One thing that operators do.
    fn act(&mut self) {
        let domain = if self.random.percent(50) { "example.org" } else { "example.com" };
        match self.random.below(12) {
            0 => {
                self.command("hold", &["hold", domain, "--reason", "soak"]);
                self.pause(1500);
                self.command("release", &["release", domain]);
            }
            1 => self.hold_one(domain),
            2 => self.delete(domain),
            3 => {
                self.command("status", &["status", "--json"]);
            }
            4 => {
                self.command("list", &["list", "--json", "--domain", domain]);
            }
            5 => {
                // It ends with 1 where there is something to tell.
                let _ = self.scene.admin(&["health"]);
                self.count("health");
            }
            6 => self.copy("export", &["--domain", domain, "--format", "eml", "--output"]),
            7 => self.copy("backup", &[]),
            8 => self.reconfigure(),
            9 => {
                self.scene.provider().daemon.signal(Signal::SIGHUP);
                self.count("SIGHUP");
            }
            10 => {
                self.scene.set_down(true);
                self.pause(3000);
                self.scene.set_down(false);
                self.count("primaries down and up");
            }
            _ => {
                self.command("flush", &["flush", domain]);
            }
        }
    }

    fn some(&mut self, domain: &str, count: usize) -> Vec<String> {
        let listed = self.command("list", &["list", "--json", "--domain", domain]);
        let id = |line: &str| Some(line.split_once("\"id\":\"")?.1.split_once('"')?.0.to_owned());
        listed.lines().filter_map(id).take(count).collect()
    }

    fn hold_one(&mut self, domain: &str) {
        for id in self.some(domain, 2) {
            self.command("hold a message", &["hold", "--id", &id]);
            self.command("release a message", &["release", "--id", &id]);
        }
    }

    /// Of what is deleted half comes back.
    fn delete(&mut self, domain: &str) {
        for id in self.some(domain, 4) {
            self.command("delete", &["delete", "--id", &id, "--yes", "--reason", "soak"]);
            if self.random.percent(50) {
                self.pause(200);
                self.command("restore", &["restore", &id]);
            }
        }
    }

    fn copy(&mut self, what: &'static str, args: &[&str]) {
        let target = self.copies.path().join("copy");
        let path = target.display().to_string();
        self.command(what, &[&[what], args, &[path.as_str()]].concat());
        let _ = std::fs::remove_dir_all(&target);
    }

    fn reconfigure(&mut self) {
        self.generation += 1;
        let provider = self.scene.provider();
        let file = provider.daemon.config();
        let text = std::fs::read_to_string(&file).expect("it was written");
        let retry = ["retry = [\"1s\", \"2s\"]", "retry = [\"2s\"]"];
        let (old, new) = (retry[(self.generation + 1) % 2], retry[self.generation % 2]);
        std::fs::write(&file, text.replace(old, new)).expect("it can be written");
        provider.daemon.signal(Signal::SIGHUP);
        drop(provider);
        self.count("configuration changed");
    }

    /// Whatever is on hold goes on; a command of before may have met a dead daemon.
    fn release_everything(&mut self) {
        for domain in ["example.org", "example.com"] {
            self.command("release", &["release", domain]);
        }
        let held = self.scene.provider().daemon.json(&["list"]);
        for entry in held.iter().filter(|entry| entry["held"] == true) {
            self.command("release a message", &["release", "--id", entry["id"].as_str().unwrap_or_default()]);
        }
    }
}

/// Memory and descriptors, at twenty moments.
fn watch(scene: &Scene, stop: &AtomicBool, every: Duration) -> Vec<(u64, u64)> {
    let mut seen = Vec::new();
    let began = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        if let Some(used) = usage(scene.provider().daemon.pid()) {
            say(&format!(
                "{:>5} s: {:>6} KiB, {:>4} descriptors, {:>6} accepted, {:>6} arrived",
                began.elapsed().as_secs(),
                used.resident,
                used.files,
                scene.ledger.acknowledged(),
                scene.letterbox.count()
            ));
            seen.push((used.resident, used.files));
        }
        eventually(every, || stop.load(Ordering::SeqCst));
    }
    seen
}

/// Kills it after a while; false if the storm was over before.
fn kill_after(scene: &Scene, stop: &AtomicBool, pause: Duration) -> bool {
    let over = eventually(pause, || stop.load(Ordering::SeqCst));
    if !over {
        scene.kill();
    }
    !over
}

fn storm(scene: &Scene, length: Duration, operator: &mut Operator<'_>, seed: u64) -> Vec<(u64, u64)> {
    let stop = AtomicBool::new(false);
    let kill_every = KILL_EVERY.min(length / 4);
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let stop = &stop;
            scope.spawn(move || scene.send(stop, seed ^ (sender << 32)));
        }
        scope.spawn(|| scene.ask(&stop));
        scope.spawn(|| scene.collect(&stop));
        scope.spawn(|| scene.run_agent(&stop));
        if have("soak", &[Peer::Swaks]) {
            scope.spawn(|| scene.send_by_swaks(&stop));
        }
        let watching = scope.spawn(|| watch(scene, &stop, length / 20));
        let killing = scope.spawn(|| (0..).take_while(|_| kill_after(scene, &stop, kill_every)).count());
        scene.weather(length, || {
            operator.act();
            operator.pause(300);
        });
        stop.store(true, Ordering::SeqCst);
        operator.done.insert("kill -9", killing.join().expect("it comes up again"));
        watching.join().expect("watching does not fail")
    })
}

#[test]
fn everything_at_once_and_every_message_accounted_for() {
    let seed = number("RESTANTE_SEED", 1985);
    let length = Duration::from_secs(number("RESTANTE_SOAK_SECONDS", 25));
    let scene = Scene::start(Weather { seed, faulty: 35, replayed: 2 }, "");
    let copies = tempfile::tempdir().expect("a temporary directory");
    let (done, failed) = (BTreeMap::new(), BTreeMap::new());
    let mut operator =
        Operator { scene: &scene, random: Random::new(seed), done, failed, copies, generation: 0 };
    let began = Instant::now();
    let seen = storm(&scene, length, &mut operator, seed);
    let ended = began.elapsed();
    operator.release_everything();
    scene.finish(Duration::from_secs(120) + length / 2);
    let account = scene.account();
    say(&format!(
        "RESTANTE_SEED={seed}, {length:?}; the last of it ended after {ended:.1?}, everything was drained after {:.1?}\n{}",
        began.elapsed(),
        scene.told()
    ));
    say(&format!("operator: {:?}; refused or interrupted: {:?}\n{account}", operator.done, operator.failed));
    let (happened, paths) = (scene.happened(), scene.paths());
    account.assert_right();
    assert_eq!(account.held, 0, "{account}");
    let seconds = usize::try_from(length.as_secs()).expect("a number of seconds");
    assert!(account.accepted > 3 * seconds && account.delivered > account.accepted, "{account}");
    assert!(happened.has_each() && happened.faults() > 2 * seconds, "every kind of fault: {happened}");
    assert!(paths.have_each(), "every way to a customer: {paths}");
    assert!(operator.done["kill -9"] >= 2 && operator.done.len() > 5, "{:?}", operator.done);
    let settled = seen.get(seen.len() / 4).expect("it was looked at");
    let last = seen.last().expect("it was looked at");
    assert!(last.0 <= settled.0 + GROWTH_KIB, "memory grows: {seen:?}");
    assert!(last.1 <= settled.1 + 200, "descriptors are not given back: {seen:?}");
    let mut provider = scene.provider();
    assert_eq!(provider.daemon.stop(), Some(0));
    let verified = provider.daemon.admin(&["spool", "verify"]);
    say(&format!(
        "spool verify: {}",
        String::from_utf8_lossy(&verified.stdout).lines().last().unwrap_or_default()
    ));
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
