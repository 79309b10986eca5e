//! Kill -9 at random and at chosen moments: what was granted is there, byte for byte and once; what was settled does
//! not come back; and what failed is reported exactly once.
//!
//! The child is this test program again. It tells on its standard output what it is about to do and what was granted;
//! the parent kills it on one of these lines, or some time after it.
//!
//! `RESTANTE_KILLS=n` kills so often; if it is not given, twice at each of the moments.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it is a test, and its child talks to it"
)]

mod support;
#[path = "support/witness.rs"]
mod witness;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{number, say};
use witness::{DIR, FIRST, Known};

/// What the child says before it does something, or has done it.
const STEPS: [&str; 11] = [
    "@granted",
    "@accepting",
    "@settling",
    "@settled",
    "@delivering",
    "@checkpoint",
    "@open",
    "@noticing",
    "@sent",
    "@concluded",
    "@stopping",
];

#[test]
fn probe_child() {
    support::probe_child();
}

/// The child's part.
#[test]
fn child() {
    witness::child();
}

/// When a child is killed: on the `count`th line that begins so, and a moment later.
fn moment(run: u32) -> (&'static str, u32, Duration) {
    let random = run.wrapping_mul(2_654_435_761) >> 8;
    let pause = Duration::from_micros(u64::from(random % 7) * 700);
    (STEPS[run as usize % STEPS.len()], 1 + random % 23, pause)
}

fn run_child(dir: &Path, run: u32, known: &mut Known) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST, known.next.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (step, count, pause) = moment(run);
    let count = if step == "@open" { 1 } else { count };
    let mut seen = 0;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in &mut lines {
        let line = line.unwrap();
        // The test harness prints the test's name before our first line.
        let said = line.find('@').map_or("", |place| &line[place..]);
        known.hear(said);
        seen += u32::from(said.starts_with(step));
        if seen == count {
            std::thread::sleep(pause);
            child.kill().unwrap();
            break;
        }
    }
    // What it still said before it died.
    for line in lines.map_while(Result::ok) {
        known.hear(line.find('@').map_or("", |place| &line[place..]));
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && seen >= count, "the child of run {run} ended by itself: {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_granted_is_lost_and_nothing_settled_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let kills = number("RESTANTE_KILLS").map_or(2 * STEPS.len(), |kills| usize::try_from(kills).unwrap());
    let mut found = 0;
    for run in 0..u32::try_from(kills).unwrap() {
        let path = dir.path().to_owned();
        known = tokio::task::spawn_blocking(move || {
            run_child(&path, run, &mut known);
            known
        })
        .await
        .unwrap();
        found += known.check(dir.path(), run % 2 == 0).await;
    }
    let Known { granted, settled, failed, concluded, .. } = &known;
    let [granted, settled, failed, concluded] = [granted.len(), settled.len(), failed.len(), concluded.len()];
    say(&format!(
        "{kills} kills: {granted} granted, {settled} settled, {failed} failed, {concluded} concluded, {found} \
         found waiting over all kills, 0 lost, 0 come back"
    ));
    assert!(granted > 5 * kills && settled > kills && found > granted, "the children did their work");
    assert!(failed > kills / 2 && concluded > kills / 2, "and reported");
}
