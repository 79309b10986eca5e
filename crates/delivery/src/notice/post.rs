//! Where mail of our own is handed in.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_queue::{
    Conclusion, Destination, Entry, EntryKey, NewMessage, QueueStore, SealedContent, StoreError,
};
use restante_types::{
    Body, ClientFacts, DeliveryState, Domain, Envelope, Mailbox, NOTICES, Notify, QueueId, Recipient,
    ReversePath, UnixMillis, Vouched,
};

use super::letter::{Letter, Sender};
use crate::Clock;
use crate::events;
use crate::limits::{DEAD_NOTICES, NOTICES_WAITING};
use crate::news::{Nobody, Witness};
use crate::settings::{DeliverySettings, Mode};

/// Why mail of our own was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostError {
    /// An address literal, or a domain whose name leaves no room for the name of its queue.
    #[error("no mail of ours can go to this address")]
    NoQueue,
    /// More waits for this destination than [`NOTICES_WAITING`](crate::limits::NOTICES_WAITING), or the owner that it would
    /// be kept for has more dead letters than [`DEAD_NOTICES`](crate::limits::DEAD_NOTICES).
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
}

/// A message of our own, written.
pub(super) struct Written {
    pub(super) id: QueueId,
    pub(super) to: Mailbox,
    pub(super) content: Vec<u8>,
    pub(super) body: Body,
    /// It is not sent: it is kept among the dead letters of this domain.
    pub(super) kept_for: Option<Domain>,
}

impl PostRoom {
    /// For a store and settings.
    #[must_use]
    pub fn new(store: Arc<dyn QueueStore>, settings: Arc<ArcSwap<DeliverySettings>>, clock: Clock) -> Self {
        Self { store, settings, clock, witness: Arc::new(Nobody) }
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
        let written = Written { id, to, content: text.into_bytes(), body: Body::SevenBit, kept_for: None };
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
        let full = match &written.kept_for {
            Some(owner) => self.has_enough(owner),
            None => self.is_full(&queue),
        };
        if full {
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
        let Written { id, to, content, body, kept_for } = written;
        let Way { queue, pushes } = way(settings, &to).ok_or(PostError::NoQueue)?;
        let mut buffer = self.store.begin_content();
        buffer.append(&content);
        let content = buffer.seal().await?;
        let dead = kept_for.is_some();
        let domain = kept_for.unwrap_or_else(|| queue.clone());
        // From the queue of somebody else's mail it never leaves.
        let first_attempt = (pushes && domain == queue).then_some(now);
        let message = NewMessage {
            id,
            envelope: envelope(to, body),
            client: ourselves(settings),
            arrived: now,
            content,
            destinations: vec![Destination { domain, recipients: vec![0], first_attempt, dead }],
            vouched: Vouched::Unchecked,
        };
        self.store.accept(message).await?;
        Ok(())
    }

    /// Sends a notice that was kept among the dead letters of the domain it is about: it is stored in the queue of whom it
    /// is for, and then it is no dead letter any more. A crash between the two leaves it there, and doing it again stores
    /// nothing twice. `None`: it is no such notice. False: it stays, for nothing can go to that address now, or it cannot
    /// be read.
    ///
    /// # Errors
    /// The store's; doing it again is harmless.
    pub async fn send_kept(&self, key: &EntryKey) -> Result<Option<bool>, StoreError> {
        let entry = match self.store.get(key).await {
            Ok(entry) => entry,
            Err(StoreError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(to) = kept_notice_to(&entry) else { return Ok(None) };
        let (settings, now) = (self.settings.load_full(), (self.clock)());
        let Some(Way { queue, pushes }) = way(&settings, to) else { return Ok(Some(false)) };
        let content = match self.copy(key).await {
            Ok(content) => content,
            Err(StoreError::Damaged(_) | StoreError::NotFound) => return Ok(Some(false)),
            Err(error) => return Err(error),
        };
        let first_attempt = pushes.then_some(now);
        let message = NewMessage {
            id: key.id.derived(b"sent"),
            envelope: Envelope::clone(&entry.envelope),
            client: entry.client,
            arrived: now,
            content,
            destinations: vec![Destination {
                domain: queue,
                recipients: vec![0],
                first_attempt,
                dead: false,
            }],
            vouched: Vouched::Unchecked,
        };
        let id = self.store.accept(message).await?.id();
        self.store.conclude(key, &[0], Conclusion::Sent).await?;
        events::kept_notice_sent(key, id);
        Ok(Some(true))
    }

    async fn copy(&self, key: &EntryKey) -> Result<SealedContent, StoreError> {
        let mut content = self.store.open_content(key).await?;
        let mut buffer = self.store.begin_content();
        while let Some(piece) = content.next().await? {
            buffer.append(&piece);
        }
        buffer.seal().await
    }

    /// The queue of a domain that we hold is as long as its owner wants it.
    fn is_full(&self, queue: &Domain) -> bool {
        queue.notices_to().is_some() && self.store.stats(queue).messages >= NOTICES_WAITING
    }

    fn has_enough(&self, owner: &Domain) -> bool {
        let parked = self.store.stats(owner).parked;
        parked.get(&DeliveryState::Dead).is_some_and(|count| *count >= DEAD_NOTICES)
    }
}

/// Whom a notice is for that is kept in the queue of the domain it is about. Nothing else that stands there is for somebody
/// at another domain.
fn kept_notice_to(entry: &Entry) -> Option<&Mailbox> {
    let [only] = entry.recipients.as_slice() else { return None };
    let dead = only.state == DeliveryState::Dead && entry.envelope.sender == ReversePath::Null;
    let about_mail = entry.key.domain.notices_to().is_none();
    let elsewhere = only.mailbox.domain().is_some_and(|domain| *domain != entry.key.domain);
    (dead && about_mail && elsewhere).then_some(&only.mailbox)
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
