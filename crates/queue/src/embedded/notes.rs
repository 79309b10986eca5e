//! What is remembered per domain beside its entries: stops, pauses, the last drain. A small file, replaced atomically
//! (`domains.json`), which survives the loss of the index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use restante_types::{Domain, QueueId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::atomic;
use super::options::OpenError;
use crate::pauses::Past;
use crate::stats::{HoldKind, HoldNote, LastDrain};

const FILE: &str = "domains.json";
const VERSION: u32 = 1;

/// One domain's notes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<HoldNote>,
    /// Released since everything was stopped (see [`NotesFile::all_held`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) released: bool,
    /// Not tried on our own before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_drain: Option<LastDrain>,
    /// The pauses of its clock that are over.
    #[serde(default, skip_serializing_if = "Past::is_empty")]
    pub(super) pauses: Past,
    /// Up to where its mail was looked at for notices of delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delay_mark: Option<QueueId>,
}

impl Notes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotesFile {
    version: u32,
    /// In a copy made by `backup`: every domain that has no stop of its own is stopped by this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) all_held: Option<HoldNote>,
    pub(super) domains: BTreeMap<Domain, Notes>,
}

impl NotesFile {
    pub(super) fn new(all_held: Option<HoldNote>, domains: BTreeMap<Domain, Notes>) -> Self {
        Self { version: VERSION, all_held, domains }
    }

    pub(super) fn load(data_dir: &Path) -> Result<Self, OpenError> {
        let file = data_dir.join(FILE);
        let content = atomic::read(&file).map_err(|cause| OpenError::Io { path: file.clone(), cause })?;
        match content {
            Some(content) => Self::parse(file, &content),
            None => Ok(Self::new(None, BTreeMap::new())),
        }
    }

    fn parse(file: PathBuf, content: &[u8]) -> Result<Self, OpenError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let unreadable =
            |cause: serde_json::Error| OpenError::Unreadable { file: file.clone(), cause: cause.to_string() };
        let Version { version: found } = serde_json::from_slice(content).map_err(unreadable)?;
        if found != VERSION {
            return Err(OpenError::UnknownVersion { file, found });
        }
        serde_json::from_slice(content).map_err(unreadable)
    }

    pub(super) fn save(&self, data_dir: &Path) -> std::io::Result<()> {
        let mut content = serde_json::to_vec_pretty(self)?;
        content.push(b'\n');
        atomic::replace(&data_dir.join(FILE), &content)
    }
}

/// The stop that a restored copy starts with. Its mail gets no older until somebody looked at it.
pub(super) fn restored(now: UnixMillis) -> HoldNote {
    let reason = "restored from a backup: what it holds may have been delivered since".to_owned();
    HoldNote { kind: HoldKind::Operator, reason, since: now, until: None, pause_retention: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_read_back_and_none_are_fine() {
        let dir = tempfile::tempdir().unwrap();
        let empty = NotesFile::load(dir.path()).unwrap();
        assert!(empty.domains.is_empty());
        let last =
            LastDrain { at: UnixMillis(5), delivered: 1, deferred: 2, failed: 3, result: "x".to_owned() };
        let notes = Notes {
            held: Some(restored(UnixMillis(7))),
            released: true,
            not_before: None,
            last_drain: Some(last),
            delay_mark: Some(QueueId::MAX),
            ..Notes::default()
        };
        let file =
            NotesFile::new(Some(restored(UnixMillis(8))), [("example.org".parse().unwrap(), notes)].into());
        file.save(dir.path()).unwrap();
        assert_eq!(NotesFile::load(dir.path()).unwrap(), file);
    }

    #[test]
    fn a_later_version_and_rubbish_refuse_to_start() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), br#"{"version":2,"elsewhere":[]}"#).unwrap();
        assert!(matches!(NotesFile::load(dir.path()), Err(OpenError::UnknownVersion { found: 2, .. })));
        std::fs::write(dir.path().join(FILE), b"{").unwrap();
        assert!(matches!(NotesFile::load(dir.path()), Err(OpenError::Unreadable { .. })));
    }
}
