//! A child that works on a store and says what it does, and what can be demanded of the store after each of its words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use restante_queue::conformance::{Subject, deferred, domain, key, read_all, reply};
use restante_queue::{
    Conclusion, DomainLease, DrainCause, Entry, HoldKind, HoldOrder, LeaseAnswer, NewMessage, Outcome, Scope,
    Settlement, Work,
};
use restante_types::{DeliveryState, QueueId};

use crate::support::{abandon, all, close, open_at};

/// Where the child works.
pub(crate) const DIR: &str = "RESTANTE_TEST_CRASH_DIR";
/// The number of its first message.
pub(crate) const FIRST: &str = "RESTANTE_TEST_CRASH_FIRST";
const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];
const NOTICES: &str = "n.example";
const STOPPED: &str = "d.example";
const GOES: &str = "goes";

/// The content of a message is known from its number; every 40th is large enough for a file of its own.
fn content(number: u32) -> Vec<u8> {
    let length = if number.is_multiple_of(40) { 500_000 } else { number.wrapping_mul(2_654_435_761) >> 19 };
    // Eight octets in one step: it is made for every message again whenever a store is looked at.
    let mut octets = Vec::with_capacity(length as usize + 8);
    let mut step = u64::from(number) << 32;
    while octets.len() < length as usize {
        step += 1;
        octets.extend_from_slice(&step.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    octets.truncate(length as usize);
    octets
}

/// If it is there, the child goes on after what fails.
pub(crate) const TOLERATES: &str = "RESTANTE_TEST_TOLERATES";

/// Does its work until it is killed.
pub(crate) fn child() {
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
        for round in 0.. {
            tokio::time::sleep(Duration::from_millis(40)).await;
            println!("@checkpoint");
            subject.clock.pass(Duration::from_secs(6));
            let here = subject.clone();
            tolerated(async move {
                drain(&here).await;
                report(&here).await;
            })
            .await;
            let here = subject.clone();
            tolerated(async move { stop_or_go(&here, round).await }).await;
        }
    });
}

