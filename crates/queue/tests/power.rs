//! Power is lost at the syncs of a whole store: log, large files, index, checkpoint and the operator's stops.
//!
//! A child works on a store while everything it does to the disk is written down (`recorder.c`). At the places where a
//! sync was confirmed, and just before, any part of what was not synced is dropped, and a store is opened on the rest:
//! what was granted is there, byte for byte; what was settled does not come back; what failed is still to be reported.
//! The next child goes on from one of these states.
//!
//! `RESTANTE_SEEDS=n` looks at so many states: 160 if not given, at as many of the 1200 places or so that there are; at each
//! place from some 2000 states on. `RESTANTE_SEED=n` begins the chances there. A state in which something is missing is
//! kept; `RESTANTE_POWER_CASE=dir` looks at it again.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it is a test, and its child talks to it"
)]

#[path = "support/journal.rs"]
mod journal;
mod support;
#[path = "support/witness.rs"]
mod witness;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use journal::{Deaf, Found, Journal, Loss, Replay, put};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{number, say};
use tempfile::TempDir;
use tokio::task::JoinSet;
use witness::{DIR, FIRST, Known, TOLERATES};

/// Recordings, each going on where the power was lost in the one before.
const LIVES: usize = 4;

/// Messages granted in each.
const GRANTED: usize = 200;

#[test]
fn probe_child() {
    support::probe_child();
}

/// The child's part.
#[test]
fn child() {
    witness::child();
}

/// In memory where there is such a place: only what is written down counts.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new().prefix("restante-power-").to_owned();
    if memory.is_dir() { builder.tempdir_in(memory).unwrap() } else { builder.tempdir().unwrap() }
}

static RECORDER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("recorder.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/recorder.c");
    let mut compiler = Command::new("cc");
    let built =
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    let built = built.expect("there is a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (dir, library)
});

/// A child that works below `root` while it is written down.
fn recorded(root: &Path, first: u32, journal: &Path) -> Command {
    std::fs::write(journal, []).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(DIR, root.join("data"))
        .env(FIRST, first.to_string())
        .env("LD_PRELOAD", &RECORDER.1)
        .env("RESTANTE_RECORD_DIR", root)
        .env("RESTANTE_RECORD_JOURNAL", journal)
        .env("RESTANTE_RECORD_SLOW", "300");
    child
}

/// Lets a child work until it was granted so many messages; what it did.
fn record(root: &Path, first: u32, granted: usize) -> Journal {
    let scratch = scratch();
    let path = scratch.path().join("journal");
    let mut child = recorded(root, first, &path).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let done = lines.filter(|line| line.contains("@granted")).take(granted).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(done, granted, "the child did its work");
    Journal::read(&path)
}

/// What the child said so far, in whole lines.
#[derive(Clone, Default)]
struct Heard {
    known: Known,
    begun: Vec<u8>,
    /// All of it, for whoever looks at the case again.
    said: String,
}

impl Heard {
    fn hear(&mut self, octets: &[u8]) {
        self.begun.extend_from_slice(octets);
        while let Some(end) = self.begun.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            // The test harness prints the test's name before the first line.
            let said = line.find('@').map_or("", |place| line[place..].trim_end());
            self.known.hear(said);
            self.said.push_str(said);
            self.said.push('\n');
        }
    }
}

/// Opens a store on this state and demands everything that was promised; what waits there, or where the case is kept.
async fn look(found: Found, heard: Arc<Heard>) -> Result<usize, PathBuf> {
    let dir = scratch();
    put(&found, dir.path());
    let (data, known) = (dir.path().join("data"), heard.known.clone());
    match tokio::spawn(async move { known.check(&data, false).await }).await {
        Ok(due) => Ok(due),
        Err(_) => {
            let case = scratch().keep();
            put(&found, &case);
            std::fs::write(case.join("said"), &heard.said).unwrap();
            Err(case)
        }
    }
}

#[derive(Default)]
struct Sums {
    states: usize,
    points: usize,
    /// Of so many that there were.
    of: usize,
    changes: usize,
    dropped: usize,
    lossy: usize,
    due: usize,
}

