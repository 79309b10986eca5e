//! Kill -9 at random and at chosen moments: what was granted is there, byte for byte and once; what was settled does
//! not come back; and what failed is reported exactly once.
//!
//! The child is this test program again. It tells on its standard output what it is about to do and what was granted;
//! the parent kills it on one of these lines, or some time after it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it is a test, and its child talks to it"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use restante_queue::conformance::{Subject, deferred, domain, key, read_all, reply};
use restante_queue::{
    Conclusion, DrainCause, Entry, LeaseAnswer, NewMessage, Outcome, Scope, Settlement, Work,
};
use restante_types::QueueId;
use support::{abandon, all, close, open_at};

const DIR: &str = "RESTANTE_TEST_CRASH_DIR";
const FIRST: &str = "RESTANTE_TEST_CRASH_FIRST";
const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];
const NOTICES: &str = "n.example";

#[test]
fn probe_child() {
    support::probe_child();
}

/// The content of a message is known from its number; every 40th is large enough for a file of its own.
fn content(number: u32) -> Vec<u8> {
    let length = if number.is_multiple_of(40) { 300_000 } else { number.wrapping_mul(2_654_435_761) >> 19 };
    let mut octet = number;
    let line = |octet: &mut u32| {
        *octet = octet.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*octet >> 24) as u8
    };
    (0..length).map(|_| line(&mut octet)).collect()
}

/// Does its work until it is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let subject = open_at(Path::new(&dir), Arc::default()).await;
        println!("@open");
        let next = Arc::new(AtomicU32::new(first));
        for _ in 0..8 {
            tokio::spawn(fill(subject.clone(), Arc::clone(&next)));
        }
        // The clock is one that only moves when told; this makes checkpoints come.
        loop {
            tokio::time::sleep(Duration::from_millis(40)).await;
            println!("@checkpoint");
            subject.clock.pass(Duration::from_secs(6));
            drain(&subject).await;
            report(&subject).await;
        }
    });
}

