//! The courier against a primary in memory that says what it is told to.

#[path = "../../../tests/delivery/support/row.rs"]
mod row;
#[expect(dead_code, reason = "shared with the tests from outside, which use more of it")]
#[path = "../../../tests/delivery/support/store.rs"]
mod store;

mod cuts;
mod groups;
mod introduction;
mod primary;
mod tls;
mod turns;

use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_net::ClientConnection;
use restante_queue::{DrainCause, LeaseAnswer, QueueStore};
use restante_smtp::{ClientConfig, ClientSession};
use restante_types::{
    Body, DeliveryState, Domain, DomainMap, Envelope, QueueId, Recipient, ReversePath, UnixMillis,
};
use tokio::io::DuplexStream;

use super::now;
use super::round::{Round, RoundEnd};
use crate::feed::{AheadBudget, FeedOwner, FeedParts, Source};
use crate::news::Nobody;
use crate::notice::{Clerk, NoticeSettings, PostRoom};
use crate::returns::Returns;
use crate::settings::{DeliverySettings, ForwardClient};
use primary::Primary;
use row::{Row, client};
use store::{FakeStore, content};

/// Whoever writes notices, without a house around it.
fn clerk(store: &FakeStore) -> Clerk {
    let settings = Arc::new(ArcSwap::from_pointee(settings()));
    Clerk::new(PostRoom::new(Arc::new(store.clone()), settings, Arc::new(|| UnixMillis::EPOCH)))
}

/// A drain of `example.org` with a queue in memory.
struct Office {
    store: FakeStore,
    owner: FeedOwner,
    domain: Domain,
}

fn id(number: u64) -> QueueId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    QueueId::from_bytes(bytes)
}

fn row(number: u64, recipients: usize, body: Body) -> Row {
    let to = |index: usize| Recipient {
        mailbox: format!("user{index}@example.org").parse().unwrap(),
        notify: None,
        original: None,
    };
    let envelope = Envelope {
        sender: ReversePath::Mailbox(format!("sender{number}@example.com").parse().unwrap()),
        recipients: (0..recipients).map(to).collect(),
        body,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    Row {
        envelope: Arc::new(envelope),
        client: client(),
        size: content(id(number)).len() as u64,
        arrived: UnixMillis::EPOCH,
        next_attempt: None,
        attempts: 0,
        states: vec![DeliveryState::Queued; recipients],
        replies: vec![None; recipients],
    }
}

fn settings() -> DeliverySettings {
    DeliverySettings {
        hostname: "mx2.example.net".parse().unwrap(),
        own_addresses: Vec::new(),
        listeners: Vec::new(),
        is_local: |_| false,
        source_addresses: Vec::new(),
        notices: NoticeSettings::default(),
        domains: DomainMap::default(),
    }
}

impl Office {
    /// A queue with these messages, under a lease, being fed.
    async fn open(rows: Vec<Row>) -> Self {
        let (store, domain) = (FakeStore::default(), Domain::parse("example.org").unwrap());
        let numbered = (0_u64..).zip(rows).map(|(number, row)| (id(number), row));
        store.inside().queue(&domain).rows.extend(numbered);
        let Ok(LeaseAnswer::Leased(lease)) = store.lease(&domain, DrainCause::Etrn).await else {
            panic!("nobody else drains");
        };
        let parts = FeedParts {
            store: Arc::new(store.clone()),
            cause: DrainCause::Etrn,
            clock: Arc::new(|| UnixMillis::EPOCH),
            budget: AheadBudget::default(),
            clerk: clerk(&store),
        };
        let settings = Arc::new(ArcSwap::from_pointee(settings()));
        let returns = Returns::new(parts.store.clone(), settings, Arc::new(Nobody));
        let conduct = returns.begin(&domain, None, false, UnixMillis::EPOCH);
        let owner = FeedOwner::start(&parts, Source { lease, retry: None, conduct }, None);
        Self { store, owner, domain }
    }

    /// As many messages with one recipient each.
    async fn with(messages: u64) -> Self {
        Self::open((0..messages).map(|number| row(number, 1, Body::SevenBit)).collect()).await
    }

    /// One round over a line to this primary.
    async fn round(&self, primary: &Primary) -> RoundEnd {
        self.round_telling(primary, ForwardClient::Off).await
    }

    /// One round in which it is told about the clients.
    async fn round_telling(&self, primary: &Primary, forward: ForwardClient) -> RoundEnd {
        let (ours, theirs) = tokio::io::duplex(4 * 1024 * 1024);
        let feed = self.owner.feed();
        let round = async {
            let connection = ready(ours).await;
            Round::new(connection, &feed, "primary").telling(forward).run().await
        };
        let (end, ()) = tokio::join!(round, primary.clone().converse(theirs));
        end
    }

    /// Settles everything; afterwards the queue shows what happened.
    async fn close(self) -> (FakeStore, Domain) {
        let Self { store, owner, domain } = self;
        owner.finish().await;
        (store, domain)
    }
}

fn states(store: &FakeStore, domain: &Domain, number: u64) -> Vec<DeliveryState> {
    store.row(domain, id(number)).states
}

/// A machine at the end of EHLO, or as far as it came.
async fn ready(stream: DuplexStream) -> ClientConnection<DuplexStream> {
    let config = ClientConfig { hostname: "mx2.example.net".parse().unwrap(), own_names: Vec::new() };
    let mut connection = ClientConnection::new(stream, ClientSession::new(Arc::new(config), now()));
    while !connection.session().has_events() {
        connection.exchange().await;
    }
    connection
}
