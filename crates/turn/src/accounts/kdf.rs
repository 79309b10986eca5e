//! The slow step of checking a password.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use restante_smtp::ScramKeys;
use sha2::Sha256;

/// Compares a password with keys. A seam so that a test can count the calls.
pub trait Kdf: fmt::Debug + Send + Sync {
    /// Whether the keys are those of this prepared password. Takes the time of one derivation, whatever the answer.
    fn is_of(&self, keys: &ScramKeys, password: &str) -> bool;
}

/// PBKDF2 as RFC 5802 has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pbkdf2;

impl Kdf for Pbkdf2 {
    fn is_of(&self, keys: &ScramKeys, password: &str) -> bool {
        keys.is_of(password)
    }
}

/// HMAC-SHA-256 over the parts.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
