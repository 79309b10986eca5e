//! Who is told what, over a real store.

mod delayed;
mod failed;
mod relayed;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use restante_queue::conformance::message;
use restante_queue::{
    Destination, DrainCause, DrainReport, EmbeddedOptions, EmbeddedStore, Entry, EntryKey, Filter,
    LeaseAnswer, LowWater, NewMessage, Outcome, QueueStore, Settlement,
};
use restante_types::{
    Body, DeliveryState, Domain, DomainMap, Envelope, Mailbox, Notify, Recipient, Reply, Ret, ReversePath,
    UnixMillis, Vouched,
};
use tempfile::TempDir;

use super::{Clerk, Delayed, NoticeSettings, Notifier, PostRoom};
use crate::Clock;
use crate::news::Nobody;
use crate::returns::Returns;
use crate::settings::{Circuit, DeliverySettings, DomainDelivery, Notices};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a domain wants and what was found about a sender; what becomes of the notice: what is not sent is kept for the
/// domain's owner.
const CHOICES: [(Notices, Vouched, DeliveryState); 8] = [
    (Notices::All, Vouched::No, DeliveryState::Queued),
    (Notices::Verified, Vouched::Spf, DeliveryState::Queued),
    (Notices::Verified, Vouched::Dkim, DeliveryState::Queued),
    (Notices::Verified, Vouched::No, DeliveryState::Dead),
    (Notices::Verified, Vouched::Unchecked, DeliveryState::Dead),
    (Notices::None, Vouched::Spf, DeliveryState::Dead),
    (Notices::None, Vouched::Dkim, DeliveryState::Dead),
    (Notices::None, Vouched::No, DeliveryState::Dead),
];

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn now() -> UnixMillis {
    SystemTime::now().into()
}

fn ago(span: Duration) -> UnixMillis {
    UnixMillis(now().0 - u64::try_from(span.as_millis()).unwrap())
}

/// No circuit, and every sender is told.
fn told() -> DomainDelivery {
    DomainDelivery {
        notices: Notices::All,
        circuit: Circuit { first: None, steady: None },
        ..DomainDelivery::default()
    }
}

/// A message to be held.
struct Mail {
    sender: ReversePath,
    to: Vec<Recipient>,
    vouched: Vouched,
    arrived: UnixMillis,
    content: &'static str,
    ret: Option<Ret>,
}

fn to(address: &str, notify: Option<Notify>) -> Recipient {
    Recipient { mailbox: address.parse().unwrap(), notify, original: None }
}

fn mail(recipients: &[&str]) -> Mail {
    Mail {
        sender: ReversePath::Mailbox("anna@sender.example".parse().unwrap()),
        to: recipients.iter().map(|address| to(address, None)).collect(),
        vouched: Vouched::Unchecked,
        arrived: now(),
        content: "Subject: hello\r\nMessage-ID: <1@sender.example>\r\n\r\nbody\r\n",
        ret: None,
    }
}

/// `example.org` and `example.com` are held.
struct House {
    dir: TempDir,
    store: Arc<EmbeddedStore>,
    settings: Arc<ArcSwap<DeliverySettings>>,
    clerk: Clerk,
    notifier: Notifier,
    delayed: Delayed,
}

fn settings(delivery: &DomainDelivery) -> DeliverySettings {
    let mut domains = DomainMap::default();
    domains.insert(domain("example.org"), false, delivery.clone());
    domains.insert(domain("example.com"), false, delivery.clone());
    domains.insert(
        domain(restante_types::NOTICES),
        true,
        DomainDelivery { notices: Notices::None, ..told() },
    );
    DeliverySettings {
        hostname: domain("mx2.example.net"),
        own_addresses: Vec::new(),
        listeners: Vec::new(),
        source_addresses: Vec::new(),
        is_local: |_| false,
        notices: NoticeSettings::default(),
        domains,
    }
}

