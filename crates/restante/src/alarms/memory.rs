//! What is remembered of alarms from one run to the next, in one small file that is replaced as a whole: so a restart
//! repeats no alarm, and a crash loses none.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use restante_types::{Domain, UnixMillis};
use serde::{Deserialize, Serialize};

use super::board::{Board, Key, Open};
use super::call::Call;
use super::habits::Habits;
use super::kind::Kind;
use super::settings::Settings;
use crate::limits::{MAX_ALARMS_FILE, MAX_CALLS};

/// What somebody was told by mail about one alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mailed {
    /// When.
    pub(super) at: UnixMillis,
    /// That it is open, or that it ended.
    pub(super) open: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What is open.
    pub(super) board: Board,
    /// Calls of the webhook that wait, the oldest first.
    pub(super) calls: VecDeque<Call>,
    /// Who was told what by mail.
    pub(super) mailed: BTreeMap<Key, Mailed>,
    /// Alarms of which somebody could not be told by mail yet, as they began.
    pub(super) untold: Board,
    /// How often each domain is asked for.
    pub(super) habits: Habits,
}

#[derive(Serialize, Deserialize)]
struct WrittenMail {
    kind: Kind,
    domain: Option<Domain>,
    at: UnixMillis,
    open: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    open: Vec<Open>,
    calls: VecDeque<Call>,
    mailed: Vec<WrittenMail>,
    #[serde(default)]
    untold: Vec<Open>,
    habits: Habits,
}

/// The version of the file.
const VERSION: u32 = 1;

impl Memory {
    /// Where it lies.
    pub(super) fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("alarms.json")
    }

    /// Reads what the last run left; nothing is there at the first one.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood.
    pub(super) fn read(file: &Path) -> io::Result<Self> {
        let mut text = String::new();
        match File::open(file) {
            Ok(open) => open.take(MAX_ALARMS_FILE).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let written: Written = serde_json::from_str(&text)?;
        if written.version != VERSION {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("version {}", written.version)));
        }
        let mailed = written.mailed.into_iter();
        Ok(Self {
            board: Board::restored(written.open),
            calls: written.calls,
            mailed: mailed
                .map(|one| ((one.kind, one.domain), Mailed { at: one.at, open: one.open }))
                .collect(),
            untold: Board::restored(written.untold),
            habits: written.habits,
        })
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let mailed = self.mailed.iter().map(|((kind, domain), mailed)| WrittenMail {
            kind: *kind,
            domain: domain.clone(),
            at: mailed.at,
            open: mailed.open,
        });
        let written = Written {
            version: VERSION,
            open: self.board.written(),
            calls: self.calls.clone(),
            mailed: mailed.collect(),
            untold: self.untold.written(),
            habits: self.habits.clone(),
        };
        serde_json::to_string(&written).expect("our own types are JSON")
    }

    /// Adds a call. Returns the oldest where that had to go for it.
    pub(super) fn call(&mut self, call: Call) -> Option<Call> {
        self.calls.push_back(call);
        if self.calls.len() > MAX_CALLS { self.calls.pop_front() } else { None }
    }

    /// Forgets what a new configuration has no use for.
    pub(super) fn keep(&mut self, settings: &Settings) {
        let is_configured = |domain: &Domain| settings.is_configured(domain);
        self.board.keep(is_configured);
        self.untold.keep(is_configured);
        self.habits.keep(is_configured);
        self.mailed.retain(|(_, domain), _| domain.as_ref().is_none_or(is_configured));
        if settings.webhook.is_none() {
            self.calls.clear();
        }
    }
}

/// Writes the text so that after a crash the old or the new one is there, whole.
///
/// # Errors
/// What the file system says.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    let fresh = file.with_extension("json.new");
    let mut open = File::create(&fresh)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs::rename(&fresh, file)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
