//! What is kept of a password.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use restante_smtp::{ScramKeys, Secret, prepare};

use crate::limits::{DEFAULT_ITERATIONS, MAX_ITERATIONS, MAX_PASSWORD, MAX_SALT, MIN_ITERATIONS};

/// The `secret` of an account: `scram-sha-256:<iterations>:<salt>:<stored key>:<server key>`, the last three in base64,
/// or `plain:<password>` where CRAM-MD5 must be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredSecret {
    /// Keys; the password cannot be had from them but by guessing.
    Derived(ScramKeys),
    /// The password itself.
    Plain(Secret),
}

/// Why a text is no secret, or no password. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither of the two kinds.
    #[error("a secret begins with \"scram-sha-256:\" or \"plain:\"")]
    Kind,
    /// Not four parts, or one of them is no base64 or has a wrong length.
    #[error(
        "a derived secret is \"scram-sha-256:<iterations>:<salt>:<stored key>:<server key>\", the last three in base64"
    )]
    Form,
    /// Too few protect nothing, too many would keep us busy.
    #[error("the iterations are a number from {MIN_ITERATIONS} to {MAX_ITERATIONS}")]
    Iterations,
    /// No password.
    #[error("the password is empty")]
    Empty,
    /// A password nobody types.
    #[error("the password has more than {MAX_PASSWORD} octets")]
    Long,
    /// RFC 4013 forbids control characters and the like.
    #[error("the password has a character that no password may have (RFC 4013)")]
    Forbidden,
}

impl StoredSecret {
    /// Keys of a new password. `salt` is fresh from the system's random source.
    ///
    /// # Errors
    /// [`SecretError`] when this cannot be a password.
    pub fn derive(password: &Secret, salt: [u8; 16]) -> Result<Self, SecretError> {
        let password = prepared(password.expose())?;
        Ok(Self::Derived(ScramKeys::derive(password.expose(), &salt, DEFAULT_ITERATIONS)))
    }

    /// A new password as it is, for CRAM-MD5.
    ///
    /// # Errors
    /// [`SecretError`] when this cannot be a password.
    pub fn plain(password: &Secret) -> Result<Self, SecretError> {
        prepared(password.expose()).map(Self::Plain)
    }

    /// Which of the two it is, as it is written.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Derived(_) => "scram-sha-256",
            Self::Plain(_) => "plain",
        }
    }

    /// The text for the accounts file. Not `Display`, so that no secret gets into a log by a slip.
    #[must_use]
    pub fn to_file(&self) -> String {
        match self {
            Self::Plain(password) => format!("plain:{}", password.expose()),
            Self::Derived(keys) => format!(
                "scram-sha-256:{}:{}:{}:{}",
                keys.iterations,
                STANDARD.encode(&keys.salt),
                STANDARD.encode(keys.stored_key),
                STANDARD.encode(keys.server_key)
            ),
        }
    }
}

fn prepared(password: &str) -> Result<Secret, SecretError> {
    if password.is_empty() {
        return Err(SecretError::Empty);
    }
    if password.len() > MAX_PASSWORD {
        return Err(SecretError::Long);
    }
    prepare(password).map(|text| Secret::new(text.into_owned())).map_err(|_| SecretError::Forbidden)
}

impl FromStr for StoredSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        if let Some(password) = text.strip_prefix("plain:") {
            return prepared(password).map(Self::Plain);
        }
        let rest = text.strip_prefix("scram-sha-256:").ok_or(SecretError::Kind)?;
        let parts: Vec<&str> = rest.split(':').collect();
        let [iterations, salt, stored_key, server_key] = parts[..] else { return Err(SecretError::Form) };
        let iterations: u32 = iterations.parse().map_err(|_| SecretError::Iterations)?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(SecretError::Iterations);
        }
        let octets = |text: &str| STANDARD.decode(text).map_err(|_| SecretError::Form);
        let key = |text: &str| octets(text)?.try_into().map_err(|_| SecretError::Form);
        let salt = octets(salt)?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err(SecretError::Form);
        }
        let (stored_key, server_key) = (key(stored_key)?, key(server_key)?);
        Ok(Self::Derived(ScramKeys { salt, iterations, stored_key, server_key, genuine: true }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn secrets_read_back() {
        let password = secret("pencil: a b");
        let both =
            [StoredSecret::derive(&password, [9; 16]).unwrap(), StoredSecret::plain(&password).unwrap()];
        for (stored, kind) in both.into_iter().zip(["scram-sha-256", "plain"]) {
            assert_eq!(stored.to_file().parse::<StoredSecret>().as_ref(), Ok(&stored));
            assert_eq!(stored.kind(), kind);
        }
    }

    #[test]
    fn slips_are_refused_and_nothing_of_them_is_told() {
        let key = STANDARD.encode([1; 32]);
        for (text, error) in [
            ("pencil".to_owned(), SecretError::Kind),
            ("plain:".to_owned(), SecretError::Empty),
            ("plain:a\u{7}".to_owned(), SecretError::Forbidden),
            (format!("plain:{}", "x".repeat(MAX_PASSWORD + 1)), SecretError::Long),
            (format!("scram-sha-256:4095:{SALT}:{key}:{key}"), SecretError::Iterations),
            (format!("scram-sha-256:99999999:{SALT}:{key}:{key}"), SecretError::Iterations),
            (format!("scram-sha-256:many:{SALT}:{key}:{key}"), SecretError::Iterations),
            (format!("scram-sha-256:4096:{SALT}:{key}"), SecretError::Form),
            (format!("scram-sha-256:4096:{SALT}:{key}:{SALT}"), SecretError::Form),
            (format!("scram-sha-256:4096::{key}:{key}"), SecretError::Form),
            (format!("scram-sha-256:4096:*:{key}:{key}"), SecretError::Form),
        ] {
            assert_eq!(text.parse::<StoredSecret>(), Err(error), "{text}");
        }
        let shown = format!("{:?}", "plain:pencil".parse::<StoredSecret>());
        assert!(!shown.contains("pencil"), "{shown}");
    }

    /// A password that was typed in another form is the same password.
    #[test]
    fn passwords_are_prepared() {
        let stored = |password: &str| StoredSecret::plain(&secret(password)).unwrap();
        assert_eq!(stored("I\u{ad}X"), stored("IX"));
        assert_eq!(stored("\u{2168}"), stored("IX"));
        assert_ne!(stored("ix"), stored("IX"));
    }
}
