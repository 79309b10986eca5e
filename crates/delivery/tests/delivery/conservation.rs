//! Through a primary that fails at random each recipient is delivered exactly once, or reported exactly once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use restante_delivery::{
    Clock, Courier, Delivery, DeliveryParts, DomainDelivery, Mode, NextHop, NoRequesters, Nobody, Notices,
    RetryList,
};
use restante_queue::conformance::{message, read_all};
use restante_queue::{DrainCause, EmbeddedOptions, EmbeddedStore, EntryKey, Filter, HoldKind, QueueStore};
use restante_types::{DeliveryState, Domain, DomainMap, ReversePath, UnixMillis};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::{Moody, ScriptedDns, World, domain};

/// How much faster than ours the clock of this world runs: half an hour of patience is three seconds.
const HASTE: u64 = 600;

/// Recipients of one message at most.
const MOST: usize = 4;

struct Trial {
    store: Arc<EmbeddedStore>,
    primary: Moody,
    domain: Domain,
    mode: Mode,
    clock: Clock,
    _directory: TempDir,
}

fn hasty() -> Clock {
    let (began, start) = (Instant::now(), UnixMillis::from(SystemTime::now()));
    Arc::new(move || UnixMillis(start.0 + u64::try_from(began.elapsed().as_millis()).unwrap() * HASTE))
}

fn domains(primary: NextHop, mode: Mode) -> DomainMap<DomainDelivery> {
    let mut domains = DomainMap::default();
    let retry = RetryList::new([5, 10, 30].map(Duration::from_secs).to_vec()).unwrap();
    let notices = Notices::All;
    let held = DomainDelivery { primary, mode, retry, notices, connections: 4, ..DomainDelivery::default() };
    domains.insert(domain("example.org"), false, held);
    let notices = DomainDelivery { mode: Mode::Push, ..DomainDelivery::default() };
    domains.insert(domain("notices.invalid"), true, notices);
    domains
}

