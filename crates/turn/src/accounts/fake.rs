//! What accounts that do not exist are made of.

use std::fmt;

use restante_smtp::ScramKeys;

use super::kdf::mac;

/// 32 random octets that an installation keeps for itself. From them follows what is shown for accounts that do not
/// exist, the same each time: a salt that changed would tell that there is no such account.
#[derive(Clone)]
pub struct Install([u8; 32]);

impl Install {
    /// From octets that were random once and are kept since.
    #[must_use]
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// A salt that stays with the name.
    pub(super) fn salt(&self, name: &str) -> [u8; 16] {
        let long = self.of(b"salt", name);
        std::array::from_fn(|at| long[at])
    }

    /// Keys of a password that nobody has.
    pub(super) fn keys(&self, name: &str, iterations: u32) -> ScramKeys {
        let (salt, stored_key) = (self.salt(name).to_vec(), self.of(b"stored key", name));
        ScramKeys { salt, iterations, stored_key, server_key: self.of(b"server key", name), genuine: false }
    }

    /// A text that nobody knows, in the place of a password.
    pub(super) fn password(&self, name: &str) -> [u8; 32] {
        self.of(b"password", name)
    }

    fn of(&self, what: &[u8], name: &str) -> [u8; 32] {
        mac(&self.0, &[what, &[0], name.as_bytes()])
    }
}

impl fmt::Debug for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Install(…)")
    }
}
