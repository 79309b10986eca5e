//! Messages as they come in, as they are listed, and as work for a drain.

use std::sync::Arc;

use restante_types::{
    ClientFacts, DeliveryState, Domain, Envelope, Mailbox, QueueId, Reply, UnixMillis, Vouched,
};

use crate::content::SealedContent;

/// The unit of work: one message for one domain. A message to three held domains is three of these over one content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// Whose queue it stands in.
    pub domain: Domain,
    /// Which message; ids sort by arrival, so the keys of one domain are first in, first out.
    pub id: QueueId,
}

/// The queue that some of a new message's recipients belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The queue.
    pub domain: Domain,
    /// Indices into the envelope's recipients.
    pub recipients: Vec<u16>,
    /// When to try on our own; `None` waits to be asked (`mode = "on-demand"`).
    pub first_attempt: Option<UnixMillis>,
    /// Stored as a dead letter from the start: nobody is sent it unless it is released.
    pub dead: bool,
}

/// A message to be stored.
#[derive(Debug)]
pub struct NewMessage {
    /// Minted by the caller, so that `accept` may be repeated after an unknown outcome.
    pub id: QueueId,
    /// Who from, who to, with which parameters.
    pub envelope: Envelope,
    /// Who handed it in.
    pub client: ClientFacts,
    /// When.
    pub arrived: UnixMillis,
    /// The content as it will be sent, our Received line on top.
    pub content: SealedContent,
    /// One or more; every recipient is in exactly one.
    pub destinations: Vec<Destination>,
    /// Whether somebody vouches for its sender.
    pub vouched: Vouched,
}

/// What becomes of a recipient that failed or expired, once somebody saw to it; or of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// Its sender was told, or has no claim to be: gone for good.
    Reported,
    /// Its sender may not be told: kept as a dead letter for the domain's owner.
    Dead,
    /// It is a dead letter, and stands in the queue of whom it is for by now: gone for good.
    Sent,
}

/// Where one recipient of an entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientStatus {
    /// Which of the envelope's recipients it is; the same address may stand there twice.
    pub index: u16,
    /// Its address.
    pub mailbox: Mailbox,
    /// Its state.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// What was said last about it: the next hop's reply, or ours for it (`450 4.4.1 connection refused`).
    pub last_reply: Option<Reply>,
}

/// One entry with everything that `list` and `show` tell, without content.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which.
    pub key: EntryKey,
    /// The message's envelope, all domains' recipients included.
    pub envelope: Arc<Envelope>,
    /// Who handed it in.
    pub client: ClientFacts,
    /// When.
    pub arrived: UnixMillis,
    /// Octets of content.
    pub size: u64,
    /// This domain's recipients.
    pub recipients: Vec<RecipientStatus>,
    /// The state of the least finished recipient.
    pub state: DeliveryState,
    /// Stopped by the operator, on its own (its domain may be stopped besides).
    pub held: Option<String>,
    /// When we try on our own next.
    pub next_attempt: Option<UnixMillis>,
    /// Whether somebody vouches for its sender.
    pub vouched: Vouched,
}

/// One entry as a drain needs it.
#[derive(Debug, Clone)]
pub struct Work {
    /// Which message.
    pub id: QueueId,
    /// The message's envelope.
    pub envelope: Arc<Envelope>,
    /// Octets of content.
    pub size: u64,
    /// When it came in.
    pub arrived: UnixMillis,
    /// Indices into the envelope's recipients: those of this domain that still wait. Never empty.
    pub waiting: Vec<u16>,
    /// How often the entry was tried before.
    pub attempts: u32,
    /// Who handed it in.
    pub client: Arc<ClientFacts>,
    /// Whether somebody vouches for its sender.
    pub vouched: Vouched,
}
