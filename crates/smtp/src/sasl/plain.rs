//! PLAIN, RFC 4616: `[authzid] NUL authcid NUL passwd`.

use zeroize::Zeroizing;

use super::Evidence;
use super::mechanism::Mechanism;
use super::secret::{Secret, prepare, prepare_secret};
use super::server::Bad;
use crate::limits::MAX_AUTH_NAME;

/// [4616-2] The message, taken apart and prepared.
pub(super) fn read(message: &[u8]) -> Result<Evidence, Bad> {
    let text = std::str::from_utf8(message).map_err(|_| Bad::Malformed)?;
    let mut parts = text.split('\0');
    let (Some(authzid), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Bad::Malformed);
    };
    if authzid.len() > MAX_AUTH_NAME || name.len() > MAX_AUTH_NAME {
        return Err(Bad::Malformed);
    }
    let authzid = if authzid.is_empty() { None } else { Some(prepare(authzid)?.into_owned()) };
    evidence(Mechanism::Plain, authzid, name, password)
}

/// A name and a password, prepared.
pub(super) fn evidence(
    mechanism: Mechanism,
    authzid: Option<String>,
    name: &str,
    password: &str,
) -> Result<Evidence, Bad> {
    // [4616-2-prep] what cannot be prepared belongs to no account.
    let (name, password) = (prepare(name)?.into_owned(), prepare_secret(password)?);
    Ok(Evidence::Plain { mechanism, authzid, name, password })
}

/// The message of a client; the authorisation identity is left to the server.
pub(super) fn write(name: &str, password: &Secret) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(format!("\0{name}\0{}", password.expose()).into_bytes())
}
