//! What every store must do, as one suite: [`run`] for the cases, [`model`] for random operations.
//!
//! A store outside this crate uses it in its tests, with the feature `conformance`. Everything here panics where the
//! store does not do what it must.
#![expect(clippy::unwrap_used, clippy::panic, reason = "it is test code that other crates use too")]

mod drains;
mod holds;
mod intake;
pub mod model;
mod operator;
mod pages;
mod reports;
mod schedule;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use restante_types::{Body, ClientFacts, Domain, Envelope, QueueId, Reply, ReversePath, UnixMillis};

use crate::{
    Clock, ContentReader, Destination, DomainLease, DrainCause, EntryKey, LeaseAnswer, NewMessage, Outcome,
    QueueStore, Scope, Settlement,
};

/// A clock that only moves when it is told to.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

/// Where a [`ManualClock`] starts.
pub const START: UnixMillis = UnixMillis(1_800_000_000_000);

impl Default for ManualClock {
    fn default() -> Self {
        Self { wall: AtomicU64::new(START.0), monotonic: AtomicU64::new(0) }
    }
}

impl ManualClock {
    /// Lets time pass, on both clocks.
    pub fn pass(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap();
        self.monotonic.fetch_add(millis, Ordering::SeqCst);
        self.wall.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock, and only that.
    pub fn set_wall(&self, time: UnixMillis) {
        self.wall.store(time.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixMillis {
        UnixMillis(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
    }
}

/// A fresh store with its clock, and shorthands for what tests do with it.
#[derive(Clone)]
pub struct Subject {
    /// The store.
    pub store: Arc<dyn QueueStore>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
}

/// Runs every case, each on a fresh store.
pub async fn run<M, F>(make: M)
where
    M: Fn(Arc<ManualClock>) -> F,
    F: Future<Output = Arc<dyn QueueStore>>,
{
    let fresh = || async {
        let clock = Arc::new(ManualClock::default());
        Subject { store: make(Arc::clone(&clock)).await, clock }
    };
    intake::what_was_accepted_is_seen_at_once(fresh().await).await;
    intake::content_comes_back_as_it_went_in(fresh().await).await;
    intake::one_message_for_three_domains_is_three_entries(fresh().await).await;
    intake::a_repeated_accept_is_harmless(fresh().await).await;
    intake::an_envelope_that_would_lose_a_recipient_is_refused(fresh().await).await;
    intake::ids_grow(fresh().await);
    drains::a_drain_delivers_oldest_first_and_leaves_nothing(fresh().await).await;
    drains::each_recipient_has_its_own_outcome(fresh().await).await;
    drains::one_lease_per_domain(fresh().await).await;
    drains::a_request_during_a_drain_is_not_lost(fresh().await).await;
    drains::a_domain_stands_in_the_watch_once(fresh().await).await;
    drains::a_stop_fences_the_drain_but_not_what_it_delivered(fresh().await).await;
    drains::a_new_atrn_takes_over_the_earlier_one(fresh().await).await;
    drains::a_drain_is_remembered(fresh().await).await;
    schedule::due_domains_come_in_time(fresh().await).await;
    schedule::notices_crowd_out_no_held_domain(fresh().await).await;
    schedule::only_what_is_due_is_taken_on_schedule(fresh().await).await;
    schedule::resetting_forgets_the_retry_history(fresh().await).await;
    schedule::new_mail_to_be_pushed_wakes_the_watcher(fresh().await).await;
    operator::entries_are_held_and_released(fresh().await).await;
    operator::what_was_deleted_can_be_restored(fresh().await).await;
    operator::what_is_over_is_purged(fresh().await).await;
    operator::old_mail_expires_and_is_parked(fresh().await).await;
    operator::nothing_expires_while_the_clock_is_in_doubt(fresh().await).await;
    operator::a_misrouted_domain_shows_as_such(fresh().await).await;
    pages::pages_show_everything_once(fresh().await).await;
    pages::each_condition_of_the_filter_holds(fresh().await).await;
    pages::stats_come_in_pages(fresh().await).await;
    reports::what_is_known_of_a_message_is_told(fresh().await).await;
    reports::what_failed_is_listed_until_it_is_concluded(fresh().await).await;
    reports::a_dead_letter_can_be_seen_sent_deleted_and_purged(fresh().await).await;
    reports::what_is_stored_dead_is_sent_only_when_released(fresh().await).await;
    reports::a_repeated_accept_stores_nothing_whatever_became_of_it(fresh().await).await;
    reports::what_was_delivered_under_a_lease_that_is_over_counts(fresh().await).await;
    holds::a_stop_with_an_end_says_when_it_is_over(fresh().await).await;
    holds::mail_gets_no_older_while_its_clock_stands_still(fresh().await).await;
    holds::pauses_that_nobody_lived_through_are_forgotten(fresh().await).await;
    holds::nothing_parked_is_purged_while_its_domain_is_stopped(fresh().await).await;
    holds::marks_are_kept_per_domain(fresh().await).await;
    holds::the_queues_below_a_name_are_found(fresh().await).await;
    intake::a_closed_store_is_unavailable(fresh().await).await;
}

/// A domain from a literal.
#[must_use]
pub fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

/// A reply from literals.
#[must_use]
pub fn reply(code: u16) -> Reply {
    Reply::new(code, (u8::try_from(code / 100).unwrap(), 1, 2), format!("because of {code}"))
}

/// An outcome that stays in the queue.
#[must_use]
pub fn deferred(next_attempt: Option<UnixMillis>) -> Outcome {
    Outcome::Deferred { reply: reply(450), next_attempt }
}

/// Everything a reader gives.
pub async fn read_all(mut reader: ContentReader) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        content.extend_from_slice(&piece);
    }
    content
}

/// A message from `sender@example.net` to these recipients, who are sorted into their domains' queues.
pub async fn message(
    store: &dyn QueueStore,
    arrived: UnixMillis,
    recipients: &[&str],
    content: &[u8],
) -> NewMessage {
    let mut buffer = store.begin_content();
    buffer.append(content);
    let envelope = Envelope {
        sender: ReversePath::Mailbox("sender@example.net".parse().unwrap()),
        recipients: recipients
            .iter()
            .map(|text| text.parse::<restante_types::Mailbox>().unwrap().into())
            .collect(),
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    let mut destinations: Vec<Destination> = Vec::new();
    for (index, recipient) in (0..).zip(&envelope.recipients) {
        let domain = recipient.mailbox.domain().unwrap();
        match destinations.iter_mut().find(|destination| destination.domain == *domain) {
            Some(destination) => destination.recipients.push(index),
            None => destinations.push(Destination {
                domain: domain.clone(),
                recipients: vec![index],
                first_attempt: None,
                dead: false,
            }),
        }
    }
    let address = "192.0.2.7".parse().unwrap();
    NewMessage {
        vouched: restante_types::Vouched::Unchecked,
        id: store.mint(arrived),
        envelope,
        client: ClientFacts { address, helo: "client.example".to_owned(), identity: None, tls: None },
        arrived,
        content: buffer.seal().await.unwrap(),
        destinations,
    }
}

impl Subject {
    /// A message to these recipients, who are sorted into their domains' queues.
    pub async fn message(&self, recipients: &[&str], content: &[u8]) -> NewMessage {
        message(&*self.store, self.clock.wall(), recipients, content).await
    }

    /// Stores a message to these recipients.
    pub async fn accept(&self, recipients: &[&str]) -> QueueId {
        let content = format!("Subject: to {recipients:?}\r\n\r\nbody\r\n");
        let message = self.message(recipients, content.as_bytes()).await;
        self.store.accept(message).await.unwrap().id()
    }

    /// Stores a message to one recipient with a first attempt of our own.
    pub async fn accept_pushed(&self, recipient: &str, first_attempt: UnixMillis) -> QueueId {
        let mut message = self.message(&[recipient], b"Subject: pushed\r\n\r\n").await;
        message.destinations[0].first_attempt = Some(first_attempt);
        self.store.accept(message).await.unwrap().id()
    }

    /// The lease, which must be free.
    pub async fn lease(&self, name: &str) -> DomainLease {
        match self.store.lease(&domain(name), DrainCause::Etrn).await.unwrap() {
            LeaseAnswer::Leased(lease) => lease,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The ids that a drain would take.
    pub async fn due(&self, lease: &DomainLease, scope: Scope) -> Vec<QueueId> {
        self.store.due(lease, scope, None, 1000).await.unwrap().into_iter().map(|work| work.id).collect()
    }

    /// Settles one message.
    pub async fn settle(&self, lease: &DomainLease, id: QueueId, outcomes: Vec<(u16, Outcome)>) {
        self.store.settle(lease, vec![Settlement { id, outcomes }]).await.unwrap();
    }

    /// Messages that wait.
    #[must_use]
    pub fn waiting(&self, name: &str) -> u64 {
        self.store.stats(&domain(name)).messages
    }
}

/// A key.
#[must_use]
pub fn key(name: &str, id: QueueId) -> EntryKey {
    EntryKey { domain: domain(name), id }
}
