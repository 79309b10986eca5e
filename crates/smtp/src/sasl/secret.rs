//! Passwords, and their preparation.

use std::borrow::Cow;
use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password: overwritten when it is dropped, never in a log, compared in constant time.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Its text, for checking and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}
impl Eq for Secret {}

/// SASLprep (RFC 4013) does not allow it, or leaves nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name or password that SASLprep (RFC 4013) does not allow")]
pub struct Unprepared;

/// [4954-4-prep] [4616-2-prep] [5802-2.2] Prepares a name or a password by SASLprep, RFC 4013: compatibility forms become
/// one, odd spaces become spaces; controls and unassigned characters are not allowed.
///
/// # Errors
/// [`Unprepared`], also where nothing is left of it.
pub fn prepare(text: &str) -> Result<Cow<'_, str>, Unprepared> {
    let prepared = stringprep::saslprep(text).map_err(|_| Unprepared)?;
    if prepared.is_empty() { Err(Unprepared) } else { Ok(prepared) }
}

/// Prepares a password.
pub(super) fn prepare_secret(text: &str) -> Result<Secret, Unprepared> {
    prepare(text).map(|prepared| Secret::new(prepared.into_owned()))
}
