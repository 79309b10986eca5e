//! SASL (RFC 4422) without IO: what stands inside AUTH's base64, for both sides.
//!
//! | file | concern |
//! |---|---|
//! | `mechanism.rs` | the mechanisms by name, sets of them, and which one a client takes |
//! | `secret.rs`, `channel.rs` | passwords, preparation by SASLprep; channel binding and fresh nonces |
//! | `keys.rs` | the derived keys of RFC 5802, which are all that a server keeps |
//! | `scram.rs` | the messages of SCRAM, and its two sides |
//! | `plain.rs`, `cram.rs` | PLAIN (RFC 4616) and CRAM-MD5 (RFC 2195) |
//! | `server.rs`, `client.rs` | one exchange, whatever its mechanism |
//!
//! Derivation of keys takes time on purpose, so the server's side never does it: it asks its caller for stored keys,
//! or hands over what was shown as [`Evidence`].

mod channel;
pub(crate) mod client;
mod cram;
mod evidence;
mod keys;
mod mechanism;
mod plain;
mod scram;
mod secret;
pub(crate) mod server;
#[cfg(test)]
mod tests;

pub use channel::{Channel, Layer};
pub use client::{AuthError, Credentials, NoMechanism};
pub use cram::digest as cram_md5;
pub use evidence::{Evidence, Identity};
pub use keys::ScramKeys;
pub use mechanism::{AuthOffer, Mechanism, Mechanisms};
pub use secret::{Secret, Unprepared, prepare};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// [4954-4-base64] Strict: the pad stands at the end and nowhere else, and nothing outside the alphabet is passed over.
pub(crate) fn decode(text: &[u8]) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    STANDARD.decode(text).ok().map(zeroize::Zeroizing::new)
}

/// Base64 with its pad.
pub(crate) fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}
