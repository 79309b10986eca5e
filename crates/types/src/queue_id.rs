//! The name of a held message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::UnixMillis;

/// The name of a message in the queue: a UUID version 7, so that ids sort by arrival (RFC 9562 5.7).
///
/// Whoever accepts the message mints it, monotonically, so that storing may be repeated after an unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(Uuid);

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
}
