//! Where mail of our own is handed in.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_queue::{Destination, NewMessage, QueueStore, StoreError};
use restante_types::{
    Body, ClientFacts, DeliveryState, Domain, Envelope, Mailbox, NOTICES, Notify, QueueId, Recipient,
    ReversePath, UnixMillis, Vouched,
};

use super::kept::Kept;
use super::letter::{Letter, Sender};
use crate::Clock;
use crate::limits::NOTICES_WAITING;
use crate::news::{Nobody, Witness};
use crate::settings::{DeliverySettings, Mode};

/// Why mail of our own was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostError {
    /// An address literal, or a domain whose name leaves no room for the name of its queue.
    #[error("no mail of ours can go to this address")]
    NoQueue,
    /// More waits for this destination than [`NOTICES_WAITING`](crate::limits::NOTICES_WAITING), or more is kept that may
    /// not be sent than [`DEAD_NOTICES`](crate::limits::DEAD_NOTICES).
    #[error("too much mail of ours waits for this destination")]
    TooMany,
    /// Not now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes mail of our own: durable when it answers, delivered in the background. Cheap to clone.
#[derive(Clone)]
pub struct PostRoom {
    pub(super) store: Arc<dyn QueueStore>,
    pub(super) settings: Arc<ArcSwap<DeliverySettings>>,
    pub(super) clock: Clock,
    pub(super) witness: Arc<dyn Witness>,
    pub(super) kept: Kept,
}

/// A message of our own, written.
pub(super) struct Written {
    pub(super) id: QueueId,
    pub(super) to: Mailbox,
    pub(super) content: Vec<u8>,
    pub(super) body: Body,
    /// Kept for the domain's owner and not sent.
    pub(super) dead: bool,
}

impl PostRoom {
    /// For a store and settings.
    #[must_use]
    pub fn new(store: Arc<dyn QueueStore>, settings: Arc<ArcSwap<DeliverySettings>>, clock: Clock) -> Self {
        Self { store, settings, clock, witness: Arc::new(Nobody), kept: Kept::default() }
    }

    /// Tells this one of every notice.
    #[must_use]
    pub fn with_witness(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witness = witness;
        self
    }

    /// Queues a letter. It comes from `<>`, so nothing is ever said about it to anybody.
    ///
    /// # Errors
    /// [`PostError`]; then nothing was queued.
    pub async fn post(&self, letter: &Letter) -> Result<QueueId, PostError> {
        let (settings, now) = (self.settings.load_full(), (self.clock)());
        let id = self.store.mint(now);
        let name = settings.notices.from_name.as_deref();
        let text = letter.write(Sender { hostname: &settings.hostname, name, id, now });
        let to = letter.to.clone();
        let written = Written { id, to, content: text.into_bytes(), body: Body::SevenBit, dead: false };
        self.store(&settings, written, now).await?;
        Ok(id)
    }

    /// Stores a notice in the queue it belongs to, where there is room. Doing it again with the same id is harmless.
    pub(super) async fn hand_in(
        &self,
        settings: &DeliverySettings,
        written: Written,
        now: UnixMillis,
    ) -> Result<(), PostError> {
        let Way { queue, .. } = way(settings, &written.to).ok_or(PostError::NoQueue)?;
        let dead = written.dead;
        if self.is_full(&queue, dead) || dead && !self.may_keep(settings, &queue, now) {
            return Err(PostError::TooMany);
        }
        self.store(settings, written, now).await
    }

    /// Letters, of which there are few, are stored however many notices wait.
    async fn store(
        &self,
        settings: &DeliverySettings,
        written: Written,
        now: UnixMillis,
    ) -> Result<(), PostError> {
        let Written { id, to, content, body, dead } = written;
        let Way { queue, pushes } = way(settings, &to).ok_or(PostError::NoQueue)?;
        let mut buffer = self.store.begin_content();
        buffer.append(&content);
        let content = buffer.seal().await?;
        let first_attempt = pushes.then_some(now);
        let message = NewMessage {
            id,
            envelope: envelope(to, body),
            client: ourselves(settings),
            arrived: now,
            content,
            destinations: vec![Destination { domain: queue, recipients: vec![0], first_attempt, dead }],
            vouched: Vouched::Unchecked,
        };
        self.store.accept(message).await?;
        Ok(())
    }
}

impl PostRoom {
    /// The queue of a domain that we hold is as long as its owner wants it.
    fn is_full(&self, queue: &Domain, dead: bool) -> bool {
        let stats = self.store.stats(queue);
        let kept = stats.parked.get(&DeliveryState::Dead).copied().unwrap_or_default();
        let count = if dead { kept } else { stats.messages };
        queue.notices_to().is_some() && count >= NOTICES_WAITING
    }

    /// Who wrote as whom is anybody's choice, so that what may not be sent must make neither queues without end nor, below
    /// a domain that we hold, any.
    fn may_keep(&self, settings: &DeliverySettings, queue: &Domain, now: UnixMillis) -> bool {
        let is_new = || {
            let stats = self.store.stats(queue);
            stats.messages == 0 && stats.parked.values().all(|count| *count == 0)
        };
        let configured = settings.domains.find(queue).is_some_and(|(found, _)| found == queue);
        let made_up = queue.notices_to().is_none() && !configured && is_new();
        !made_up && self.kept.make_room(&*self.store, now)
    }
}

/// How mail of our own gets to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// The queue it waits in.
    pub(super) queue: Domain,
    /// Whether it leaves on its own.
    pub(super) pushes: bool,
}

/// Mail for a domain that we hold waits with its other mail; all else waits in a queue of notices.
pub(super) fn way(settings: &DeliverySettings, to: &Mailbox) -> Option<Way> {
    let domain = to.domain()?;
    // No such place can exist; who claims to come from there wants to meet our queues.
    if domain.notices_to().is_some() || domain.as_str() == NOTICES {
        return None;
    }
    match settings.domains.find(domain) {
        Some((_, delivery)) => Some(Way { queue: domain.clone(), pushes: delivery.mode == Mode::Push }),
        None => Some(Way { queue: domain.notice_queue()?, pushes: true }),
    }
}

/// [3461-6.1] From `<>`, and NOTIFY=NEVER; neither RET nor ENVID.
fn envelope(to: Mailbox, body: Body) -> Envelope {
    Envelope {
        sender: ReversePath::Null,
        smtputf8: !to.local.is_ascii(),
        recipients: vec![Recipient { mailbox: to, notify: Some(Notify::NEVER), original: None }],
        body,
        ret: None,
        envid: None,
    }
}

/// Who handed it in: nobody but ourselves.
fn ourselves(settings: &DeliverySettings) -> ClientFacts {
    ClientFacts {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        helo: settings.hostname.to_string(),
        identity: None,
        tls: None,
    }
}
