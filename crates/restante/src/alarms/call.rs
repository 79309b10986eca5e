//! One call of the webhook: its body, and what vouches for it.
//!
//! The headers are those of the Standard Webhooks convention: `Webhook-Id`, `Webhook-Timestamp`, and
//! `Webhook-Signature: v1,` with the base64 of HMAC-SHA256 over `id.timestamp.body`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use restante_api::timestamp;
use restante_types::{Domain, UnixMillis};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::board::Change;
use crate::limits::MAX_SECRET;

/// What stands in front of a secret that is written in base64.
const ENCODED: &str = "whsec_";

/// A call that waits to be made. It stays the same however often it is tried, and survives restarts: whoever gets it
/// twice knows it by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Which.
    pub(crate) id: String,
    /// When what it tells happened.
    pub(crate) at: UnixMillis,
    /// The JSON, as it is signed and sent.
    pub(crate) body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    event: &'static str,
    alarm: &'static str,
    domain: Option<&'a Domain>,
    at: jiff::Timestamp,
    since: jiff::Timestamp,
    detail: &'a str,
    hostname: &'a Domain,
    open: bool,
}

impl Call {
    /// About a change. `event` is the alarm's name, or that of its end where that has one.
    pub(crate) fn about(change: &Change, hostname: &Domain) -> Self {
        let id = format!("evt_{:032x}", rand::random::<u128>());
        let (kind, domain) = &change.key;
        let end = kind.end_name().filter(|_| !change.open);
        let body = Body {
            id: &id,
            event: end.unwrap_or(kind.name()),
            alarm: kind.name(),
            domain: domain.as_ref(),
            at: timestamp(change.at),
            since: timestamp(change.since),
            detail: &change.detail,
            hostname,
            open: change.open,
        };
        let body = serde_json::to_string(&body).expect("our own types are JSON");
        Self { id, at: change.at, body }
    }

    /// `Webhook-Signature` for a try at this time.
    pub(crate) fn signature(&self, secret: &Secret, seconds: u64) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
        mac.update(format!("{}.{seconds}.", self.id).as_bytes());
        mac.update(self.body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// What calls are signed with.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// From a file that nobody else can read: the base64 behind `whsec_`, or else the text of its first line.
    ///
    /// # Errors
    /// When it cannot be read, can be read by others, or holds none.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let open = File::open(file)?;
        if open.metadata()?.mode() & 0o077 != 0 {
            return Err(wrong("other users can read it; chmod 600"));
        }
        let mut text = Zeroizing::new(String::new());
        open.take(MAX_SECRET).read_to_string(&mut text)?;
        let line = text.lines().next().unwrap_or_default().trim();
        let key = match line.strip_prefix(ENCODED) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| wrong("no base64 behind whsec_"))?,
            None => line.as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err(wrong("there is no secret in it"));
        }
        Ok(Self(Zeroizing::new(key)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::kind::Kind;
    use super::*;

    fn secret(text: &str, mode: u32) -> io::Result<Secret> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        Secret::read(&file)
    }

    /// The test vector of the Standard Webhooks libraries.
    #[test]
    fn the_signature_is_that_of_the_convention() {
        let call = Call {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            at: UnixMillis(0),
            body: "{\"test\": 2432232314}".into(),
        };
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", 0o600).unwrap();
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(call.signature(&secret, 1_614_265_330), expected);
    }

    #[test]
    fn a_secret_is_ours_alone() {
        assert_eq!(*secret("correct horse\nmore\n", 0o400).unwrap().0, b"correct horse");
        for (text, mode) in [("x", 0o640), ("x", 0o604), ("", 0o600), ("\n", 0o600), ("whsec_*", 0o600)] {
            assert!(secret(text, mode).is_err(), "{text:?} {mode:o}");
        }
    }

    #[test]
    fn the_body_tells_the_change() {
        let change = Change {
            key: (Kind::PrimaryDown, Some("example.org".parse().unwrap())),
            at: UnixMillis(1_769_860_860_000),
            since: UnixMillis(1_769_860_800_000),
            detail: "450 \"quoted\"".into(),
            open: false,
        };
        let hostname = "mx2.example.net".parse().unwrap();
        let call = Call::about(&change, &hostname);
        let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
        let expected = serde_json::json!({
            "id": call.id,
            "event": "primary-up",
            "alarm": "primary-down",
            "domain": "example.org",
            "at": "2026-01-31T12:01:00Z",
            "since": "2026-01-31T12:00:00Z",
            "detail": "450 \"quoted\"",
            "hostname": "mx2.example.net",
            "open": false,
        });
        assert_eq!(body, expected);
        assert_ne!(Call::about(&change, &hostname).id, call.id);
    }
}
