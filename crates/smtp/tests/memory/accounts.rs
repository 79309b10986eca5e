//! The accounts of the server in memory.
//!
//! | account | password | |
//! |---|---|---|
//! | `user` | `pencil` | as in RFC 7677 3; acts as `user` only; may TURN |
//! | `tim` | `tanstaaftanstaaf` | as in RFC 2195 2, for CRAM-MD5 |
//! | a client certificate | | is `certified` |
//! | `down` | | 454 4.7.0 |
//! | `weak` | | 534 5.7.9 |
//! | `old` | | 432 4.7.12 |

use restante_smtp::{Evidence, Identity, ScramKeys, cram_md5};
use restante_types::{ClientFacts, Domain, Reply};

/// The salt of RFC 7677 3.
pub(crate) const SALT: [u8; 16] =
    [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];

/// What comes of it and `pencil` in 4096 iterations, so that a thousand replays need not derive it.
const STORED_KEY: [u8; 32] = [
    0x58, 0x6e, 0x5d, 0xf2, 0x83, 0xe6, 0xdc, 0xeb, 0x5c, 0x3e, 0x79, 0x1d, 0x8b, 0x85, 0x28, 0xec, 0x19,
    0x1e, 0x66, 0x40, 0x45, 0xce, 0x97, 0x17, 0x92, 0xe2, 0xe6, 0xb5, 0xbb, 0x13, 0xe2, 0xa6,
];
const SERVER_KEY: [u8; 32] = [
    0xc1, 0xf3, 0xcb, 0xc1, 0xc1, 0x3a, 0x9d, 0x35, 0xa1, 0x4c, 0x09, 0x90, 0xee, 0xd9, 0x76, 0x29, 0xea,
    0x22, 0x58, 0x63, 0xe5, 0x66, 0xa4, 0x31, 0x4a, 0xb9, 0x9f, 0x3f, 0x00, 0xe5, 0xd9, 0xd5,
];

fn failed() -> Reply {
    Reply::new(535, (5, 7, 8), "Authentication credentials invalid")
}

fn trouble(name: &str) -> Option<Reply> {
    match name {
        "down" => Some(Reply::new(454, (4, 7, 0), "Temporary authentication failure")),
        "weak" => Some(Reply::new(534, (5, 7, 9), "Authentication mechanism is too weak")),
        "old" => Some(Reply::new(432, (4, 7, 12), "A password transition is needed")),
        _ => None,
    }
}

pub(crate) fn keys(name: &str) -> Result<ScramKeys, Reply> {
    if let Some(reply) = trouble(name) {
        return Err(reply);
    }
    let (stored_key, server_key) = (STORED_KEY, SERVER_KEY);
    Ok(ScramKeys { salt: SALT.to_vec(), iterations: 4096, stored_key, server_key, genuine: name == "user" })
}

pub(crate) fn check(evidence: &Evidence) -> Result<Identity, Reply> {
    if let Some(reply) = evidence.name().and_then(trouble) {
        return Err(reply);
    }
    let name = match evidence {
        Evidence::Plain { name, password, .. } => {
            (name == "user" && password.expose() == "pencil").then_some("user")
        }
        Evidence::External { .. } => Some("certified"),
        Evidence::CramMd5 { name, challenge, digest } => {
            (name == "tim" && *digest == cram_md5("tanstaaftanstaaf", challenge)).then_some("tim")
        }
        Evidence::Scram { name, .. } => (name == "user").then_some("user"),
        // On purpose: the machine must not believe it.
        Evidence::ScramFailed { .. } => return Ok(Identity("anybody".to_owned())),
    };
    let name = name.ok_or_else(failed)?;
    if evidence.authzid().is_some_and(|authzid| authzid != name) {
        return Err(failed());
    }
    Ok(Identity(name.to_owned()))
}

pub(crate) fn atrn(client: &ClientFacts, domains: &[Domain]) -> Result<(), Reply> {
    assert!(client.identity.is_some(), "[2645-5.2.1-530]");
    let has = |name: &str| domains.iter().any(|domain| domain.as_str() == name);
    let known = |domain: &Domain| matches!(domain.as_str(), "a.example" | "b.example" | "empty.example");
    if has("down.example") {
        Err(Reply::new(451, (4, 3, 0), "Unable to process ATRN request now"))
    } else if !domains.iter().all(known) {
        Err(Reply::new(450, (4, 7, 1), "ATRN request refused"))
    } else if domains.is_empty() || has("a.example") || has("b.example") {
        Ok(())
    } else {
        Err(Reply::new(453, (4, 0, 0), "You have no mail"))
    }
}

pub(crate) fn turn(client: &ClientFacts) -> Result<(), Reply> {
    let shown = client.tls.as_ref().is_some_and(|tls| tls.peer_fingerprint.is_some());
    assert!(client.identity.is_some() || shown, "[821-turn-who]");
    let may = client.identity.as_deref() == Some("user");
    may.then_some(()).ok_or_else(|| Reply::new(502, (5, 5, 1), "TURN refused"))
}
