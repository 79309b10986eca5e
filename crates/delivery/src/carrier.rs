//! How messages get over one connection: the seam between a drain and the courier.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use restante_smtp::Transcript;
use restante_types::Reply;

use crate::feed::Feed;
use crate::route::Hop;
use crate::settings::{DeliverySettings, DomainDelivery};

/// SHA-256 of certificates, one of which must be shown.
pub type Certificates = Arc<BTreeSet<[u8; 32]>>;

/// Everything for one connection.
#[derive(Clone)]
pub struct Errand {
    /// Who we are, and where we connect from.
    pub settings: Arc<DeliverySettings>,
    /// How the domain's mail leaves: its TLS policy, and what the next hop is told.
    pub delivery: Arc<DomainDelivery>,
    /// SHA-256 of certificates: without one of them shown after STARTTLS nothing goes, whatever the policy says.
    pub certificates: Option<Certificates>,
    /// Where to.
    pub hop: Hop,
    /// For the TCP connection.
    pub connect_timeout: Duration,
    /// Where the messages come from.
    pub feed: Feed,
    /// Where what is said is kept, for whoever asks why it failed.
    pub transcript: Transcript,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trip {
    /// The feed had nothing more; said goodbye.
    Finished,
    /// No message was tried: no connection, no greeting, EHLO or TLS refused. Another address may do better.
    Unused(Reply),
    /// It ended before the feed did; what was not answered was put back.
    Broken(Reply),
    /// The greeting was our own: no message was tried.
    Ourselves,
}

/// Opens a connection and carries what the feed gives, until the feed ends or the connection does.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Every message taken from the feed has been given back to it, one way or another, when this returns.
    async fn carry(&self, errand: Errand) -> Trip;
}
