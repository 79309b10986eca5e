//! CRAM-MD5, RFC 2195. It needs a secret that the server can read, and proves nothing about the server; it is here
//! because RFC 2645 wants it ([2645-5.1.2]) and fetchmail speaks nothing else.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::secret::prepare;
use super::server::Bad;
use crate::limits::MAX_AUTH_NAME;

/// [2195-2] The keyed digest of a challenge.
#[must_use]
pub fn digest(secret: &str, challenge: &str) -> [u8; 16] {
    let mut mac =
        <Hmac<Md5> as KeyInit>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(challenge.as_bytes());
    mac.finalize().into_bytes().into()
}

/// [2195-2-response] `name SP digest`, the digest as 32 lower-case hexadecimal digits. A name may have spaces in it.
pub(super) fn read(response: &[u8]) -> Result<(String, [u8; 16]), Bad> {
    let text = std::str::from_utf8(response).map_err(|_| Bad::Malformed)?;
    let (name, hex) = text.rsplit_once(' ').ok_or(Bad::Malformed)?;
    if name.len() > MAX_AUTH_NAME || name.contains('\0') {
        return Err(Bad::Malformed);
    }
    let digest = read_hex(hex.as_bytes()).ok_or(Bad::Malformed)?;
    Ok((prepare(name)?.into_owned(), digest))
}

fn read_hex(hex: &[u8]) -> Option<[u8; 16]> {
    if hex.len() != 32 {
        return None;
    }
    let mut digest = [0; 16];
    for (octet, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |character: u8| (character as char).to_digit(16);
        *octet = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(digest)
}
