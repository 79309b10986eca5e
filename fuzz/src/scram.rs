//! SCRAM-SHA-256 (RFC 5802, RFC 7677) once more, for somebody who looks on and knows the password.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// However it is padded.
const LAX: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Base64 taken off; nothing where it is none.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    String::from_utf8(GeneralPurpose::new(&STANDARD, LAX).decode(text).ok()?).ok()
}

/// Whether the server's last message proves that it knows the password: what the client said, and the server, in turn.
#[must_use]
pub fn proves(client: &[String], server: &[String], password: &str) -> bool {
    check(client, server, password).unwrap_or(false)
}

fn check(client: &[String], server: &[String], password: &str) -> Option<bool> {
    let ([first, last, ..], [challenge, proof, ..]) = (client, server) else { return None };
    let field = |name| challenge.split(',').find_map(|field| field.strip_prefix(name));
    let raw = GeneralPurpose::new(&STANDARD, LAX);
    let salt = raw.decode(field("s=")?).ok()?;
    let rounds: u32 = field("i=")?.parse().ok()?;
    let bare = first.splitn(3, ',').nth(2)?;
    let without = &last[..last.rfind(",p=")?];

    let mut block = sign(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let mut salted = block;
    for _ in 1..rounds {
        block = sign(password.as_bytes(), &block);
        salted.iter_mut().zip(block).for_each(|(sum, octet)| *sum ^= octet);
    }
    let message = format!("{bare},{challenge},{without}");
    let signature = sign(&sign(&salted, b"Server Key"), message.as_bytes());
    let shown = raw.decode(proof.strip_prefix("v=")?.split(',').next()?).ok()?;
    Some(shown == signature)
}

fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