impl House {
    async fn new(delivery: DomainDelivery) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Arc::new(ArcSwap::from_pointee(settings(&delivery)));
        Self::open(dir, settings).await
    }

    async fn open(dir: TempDir, settings: Arc<ArcSwap<DeliverySettings>>) -> Self {
        let low_water = LowWater { percent: 0, octets: 0 };
        let options = EmbeddedOptions { low_water, cache_bytes: 4 << 20, ..EmbeddedOptions::new(dir.path()) };
        let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(options)).await.unwrap();
        let store = Arc::new(opened.unwrap());
        let clock: Clock = Arc::new(now);
        let room = PostRoom::new(store.clone(), settings.clone(), clock);
        let clerk = Clerk::new(room);
        let returns = Returns::new(store.clone(), settings.clone(), Arc::new(Nobody));
        let notifier = Notifier::new(clerk.clone(), returns);
        let delayed = Delayed::new(clerk.clone());
        Self { dir, store, settings, clerk, notifier, delayed }
    }

    /// As after a stop: everything in memory is gone.
    async fn again(self) -> Self {
        let Self { dir, store, settings, clerk, notifier, delayed } = self;
        store.close().await;
        drop((store, clerk, notifier, delayed));
        Self::open(dir, settings).await
    }

    async fn accept(&self, mail: Mail) -> EntryKey {
        let of = mail.to[0].mailbox.domain().unwrap().clone();
        let recipients = (0..).take(mail.to.len()).collect();
        let envelope = Envelope {
            sender: mail.sender,
            recipients: mail.to,
            body: Body::SevenBit,
            smtputf8: false,
            ret: mail.ret,
            envid: None,
        };
        let destination = Destination { domain: of.clone(), recipients, first_attempt: None, dead: false };
        let message = NewMessage {
            envelope,
            destinations: vec![destination],
            vouched: mail.vouched,
            ..message(&*self.store, mail.arrived, &[], mail.content.as_bytes()).await
        };
        let id = self.store.accept(message).await.unwrap().id();
        EntryKey { domain: of, id }
    }

    async fn settle(&self, key: &EntryKey, outcomes: Vec<(u16, Outcome)>) {
        let LeaseAnswer::Leased(lease) = self.store.lease(&key.domain, DrainCause::Flush).await.unwrap()
        else {
            panic!("nobody else drains")
        };
        let settlement = Settlement { id: key.id, outcomes };
        self.store.settle(&lease, vec![settlement.clone()]).await.unwrap();
        self.store.end_lease(lease, DrainReport::default()).await.unwrap();
        self.clerk.settled(&key.domain, &settlement);
    }

    /// The primary refuses these recipients.
    async fn refuse(&self, key: &EntryKey, recipients: &[u16]) {
        let reply = Reply::new(550, (5, 1, 1), "no such user");
        self.clerk.refused(&key.domain, key.id, "mail.example.org[192.0.2.1]:25");
        let outcome = |index: &u16| (*index, Outcome::Failed { reply: reply.clone() });
        self.settle(key, recipients.iter().map(outcome).collect()).await;
    }

    /// Entries of a queue, dead ones too.
    async fn entries(&self, queue: &str) -> Vec<Entry> {
        let filter = Filter { domains: vec![domain(queue)], ..Filter::default() };
        self.store.list(&filter, None, 100).await.unwrap().entries
    }

    async fn content(&self, key: &EntryKey) -> String {
        let mut reader = self.store.open_content(key).await.unwrap();
        let mut all = Vec::new();
        while let Some(piece) = reader.next().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        String::from_utf8(all).unwrap()
    }

    /// The only notice in a queue, whole.
    async fn only_notice(&self, queue: &str) -> (Entry, String) {
        let entries = self.entries(queue).await;
        assert_eq!(entries.len(), 1, "in {queue}");
        let entry = entries.into_iter().next().unwrap();
        let content = self.content(&entry.key).await;
        (entry, content)
    }

    /// The one notice that is kept in a queue.
    async fn kept(&self, queue: &str) -> Entry {
        let mut dead = self.entries(queue).await;
        dead.retain(|entry| entry.state == DeliveryState::Dead);
        assert_eq!(dead.len(), 1, "in {queue}");
        dead.remove(0)
    }

    /// The one notice waits in its queue, or is kept for the owner of example.org.
    async fn queued_or_kept(&self, queue: &str, expected: DeliveryState) {
        if expected == DeliveryState::Queued {
            assert_eq!(self.only_notice(queue).await.0.state, expected);
            let parked = self.store.stats(&domain("example.org")).parked;
            assert_eq!(parked.get(&DeliveryState::Dead), None);
        } else {
            assert_eq!(self.kept("example.org").await.state, expected);
            assert!(self.entries(queue).await.is_empty(), "nothing leaves");
        }
    }

    async fn states(&self, key: &EntryKey) -> Vec<DeliveryState> {
        match self.store.get(key).await {
            Ok(entry) => entry.recipients.iter().map(|status| status.state).collect(),
            Err(_) => Vec::new(),
        }
    }
}

fn mailbox(text: &str) -> Mailbox {
    text.parse().unwrap()
}
