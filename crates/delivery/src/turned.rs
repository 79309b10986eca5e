//! Connections that their customer opened and that were turned (RFC 2645 5.3): what is handed over, and its bounds.

use std::time::Duration;

use async_trait::async_trait;
use restante_net::Stream;
use restante_queue::{DomainLease, DrainCause};

use crate::limits::{TURNED_MESSAGES, TURNED_OCTETS, TURNED_TIME};

/// A connection whose other end waits to be sent mail. It greets first.
pub struct Turned {
    /// The connection, with its TLS; the 250 is out, and nothing was read behind the command.
    pub stream: Stream,
    /// The domains whose mail may go over it; none where nothing is held and it was turned all the same.
    pub leases: Vec<DomainLease>,
    /// [`DrainCause::Atrn`] or [`DrainCause::Turn`].
    pub cause: DrainCause,
    /// Who called.
    pub identity: String,
    /// How much may go.
    pub limits: SessionLimits,
    /// Who may end it; dropped when the leases are back.
    pub leash: Box<dyn Leash>,
}

/// How much goes over one turned connection. When it is reached the message under way is finished, then comes QUIT;
/// the customer may call again for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Messages.
    pub messages: u64,
    /// Octets of content; the message that goes beyond them still goes.
    pub octets: u64,
    /// From the customer's greeting on.
    pub time: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { messages: TURNED_MESSAGES, octets: TURNED_OCTETS, time: TURNED_TIME }
    }
}

/// Ends a turned drain from outside, and hears how far it came.
#[async_trait]
pub trait Leash: Send + Sync + 'static {
    /// Ready when the drain is to end: the customer has called again, or has lost its right. What is under way gets a
    /// moment to come to its end. May be dropped and called again.
    async fn pulled(&mut self);

    /// The customer has greeted.
    fn greeted(&self);
}
