//! The keys of SCRAM, RFC 5802 3.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// An HMAC with SHA-256.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

pub(super) fn xor(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|at| left[at] ^ right[at])
}

/// [5802-2.2-hi] `Hi()`: PBKDF2 (RFC 8018) with HMAC-SHA-256, one block.
pub(super) fn hi(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let base = keyed(password);
    let mut mac = base.clone();
    mac.update(salt);
    mac.update(&1_u32.to_be_bytes());
    let mut last: [u8; 32] = mac.finalize().into_bytes().into();
    let mut sum = Zeroizing::new(last);
    for _ in 1..iterations {
        let mut mac = base.clone();
        mac.update(&last);
        last = mac.finalize().into_bytes().into();
        *sum = xor(&sum, &last);
    }
    last.zeroize();
    sum
}

/// [5802-3] What a server keeps instead of a password. Who steals it can pretend to be the server towards its clients,
/// but cannot log in.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Random, and the account's own.
    pub salt: Vec<u8>,
    /// At least 4096 (RFC 7677 4).
    pub iterations: u32,
    /// `H(HMAC(SaltedPassword, "Client Key"))`
    pub stored_key: [u8; 32],
    /// `HMAC(SaltedPassword, "Server Key")`
    pub server_key: [u8; 32],
    /// There is such an account. For others the caller makes up keys that stay the same from one asking to the next, and
    /// the exchange goes on to the same failure.
    pub genuine: bool,
}

impl ScramKeys {
    /// Derives them from a password that is prepared ([`prepare`](super::prepare)). This takes time on purpose: some
    /// milliseconds for each ten thousand iterations; never call it on an executor.
    #[must_use]
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = hi(password.as_bytes(), salt, iterations);
        let client_key = Zeroizing::new(hmac(salted.as_slice(), &[b"Client Key"]));
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: sha256(client_key.as_slice()),
            server_key: hmac(salted.as_slice(), &[b"Server Key"]),
            genuine: true,
        }
    }

    /// Whether they come from this password, which is prepared; for PLAIN and LOGIN. Takes as long as
    /// [`derive`](Self::derive), whatever the answer.
    #[must_use]
    pub fn is_of(&self, password: &str) -> bool {
        let derived = Self::derive(password, &self.salt, self.iterations);
        bool::from(derived.stored_key.ct_eq(&self.stored_key)) && self.genuine
    }
}

impl Drop for ScramKeys {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}