impl Trial {
    async fn begin(seed: u64, mode: Mode) -> (Self, Delivery) {
        let primary = Moody::start(seed).await;
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(EmbeddedOptions::new(directory.path())).unwrap());
        let settings = World::settings(domains(NextHop::Literal(primary.address), mode));
        let clock = hasty();
        let delivery = Delivery::start(DeliveryParts {
            store: store.clone(),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            lookup: Arc::new(ScriptedDns::new("")),
            carrier: Arc::new(Courier::default()),
            requesters: Arc::new(NoRequesters),
            witness: Arc::new(Nobody),
            clock: clock.clone(),
        });
        (Self { store, primary, domain: domain("example.org"), mode, clock, _directory: directory }, delivery)
    }

    async fn accept(&self, number: usize, addresses: &[String]) {
        let content = format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(number % 500));
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let mut message = message(&*self.store, (self.clock)(), &addresses, content.as_bytes()).await;
        let sender = format!("sender{number}@s{}.example.net", number % 50);
        message.envelope.sender = ReversePath::Mailbox(sender.parse().unwrap());
        message.destinations[0].first_attempt = (self.mode == Mode::Push).then(&*self.clock);
        self.store.accept(message).await.unwrap();
    }

    async fn fill(&self, recipients: usize) -> Vec<String> {
        let all: Vec<String> = (0..recipients).map(|number| format!("r{number}@example.org")).collect();
        let (mut rest, mut number, mut under_way) = (&all[..], 0, Vec::new());
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rest.len().min(1 + number % MOST));
            under_way.push(self.accept(number, some));
            if under_way.len() == 64 || others.is_empty() {
                crate::support::all_of(under_way.drain(..)).await;
            }
            (rest, number) = (others, number + 1);
        }
        drop(under_way);
        all
    }

    /// Asks as often as a customer with little patience would, and releases as an operator with none; `reported`: until
    /// everybody was told, too. Returns how often it released.
    async fn until_through(&self, reported: bool, limit: Duration) -> usize {
        let (began, mut releases) = (Instant::now(), 0);
        loop {
            let stats = self.store.stats(&self.domain);
            let untold = reported && stats.parked.contains_key(&DeliveryState::Failed);
            if stats.messages == 0 && !untold && stats.draining.is_none() && stats.held.is_none() {
                return releases;
            }
            assert!(began.elapsed() < limit, "{stats:?}");
            if let Some(held) = stats.held {
                assert_eq!(held.kind, HoldKind::Circuit, "{}", held.reason);
                releases += 1;
                self.store.release_domain(&self.domain).await.unwrap();
            } else if stats.draining.is_none() && self.mode == Mode::OnDemand {
                self.store.start_drain(&self.domain, DrainCause::Etrn).unwrap();
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Addresses in all notices that wait to be sent.
    async fn reported(&self) -> HashMap<String, usize> {
        let mut reported = HashMap::new();
        for queue in self.store.queues_below(&domain("notices.invalid"), None, 1000) {
            for key in self.keys(&queue.domain, Vec::new()).await {
                for line in self.text(&key).await.lines() {
                    if let Some(address) = line.strip_prefix("Final-Recipient: rfc822; ") {
                        *reported.entry(address.trim().to_owned()).or_default() += 1;
                    }
                }
            }
        }
        reported
    }

    /// Recipients that were refused and not reported yet.
    async fn refused(&self) -> HashMap<String, usize> {
        let mut refused = HashMap::new();
        for key in self.keys(&self.domain, vec![DeliveryState::Failed]).await {
            let entry = self.store.get(&key).await.unwrap();
            let failed = entry.recipients.iter().filter(|one| one.state == DeliveryState::Failed);
            failed.for_each(|one| *refused.entry(one.mailbox.to_string()).or_default() += 1);
        }
        refused
    }

    async fn keys(&self, domain: &Domain, states: Vec<DeliveryState>) -> Vec<EntryKey> {
        let filter = Filter { domains: vec![domain.clone()], states, ..Filter::default() };
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&filter, after.as_ref(), 100).await.unwrap();
            keys.extend(page.entries.into_iter().map(|entry| entry.key));
            after = match page.next {
                Some(next) => Some(next),
                None => return keys,
            };
        }
    }

    async fn text(&self, key: &EntryKey) -> String {
        let text = read_all(self.store.open_content(key).await.unwrap()).await;
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// `wait`: until nothing is withheld any more.
async fn nothing_is_lost_and_nothing_goes_twice(seed: u64, mode: Mode, recipients: usize, wait: bool) {
    say(&format!("RESTANTE_SEED={seed}, {mode:?}"));
    let limit = Duration::from_secs(600);
    let (trial, delivery) = Trial::begin(seed, mode).await;
    let all = trial.fill(recipients).await;
    let releases = trial.until_through(wait, limit).await;
    delivery.shutdown(Duration::from_secs(10)).await;
    let (taken, reported) = (trial.primary.taken(), trial.reported().await);
    let mut refused = trial.refused().await;
    assert!(!wait || refused.is_empty(), "everybody was told");
    // Who stops between a notice and the conclusion leaves both; whoever goes on from there stores no second notice.
    let between = refused.extract_if(|address, _| reported.contains_key(address)).count();
    assert!(between <= MOST, "{between} were told and stand as refused: more than one message");
    let (sent, told, parked) = (taken.len(), reported.len(), refused.len());
    let times = |of: &HashMap<String, usize>, address: &String| of.get(address).copied().unwrap_or(0);
    let sums: Vec<usize> =
        all.iter().map(|one| [&taken, &reported, &refused].map(|of| times(of, one)).iter().sum()).collect();
    let lost = sums.iter().filter(|sum| **sum == 0).count();
    let doubled: usize = sums.iter().map(|sum| sum.saturating_sub(1)).sum();
    say(&format!(
        "{mode:?}: {recipients} recipients accepted, {sent} delivered, {told} reported, {parked} held as refused, {lost} lost, \
         {doubled} doubled; {releases} times released"
    ));
    for address in &all {
        let each = [&taken, &reported, &refused].map(|of| times(of, address));
        assert_eq!(each.iter().sum::<usize>(), 1, "seed {seed}: {address} delivered, told, refused {each:?}");
    }
    assert_eq!(sent + told + parked, recipients);
    assert!(told + parked > 0, "some are refused");
    trial.store.close().await;
}

/// Past the test harness, which keeps what a passing test prints.
fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// `RESTANTE_RECIPIENTS=25000`: so many, until everybody was told of what was refused; from `RESTANTE_SEED=n`, or a fresh
/// seed each time. Otherwise 500 each on demand and pushed, from that seed and the next, or 3 and 4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_fails_at_random() {
    let seed = number("RESTANTE_SEED");
    if let Some(recipients) = number("RESTANTE_RECIPIENTS") {
        let seed = seed.unwrap_or_else(rand::random);
        let recipients = usize::try_from(recipients).unwrap();
        nothing_is_lost_and_nothing_goes_twice(seed, Mode::OnDemand, recipients, true).await;
        return;
    }
    let seed = seed.unwrap_or(3);
    for (seed, mode) in [(seed, Mode::OnDemand), (seed.wrapping_add(1), Mode::Push)] {
        nothing_is_lost_and_nothing_goes_twice(seed, mode, 500, false).await;
    }
}
