//! Up to where the index is known to be good (`data-dir/checkpoint`).
//!
//! The order of a checkpoint: the log's position is asked, everything before it is applied to the index, the index is
//! made durable under a new number, and only then this file says so. An index whose own number is smaller than the
//! file's is an old copy; a larger one only means that we died in between.

use std::collections::BTreeMap;
use std::path::Path;

use restante_types::{Domain, QueueId};
use serde::{Deserialize, Serialize};

use super::atomic;
use super::counts::Counts;
use crate::log::LogPosition;

const FILE: &str = "checkpoint";
const VERSION: u8 = 2;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) sequence: u64,
    pub(super) position: LogPosition,
    /// No smaller id may be minted.
    pub(super) newest: QueueId,
    /// False while the index is being rebuilt: whatever is in it, it is to be rebuilt.
    pub(super) complete: bool,
    /// The store was closed in order.
    pub(super) clean: Option<Clean>,
}

/// What a store that was closed in order knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clean {
    /// The counts of all domains.
    pub(super) counts: BTreeMap<Domain, Counts>,
    /// Segments of the log: if there are others at the next start, somebody removed one, and the index is compared.
    pub(super) segments: u64,
}

impl Checkpoint {
    /// What was saved last. A file that is not there, damaged or of another version says nothing; the index is then
    /// rebuilt.
    pub(super) fn load(data_dir: &Path) -> std::io::Result<Option<Self>> {
        let content = atomic::read(&data_dir.join(FILE))?;
        Ok(content.as_deref().and_then(Self::decode))
    }

    fn decode(content: &[u8]) -> Option<Self> {
        let (body, check) = content.split_last_chunk::<4>()?;
        let (&VERSION, fields) = body.split_first()? else { return None };
        if crc32c::crc32c(body) != u32::from_be_bytes(*check) {
            return None;
        }
        postcard::from_bytes(fields).ok()
    }

    pub(super) fn save(&self, data_dir: &Path) -> std::io::Result<()> {
        let mut content = postcard::to_extend(self, vec![VERSION]).map_err(std::io::Error::other)?;
        let check = crc32c::crc32c(&content);
        content.extend_from_slice(&check.to_be_bytes());
        atomic::replace(&data_dir.join(FILE), &content)
    }
}

/// Up to where a store's log was durable when its last checkpoint was saved, as far as that can be told.
pub(crate) fn durable(data_dir: &Path) -> Option<LogPosition> {
    Checkpoint::load(data_dir).ok()?.map(|last| last.position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_a_damaged_one_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::load(dir.path()).unwrap(), None);
        let checkpoint = Checkpoint {
            sequence: 9,
            position: LogPosition { segment: 2, offset: 640 },
            newest: QueueId::MAX,
            complete: true,
            clean: Some(Clean {
                counts: [("example.org".parse().unwrap(), Counts::default())].into(),
                segments: 3,
            }),
        };
        checkpoint.save(dir.path()).unwrap();
        assert_eq!(Checkpoint::load(dir.path()).unwrap().as_ref(), Some(&checkpoint));
        let path = dir.path().join(FILE);
        let good = std::fs::read(&path).unwrap();
        for octet in 0..good.len() {
            let mut bad = good.clone();
            bad[octet] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(Checkpoint::load(dir.path()).unwrap(), None, "octet {octet}");
        }
    }
}