async fn fill(subject: Subject, next: Arc<AtomicU32>) {
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let name = DOMAINS[number as usize % 3];
        let recipients = [format!("x@{name}"), format!("y@{name}"), "z@c.example".to_owned()];
        let recipients: Vec<_> =
            recipients.iter().map(String::as_str).take(1 + number as usize % 3).collect();
        let message = subject.message(&recipients, &content(number)).await;
        println!("@accepting {number}");
        let receipt = subject.store.accept(message).await.unwrap();
        println!("@granted {} {number} {name}", receipt.id());
        // Enough to keep every step busy, few enough to compare all of them after each run.
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

async fn drain(subject: &Subject) {
    for name in DOMAINS {
        let LeaseAnswer::Leased(lease) = subject.store.lease(&domain(name), DrainCause::Etrn).await.unwrap()
        else {
            panic!("nobody else drains");
        };
        let work = subject.store.due(&lease, Scope::All, None, 12).await.unwrap();
        let mut settlements = Vec::new();
        for (place, work) in work.into_iter().enumerate() {
            let (doing, outcome) = match place % 6 {
                3 => ("deferring", deferred(None)),
                5 => ("failing", Outcome::Failed { reply: reply(550) }),
                _ => ("delivering", Outcome::Delivered),
            };
            println!("@{doing} {} {name}", work.id);
            settlements.push(Settlement {
                id: work.id,
                outcomes: work.waiting.iter().map(|index| (*index, outcome.clone())).collect(),
            });
        }
        let ids: Vec<_> = settlements.iter().map(|settlement| settlement.id).collect();
        println!("@settling");
        subject.store.settle(&lease, settlements).await.unwrap();
        for (place, id) in ids.into_iter().enumerate().filter(|(place, _)| place % 6 != 3) {
            println!("@{} {id} {name}", if place % 6 == 5 { "failed" } else { "settled" });
        }
    }
}

/// A notice for each entry that failed, sent before the entry is concluded: whoever is killed in between repeats it.
async fn report(subject: &Subject) {
    let mut unreported = Vec::new();
    for name in DOMAINS {
        unreported.extend(subject.store.unreported(&domain(name), None, 100).await.unwrap());
    }
    for Entry { key, .. } in &unreported {
        let message = subject.message(&["x@n.example"], key.domain.as_str().as_bytes()).await;
        let id = key.id.derived(key.domain.as_str().as_bytes());
        println!("@noticing {id} {NOTICES}");
        subject.store.accept(NewMessage { id, ..message }).await.unwrap();
    }
    let lease = subject.lease(NOTICES).await;
    let work = subject.store.due(&lease, Scope::All, None, 1000).await.unwrap();
    let sent = |work: &Work| Settlement { id: work.id, outcomes: vec![(0, Outcome::Delivered)] };
    subject.store.settle(&lease, work.iter().map(sent).collect()).await.unwrap();
    work.iter().for_each(|work| println!("@sent {} {NOTICES}", work.id));
    for Entry { key, .. } in unreported {
        let how = if key.id.to_bytes()[15] % 2 == 0 { Conclusion::Reported } else { Conclusion::Dead };
        assert!(subject.store.conclude(&key, &[0, 1, 2], how).await.unwrap() > 0);
        println!("@concluded {} {}", key.id, key.domain);
    }
}

/// What the parent knows of what the child said.
#[derive(Default)]
struct Known {
    /// By entry: the number of its message.
    granted: BTreeMap<(QueueId, String), u32>,
    delivering: BTreeSet<(QueueId, String)>,
    settled: BTreeSet<(QueueId, String)>,
    failed: BTreeSet<(QueueId, String)>,
    concluded: BTreeSet<(QueueId, String)>,
    noticing: BTreeSet<(QueueId, String)>,
    next: u32,
}

impl Known {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let entry = |id: &str, name: &str| (id.parse::<QueueId>().unwrap(), name.to_owned());
        match words[..] {
            ["@granted", id, number, name] => {
                let number = number.parse().unwrap();
                self.granted.insert(entry(id, name), number);
            }
            ["@accepting", number] => self.next = self.next.max(number.parse::<u32>().unwrap() + 1),
            ["@delivering" | "@failing", id, name] => drop(self.delivering.insert(entry(id, name))),
            ["@settled", id, name] => drop(self.settled.insert(entry(id, name))),
            ["@sent", id, name] => assert!(self.settled.insert(entry(id, name)), "{id} was sent twice"),
            ["@failed", id, name] => drop(self.failed.insert(entry(id, name))),
            ["@concluded", id, name] => drop(self.concluded.insert(entry(id, name))),
            ["@noticing", id, name] => drop(self.noticing.insert(entry(id, name))),
            _ => {}
        }
    }

    async fn check(&self, dir: &Path, clean: bool) {
        let subject = open_at(dir, Arc::default()).await;
        self.check_reports(&subject).await;
        let mut due = BTreeSet::new();
        for name in DOMAINS {
            let lease = subject.lease(name).await;
            let mut after = None;
            loop {
                let page = subject.store.due(&lease, Scope::All, after, 1000).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                for work in &page {
                    assert!(due.insert((work.id, name.to_owned())), "{} {name} twice", work.id);
                }
            }
        }
        assert!(due.is_disjoint(&self.settled) && due.is_disjoint(&self.failed), "settled work comes back");
        for ((id, name), number) in &self.granted {
            if self.delivering.contains(&(*id, name.clone())) {
                continue;
            }
            assert!(due.contains(&(*id, name.clone())), "{id} {name}, message {number}, is missing");
            let reader = subject.store.open_content(&key(name, *id)).await.unwrap();
            assert!(read_all(reader).await == content(*number), "{id} {name}, message {number}, is another");
        }
        // Once the comparison is through, the counts are those of the entries.
        let settled = |entry: &restante_queue::Entry| {
            self.settled.contains(&(entry.key.id, entry.key.domain.to_string()))
        };
        for _ in 0..2000 {
            if DOMAINS.iter().map(|name| subject.waiting(name)).sum::<u64>() == due.len() as u64 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let counted: u64 = DOMAINS.iter().map(|name| subject.waiting(name)).sum();
        assert_eq!(counted, due.len() as u64, "the counts are off");
        assert!(!all(&subject).await.iter().any(settled), "settled work is listed");
        if clean {
            close(subject).await
        } else {
            abandon(subject).await
        };
    }
}

impl Known {
    /// What failed and was not concluded is found; what was concluded is not; and whoever goes on where the child was
    /// killed tells nobody twice.
    async fn check_reports(&self, subject: &Subject) {
        let mut unreported = BTreeSet::new();
        for name in DOMAINS {
            // What the index missed is known once it was compared with the log.
            let mut tries = 0..2000;
            unreported = loop {
                let found = subject.store.unreported(&domain(name), None, 1000).await.unwrap();
                let entry = |entry: Entry| (entry.key.id, name.to_owned());
                let found: BTreeSet<_> = found.into_iter().map(entry).chain(unreported.clone()).collect();
                let missed = |entry: &&(QueueId, String)| entry.1 == name && !self.may_be_concluded(entry);
                if self.failed.iter().filter(missed).all(|entry| found.contains(entry))
                    || tries.next().is_none()
                {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
        }
        assert!(unreported.is_disjoint(&self.concluded), "what was concluded comes back");
        for entry in self.failed.iter().filter(|entry| !self.may_be_concluded(entry)) {
            assert!(unreported.contains(entry), "{entry:?} failed, and nobody will be told");
        }
        for (id, name) in &unreported {
            let notice = id.derived(name.as_bytes());
            let message = subject.message(&["x@n.example"], name.as_bytes()).await;
            subject.store.accept(NewMessage { id: notice, ..message }).await.unwrap();
        }
        let lease = subject.lease(NOTICES).await;
        for notice in subject.due(&lease, Scope::All).await {
            let sent = self.settled.contains(&(notice, NOTICES.to_owned()));
            assert!(!sent, "the notice {notice} was sent and would be sent again");
        }
    }

    /// Whether a conclusion of it may have been under way.
    fn may_be_concluded(&self, (id, name): &(QueueId, String)) -> bool {
        self.noticing.contains(&(id.derived(name.as_bytes()), NOTICES.to_owned()))
    }
}

/// When a child is killed: on the `count`th line that begins so, and a moment later.
fn moment(run: u32) -> (&'static str, u32, Duration) {
    let steps = [
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
    ];
    let random = run.wrapping_mul(2_654_435_761) >> 8;
    let pause = Duration::from_micros(u64::from(random % 7) * 700);
    (steps[run as usize % steps.len()], 1 + random % 23, pause)
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
    for run in 0..40 {
        let path = dir.path().to_owned();
        known = tokio::task::spawn_blocking(move || {
            run_child(&path, run, &mut known);
            known
        })
        .await
        .unwrap();
        known.check(dir.path(), run % 2 == 0).await;
    }
    assert!(known.granted.len() > 200 && known.settled.len() > 50, "the children did their work");
    assert!(known.failed.len() > 20 && known.concluded.len() > 20, "and reported");
}