async fn tolerated(work: impl Future<Output = ()> + Send + 'static) {
    if let Err(error) = tokio::spawn(work).await {
        if std::env::var_os(TOLERATES).is_none() {
            std::panic::resume_unwind(error.into_panic());
        }
        println!("@trouble");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn fill(subject: Subject, next: Arc<AtomicU32>) {
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let subject = subject.clone();
        tolerated(async move {
            let name = DOMAINS[number as usize % 3];
            let recipients = [format!("x@{name}"), format!("y@{name}"), "z@c.example".to_owned()];
            let recipients: Vec<_> =
                recipients.iter().map(String::as_str).take(1 + number as usize % 3).collect();
            let message = subject.message(&recipients, &content(number)).await;
            println!("@accepting {number}");
            let receipt = subject.store.accept(message).await.unwrap();
            println!("@granted {} {number} {name}", receipt.id());
        })
        .await;
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

/// Stops a domain, for another reason each time, or lets it go.
async fn stop_or_go(subject: &Subject, round: u32) {
    let reason = if round % 3 == 2 { GOES.to_owned() } else { format!("{}-{round}", std::process::id()) };
    println!("@stopping {reason}");
    if reason == GOES {
        subject.store.release_domain(&domain(STOPPED)).await.unwrap();
    } else {
        let order = HoldOrder::new(HoldKind::Operator, reason.clone());
        subject.store.hold_domain(&domain(STOPPED), order).await.unwrap();
    }
    println!("@stopped {reason}");
}

/// Everything that a drain would take, each once.
async fn all_due(subject: &Subject, leases: &[(&str, DomainLease)]) -> BTreeSet<(QueueId, String)> {
    let mut due = BTreeSet::new();
    for (name, lease) in leases {
        let mut after = None;
        loop {
            let page = subject.store.due(lease, Scope::All, after, 1000).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for work in &page {
                assert!(due.insert((work.id, (*name).to_owned())), "{} {name} twice", work.id);
            }
        }
    }
    due
}

/// What the parent knows of what the child said.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// By entry: the number of its message.
    pub(crate) granted: BTreeMap<(QueueId, String), u32>,
    delivering: BTreeSet<(QueueId, String)>,
    /// Of these some recipients may have failed although nobody was told so: the power went in between.
    failing: BTreeSet<(QueueId, String)>,
    pub(crate) settled: BTreeSet<(QueueId, String)>,
    pub(crate) failed: BTreeSet<(QueueId, String)>,
    pub(crate) concluded: BTreeSet<(QueueId, String)>,
    noticing: BTreeSet<(QueueId, String)>,
    /// Why the stopped domain is, and what may have become of that since.
    stop: Option<String>,
    may_stop: BTreeSet<String>,
    pub(crate) next: u32,
}

impl Known {
    /// What the child said, in whole lines.
    pub(crate) fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let entry = |id: &str, name: &str| (id.parse::<QueueId>().unwrap(), name.to_owned());
        match words[..] {
            ["@granted", id, number, name] => {
                let number = number.parse().unwrap();
                self.granted.insert(entry(id, name), number);
            }
            ["@accepting", number] => self.next = self.next.max(number.parse::<u32>().unwrap() + 1),
            ["@delivering", id, name] => drop(self.delivering.insert(entry(id, name))),
            ["@failing", id, name] => {
                self.delivering.insert(entry(id, name));
                self.failing.insert(entry(id, name));
            }
            ["@settled", id, name] => drop(self.settled.insert(entry(id, name))),
            ["@sent", id, name] => assert!(self.settled.insert(entry(id, name)), "{id} was sent twice"),
            ["@failed", id, name] => drop(self.failed.insert(entry(id, name))),
            ["@concluded", id, name] => drop(self.concluded.insert(entry(id, name))),
            ["@noticing", id, name] => drop(self.noticing.insert(entry(id, name))),
            ["@stopping", reason] => drop(self.may_stop.insert(reason.to_owned())),
            ["@stopped", reason] => {
                self.stop = Some(reason.to_owned());
                self.may_stop.clear();
            }
            _ => {}
        }
    }

    /// Opens the store and demands all of it; what waits there.
    pub(crate) async fn check(&self, dir: &Path, clean: bool) -> usize {
        let subject = open_at(dir, Arc::default()).await;
        self.check_stop(&subject);
        self.check_reports(&subject).await;
        let mut leases = Vec::new();
        for name in DOMAINS {
            leases.push((name, subject.lease(name).await));
        }
        let mut due = all_due(&subject, &leases).await;
        assert!(due.is_disjoint(&self.settled) && due.is_disjoint(&self.failed), "settled work comes back");
        for ((id, name), number) in &self.granted {
            if self.delivering.contains(&(*id, name.clone())) {
                continue;
            }
            assert!(due.contains(&(*id, name.clone())), "{id} {name}, message {number}, is missing");
            let reader = subject.store.open_content(&key(name, *id)).await.unwrap();
            assert!(read_all(reader).await == content(*number), "{id} {name}, message {number}, is another");
        }
        // Once the comparison is through, the counts are those of the entries, among them such as were never granted
        // and were found by it. A failure that only the disk had heard of stands there until it is reported.
        let settled = |entry: &Entry| {
            let place = (entry.key.id, entry.key.domain.to_string());
            let failed = entry.state == DeliveryState::Failed && self.failing.contains(&place);
            self.settled.contains(&place) && !failed
        };
        let counted = || DOMAINS.iter().map(|name| subject.waiting(name)).sum::<u64>();
        for _ in 0..2000 {
            if counted() == due.len() as u64 && !all(&subject).await.iter().any(settled) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            due = all_due(&subject, &leases).await;
        }
        assert_eq!(counted(), due.len() as u64, "the counts are off");
        assert!(due.is_disjoint(&self.settled) && due.is_disjoint(&self.failed), "settled work comes back");
        assert!(!all(&subject).await.iter().any(settled), "settled work is listed");
        if clean {
            close(subject).await
        } else {
            abandon(subject).await
        };
        due.len()
    }

    fn check_stop(&self, subject: &Subject) {
        let held = subject.store.stats(&domain(STOPPED)).held;
        let found = held.map_or_else(|| GOES.to_owned(), |note| note.reason);
        let known = self.stop.as_deref().unwrap_or(GOES);
        assert!(found == known || self.may_stop.contains(&found), "the stop is {found}, not {known}");
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
