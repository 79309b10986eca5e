//! Facts about the client that handed a message in.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What TLS a connection has, for Received lines, logs and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// `TLS1.3`, `TLS1.2`.
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// SHA-256 of the peer's certificate, if it showed one.
    pub peer_fingerprint: Option<[u8; 32]>,
}

/// Who handed the message in and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFacts {
    /// Its address, in canonical form (never IPv4-mapped).
    pub address: IpAddr,
    /// What it said in HELO or EHLO; at most 255 octets, as it came.
    pub helo: String,
    /// The account it proved to own.
    pub identity: Option<String>,
    /// TLS, where the connection had it.
    pub tls: Option<TlsFacts>,
}

impl ClientFacts {
    /// Whether this machine itself handed it in: mail of our own does, and so do programs beside us. No other machine
    /// may be told such an address: there it means that machine itself.
    #[must_use]
    pub const fn is_this_machine(&self) -> bool {
        self.address.is_loopback()
    }
}
