//! The name of a held message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::time::UnixMillis;

/// The name of a message in the queue: a UUID version 7, so that ids sort by arrival (RFC 9562 5.7).
///
/// Whoever accepts the message mints it, monotonically, so that storing may be repeated after an unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(Uuid);

/// What derived ids end in.
const DERIVED: [u8; 2] = *b"by";

/// A text that is no queue id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a queue id: 36 characters like 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct QueueIdError;

impl QueueId {
    /// The smallest id.
    pub const MIN: Self = Self(Uuid::nil());
    /// The largest id.
    pub const MAX: Self = Self(Uuid::max());

    /// From its 16 octets, as keys hold them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its 16 octets; they sort as the ids do.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// An id that follows from this one and a salt, the same whenever it is asked for: of the same millisecond, the
    /// rest from a hash. What is stored under it is stored once, however often a crash makes somebody repeat it.
    #[must_use]
    pub fn derived(&self, salt: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(self.to_bytes()).chain_update(salt).finalize();
        let mut tail: [u8; 10] = std::array::from_fn(|octet| hash[octet]);
        tail[8..].copy_from_slice(&DERIVED);
        Self(Builder::from_unix_timestamp_millis(self.minted().0, &tail).into_uuid())
    }

    /// Whether it was derived; of 65,536 that were not, one looks as if it was.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        self.0.as_bytes().ends_with(&DERIVED)
    }

    /// When it was minted, to the millisecond.
    #[must_use]
    pub fn minted(self) -> UnixMillis {
        UnixMillis((self.0.as_u128() >> 80) as u64)
    }
}

impl From<Uuid> for QueueId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for QueueId {
    type Err = QueueIdError;
    fn from_str(text: &str) -> Result<Self, QueueIdError> {
        if text.len() != 36 {
            return Err(QueueIdError);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| QueueIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_knows_its_time() {
        let id: QueueId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(id.to_string().parse::<QueueId>().unwrap(), id);
        assert_eq!(QueueId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.minted(), UnixMillis(0x0189_0a5d_ac96));
        assert!("01890a5dac96774bbcceb302099a8057".parse::<QueueId>().is_err());
    }

    #[test]
    fn a_derived_id_is_a_version_7_uuid_of_the_same_millisecond_and_always_the_same() {
        let id: QueueId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let derived = id.derived(b"failed");
        assert_eq!(derived, id.derived(b"failed"));
        // As it is stored out there: it must never change.
        assert_eq!(derived.to_string(), "01890a5d-ac96-73f9-a73c-370211256279");
        assert_eq!(derived.minted(), id.minted());
        assert!(derived.is_derived() && !id.is_derived());
        let uuid = Uuid::from_bytes(derived.to_bytes());
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
        let others = [id, derived, id.derived(b"delayed"), id.derived(b""), derived.derived(b"failed")];
        let different: std::collections::HashSet<_> = others.into_iter().collect();
        assert_eq!(different.len(), others.len());
    }
}