/// Looks at so many states of one recording, at each sync if they are as many, else at some all over it; one of the states to go on
/// with, and what was known there.
async fn examine(
    replay: &mut Replay,
    journal: &Journal,
    states: usize,
    rng: &mut StdRng,
    heard: &mut Heard,
    sums: &mut Sums,
) -> Result<(Found, Heard), PathBuf> {
    let points = journal.sync_points();
    assert!(points.len() > 60, "the child syncs what it does: {}", points.len());
    let mut looks: Vec<usize> = (0..states).map(|state| points[state * points.len() / states]).collect();
    looks.dedup();
    sums.of += points.len();
    let each = states.div_ceil(looks.len());
    let next = rng.random_range(looks.len() / 2..looks.len());
    let (mut begun, mut onward) = (JoinSet::new(), None);
    for (number, place) in looks.iter().enumerate() {
        replay.go_to(journal, *place, |octets| heard.hear(octets));
        sums.points += 1;
        sums.changes += replay.unsynced();
        let here = Arc::new(heard.clone());
        for turn in 0..each {
            let (loss, seed) = (Loss::EVERY[(number + turn) % 4], rng.random());
            let (found, dropped) = replay.after(loss, seed);
            sums.dropped += dropped;
            sums.lossy += usize::from(dropped > 0);
            sums.states += 1;
            if begun.len() >= 3 {
                sums.due += begun.join_next().await.unwrap().unwrap()?;
            }
            begun.spawn(look(found, Arc::clone(&here)));
        }
        if number == next {
            onward = Some((replay.after(Loss::Random, rng.random()).0, heard.clone()));
        }
    }
    while let Some(done) = begun.join_next().await {
        sums.due += done.unwrap()?;
    }
    Ok(onward.unwrap())
}

/// Some lives of a store; the first state in which something is missing.
async fn lives(lives: usize, states: usize, seed: u64, deaf: Option<Deaf>) -> Result<(Sums, Heard), PathBuf> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut sums, mut heard) = (Sums::default(), Heard::default());
    let mut found = Found::new();
    let mut unheard = 0;
    for _ in 0..lives {
        let root = scratch();
        put(&found, root.path());
        let mut replay = Replay::new(root.path(), deaf);
        let journal = record(root.path(), heard.known.next, GRANTED);
        heard.begun.clear();
        let onward = examine(&mut replay, &journal, states / lives, &mut rng, &mut heard, &mut sums).await;
        unheard += replay.unheard();
        (found, heard) = onward?;
    }
    assert!(deaf.is_none() || unheard > 0, "{deaf:?} is about nothing");
    Ok((sums, heard))
}

/// [5321-4.2.5]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_outlives_the_loss_of_power_at_every_sync() {
    if let Some(case) = std::env::var_os("RESTANTE_POWER_CASE") {
        let (case, mut heard) = (PathBuf::from(case), Heard::default());
        heard.hear(&std::fs::read(case.join("said")).unwrap());
        let copy = scratch();
        support::copy_dir(&case, copy.path());
        heard.known.check(&copy.path().join("data"), false).await;
        return;
    }
    let seed = number("RESTANTE_SEED").unwrap_or_else(rand::random);
    say(&format!("RESTANTE_SEED={seed}"));
    let states = number("RESTANTE_SEEDS").unwrap_or(160);
    let mut all = Sums::default();
    let (mut granted, mut settled, mut rounds) = (0, 0, 0);
    while (all.states as u64) < states {
        let now = usize::try_from((states - all.states as u64).min(4000)).unwrap().max(8);
        let done = lives(LIVES, now, seed.wrapping_add(rounds), None).await;
        let (sums, Heard { known, .. }) = done.unwrap_or_else(|case| {
            panic!("look at it again with RESTANTE_POWER_CASE={}", case.display());
        });
        rounds += 1;
        (granted, settled) = (granted + known.granted.len(), settled + known.settled.len());
        all.states += sums.states;
        all.points += sums.points;
        all.of += sums.of;
        all.changes += sums.changes;
        all.dropped += sums.dropped;
        all.lossy += sums.lossy;
        all.due += sums.due;
        say(&format!(
            "power lost in {} states at {} of {} syncs, {} of them without something unsynced that was there ({} \
             changes dropped): {granted} granted, {settled} settled, {} found waiting over all states, 0 lost, 0 come \
             back",
            all.states, all.points, all.of, all.lossy, all.dropped, all.due
        ));
    }
    assert!(all.lossy * 2 > all.states && all.changes > all.points, "the disk forgot something");
    assert!(granted > 100 && settled > 10 && all.due > all.states, "the children did their work");
}

/// Kinds of calls as the recorder has them.
const CALLS: [(&str, u64); 7] = [
    ("create", 1),
    ("write", 2),
    ("set the length", 3),
    ("rename", 5),
    ("remove", 6),
    ("make a directory", 7),
    ("sync", 8),
];

