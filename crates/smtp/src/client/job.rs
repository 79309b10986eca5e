//! What a client is given to send, and whether this server can take it.

use std::sync::Arc;

use restante_types::{Body, EnhancedStatusCode, Envelope, Mailbox, Recipient, Reply, ReversePath};

use super::limits::MAX_RECIPIENTS;
use crate::capabilities::Capabilities;
use crate::origin::Origin;

/// One transaction to be: an envelope, which of its recipients, and how much content.
#[derive(Debug, Clone)]
pub struct MailJob {
    /// Sender, parameters, and all recipients of the message.
    pub envelope: Arc<Envelope>,
    /// Indices into the envelope's recipients; 1 to [`MAX_RECIPIENTS`], each only once.
    pub recipients: Vec<u16>,
    /// Octets of content, exactly; content is canonical (CRLF only) and not dot-stuffed.
    pub size: u64,
    /// Who handed it in, where the server is to be told by XFORWARD and offers to listen.
    pub origin: Option<Arc<Origin>>,
}

impl MailJob {
    /// The recipients of this transaction.
    pub(super) fn addressees(&self) -> impl Iterator<Item = &Recipient> {
        self.recipients.iter().filter_map(|index| self.envelope.recipients.get(usize::from(*index)))
    }

    /// Whether it needs SMTPUTF8 (RFC 6531 3.4): it came with it, or an address of it cannot be written in ASCII.
    pub(super) fn needs_smtputf8(&self) -> bool {
        let sender = match &self.envelope.sender {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        };
        let beyond_ascii = |mailbox: &Mailbox| !mailbox.local.is_ascii();
        self.envelope.smtputf8
            || sender.is_some_and(beyond_ascii)
            || self.addressees().any(|recipient| beyond_ascii(&recipient.mailbox))
    }

    /// Whether the server can take it.
    pub(super) fn check(&self, server: &Capabilities) -> Result<(), Unsendable> {
        let indices =
            self.recipients.iter().all(|index| usize::from(*index) < self.envelope.recipients.len());
        if self.recipients.is_empty() || self.recipients.len() > MAX_RECIPIENTS || !indices {
            return Err(Unsendable::Malformed);
        }
        // [6152-a-client]: 8-bit content goes only to who says 8BITMIME; nothing is ever re-encoded here.
        if self.envelope.body == Body::EightBitMime && !server.eight_bit_mime {
            return Err(Unsendable::EightBitMime);
        }
        // [6531-3.5-client]
        if self.needs_smtputf8() && !server.smtputf8 {
            return Err(Unsendable::SmtpUtf8);
        }
        // [1870-5]
        match server.size_limit() {
            Some(limit) if self.size > limit => Err(Unsendable::Size { limit }),
            _ => Ok(()),
        }
    }
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The window is full, or the machine is not ready; see [`room`](super::ClientSession::room).
    #[error("no room for another transaction now")]
    NoRoom,
    /// No recipient, too many of them, or an index that is none.
    #[error("a transaction has 1 to {MAX_RECIPIENTS} recipients of its envelope")]
    Malformed,
    /// The content has 8-bit octets and the server has no 8BITMIME.
    #[error("the next hop does not take 8-bit content")]
    EightBitMime,
    /// The message needs SMTPUTF8 and the server has none.
    #[error("the next hop does not take internationalised mail")]
    SmtpUtf8,
    /// The message is larger than the server takes.
    #[error("the next hop takes messages of at most {limit} octets")]
    Size {
        /// What it takes.
        limit: u64,
    },
}

impl Unsendable {
    /// The reply to record for the recipients of a message that this next hop cannot take (RFC 3463 3.4, 3.6; RFC
    /// 6531 3.5); `None` where that says nothing about the message.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        let (code, enhanced) = match self {
            Self::NoRoom | Self::Malformed => return None,
            Self::EightBitMime => (554, EnhancedStatusCode(5, 6, 3)),
            Self::SmtpUtf8 => (554, EnhancedStatusCode(5, 6, 7)),
            Self::Size { .. } => (552, EnhancedStatusCode(5, 3, 4)),
        };
        Some(Reply { enhanced: Some(enhanced), ..Reply::bare(code, self.to_string()) })
    }
}

/// How much the window still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Transactions.
    pub messages: usize,
    /// Octets of content; [`u64::MAX`] where nothing is under way, so that one message of any size may go.
    pub octets: u64,
    /// Recipients.
    pub recipients: usize,
}

impl Room {
    /// None at all.
    pub const NONE: Self = Self { messages: 0, octets: 0, recipients: 0 };

    /// Whether anything could go.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.messages == 0 || self.octets == 0 || self.recipients == 0
    }

    /// Whether a transaction with this much content and this many recipients would go.
    #[must_use]
    pub const fn takes(&self, octets: u64, recipients: usize) -> bool {
        self.messages > 0 && octets <= self.octets && recipients <= self.recipients
    }
}