/// Lets a child work while one call fails, and a little longer.
fn record_failing(root: &Path, kind: u64, after: u64, errno: i32) -> Journal {
    let scratch = scratch();
    let path = scratch.path().join("journal");
    let mut command = recorded(root, 0, &path);
    command.env("RESTANTE_RECORD_FAIL", format!("{kind} {after} {errno}")).env(TOLERATES, "1");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(6);
    let count = |octets: &[u8]| octets.windows(8).filter(|window| window == b"@granted").count();
    while child.try_wait().unwrap().is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        let octets = std::fs::read(&path).unwrap();
        let troubled = octets.windows(8).any(|window| window == b"@trouble");
        if count(&octets) > 60 || troubled {
            std::thread::sleep(Duration::from_millis(100));
            break;
        }
    }
    let _ = child.kill();
    child.wait().unwrap();
    Journal::read(&path)
}

/// One call of a kind fails, then the power goes: at the end, or at any point since. False: there were not so many calls.
async fn fail_one(kind: u64, after: u64, rng: &mut StdRng, sums: &mut Sums) -> Result<bool, PathBuf> {
    let root = scratch();
    let mut replay = Replay::new(root.path(), None);
    let errno = [nix::libc::EIO, nix::libc::ENOSPC][rng.random_range(0..2)];
    let journal = record_failing(root.path(), kind, after, errno);
    let Some(failed) = journal.failed() else { return Ok(false) };
    let mut points: Vec<_> = (0..3).map(|_| rng.random_range(failed..=journal.len())).collect();
    points.extend([journal.len(); 3]);
    points.sort_unstable();
    let mut heard = Heard::default();
    for (turn, place) in points.into_iter().enumerate() {
        replay.go_to(&journal, place, |octets| heard.hear(octets));
        let (found, dropped) = replay.after(Loss::EVERY[turn % 4], rng.random());
        sums.dropped += dropped;
        sums.states += 1;
        sums.due += look(found, Arc::new(heard.clone())).await?;
    }
    sums.points += heard.known.granted.len();
    Ok(true)
}

/// Each call of a store's first moments fails once: nobody is promised anything that does not outlive the loss of power
/// after it. `RESTANTE_CALLS=n` takes the first n of each kind; if it is not given, two of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_call_fails_before_the_power_no_promise_is_broken() {
    let seed = number("RESTANTE_SEED").unwrap_or_else(rand::random);
    say(&format!("RESTANTE_SEED={seed}"));
    let (mut rng, all) = (StdRng::seed_from_u64(seed), number("RESTANTE_CALLS"));
    let usual = record_failing(scratch().path(), 0, 0, 0);
    let (mut sums, mut hits) = (Sums::default(), 0);
    for (what, kind) in CALLS {
        let usual = usual.count(kind);
        let places: Vec<u64> = match all {
            Some(all) => (0..all).collect(),
            None => (0..2).filter(|_| usual > 0).map(|_| rng.random_range(0..usual.div_ceil(2))).collect(),
        };
        let mut failed = 0;
        for after in places {
            let done = fail_one(kind, after, &mut rng, &mut sums).await.unwrap_or_else(|case| {
                panic!("to {what}, number {after}: look again with RESTANTE_POWER_CASE={}", case.display())
            });
            failed += u32::from(done);
            if !done && all.is_some() {
                break;
            }
        }
        say(&format!("to {what}: {usual} calls, {failed} of them failed once"));
        hits += failed;
    }
    assert!(hits > 3 && sums.due > 0, "few calls failed: {hits}");
    say(&format!(
        "each followed by a loss of power, {} states: {} granted, {} found waiting over all states, 0 lost",
        sums.states, sums.points, sums.due
    ));
}

/// The control: a program that leaves out one kind of sync is found out.
#[tokio::test]
async fn a_sync_that_is_left_out_is_found_out_when_power_is_lost() {
    for (what, deaf) in [
        ("a segment's octets", Deaf::FilesIn("data/log")),
        ("a segment's name", Deaf::Path("data/log")),
        ("a large file's octets", Deaf::FilesIn("data/incoming")),
        ("a large file's name", Deaf::Path("data/large")),
        ("the octets of the operator's stops", Deaf::Path("data/domains.new")),
        ("the name of the operator's stops", Deaf::Path("data")),
    ] {
        let mut found_out = None;
        for seed in 0..6 {
            if let Err(case) = lives(1, 240, seed, Some(deaf)).await {
                std::fs::remove_dir_all(case).unwrap();
                found_out = Some(seed + 1);
                break;
            }
        }
        say(&format!("without the sync of {what}: found out in recording {found_out:?}"));
        assert!(found_out.is_some(), "nobody misses the sync of {what}");
    }
}

/// The index may forget whatever it was given: the log has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_never_synced_costs_nothing_when_power_is_lost() {
    let (sums, _) = lives(2, 60, 1, Some(Deaf::FilesIn("data/index"))).await.unwrap_or_else(|case| {
        panic!("look at it again with RESTANTE_POWER_CASE={}", case.display());
    });
    assert!(sums.due > 0);
}
