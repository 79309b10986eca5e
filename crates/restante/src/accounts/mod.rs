//! The accounts file: read, checked, changed.

mod check;
mod edit;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod install;
mod password;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use restante_turn::Account;

pub(crate) use check::check;
pub(crate) use edit::{EditError, add, remove, set_secret};
pub(crate) use install::install;
pub(crate) use password::{Source, ask};
pub(crate) use read::read;
pub(crate) use write::Editing;

use crate::config::{Config, Report, Sited};

/// An account with the place where it is written.
pub(crate) type SitedAccount = Sited<Account>;

/// Where the accounts of a configuration are: a relative path is looked for beside it.
pub(crate) fn file(config: &Config) -> PathBuf {
    config.file.parent().unwrap_or(Path::new("")).join(&config.top.accounts_file)
}

/// What a file holds, and what is wrong with it. A file that is not there holds nothing; who may read it is not looked at.
///
/// # Errors
/// What the system says.
pub(crate) fn look(file: &Path) -> io::Result<(Vec<Account>, Option<String>)> {
    let mut report = Report::default();
    let text = match read::text_of(file) {
        Ok((text, _)) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let accounts = read::parse(file, text, &mut report);
    let errors = report.has_errors().then(|| report.to_string());
    Ok((accounts.into_iter().map(|account| account.value).collect(), errors))
}

/// What there is to say about a text before it becomes the file.
pub(crate) fn verdict(file: &Path, text: String, config: Option<&Config>) -> Report {
    let mut report = Report::default();
    let accounts = read::parse(file, text, &mut report);
    match config {
        Some(config) => check::check(&accounts, config, &mut report),
        None => check::among(&accounts, &mut report),
    }
    report
}

/// What tells one version of the file from the next; `None` while there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size: u64,
    mode: u32,
    changed: (i64, i64),
}

impl Stamp {
    /// As the file is now.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let facts: io::Result<_> = path.metadata();
        let facts = facts.ok()?;
        // The time of the last change of the inode: it sees a chmod and a rename too.
        let changed = (facts.ctime(), facts.ctime_nsec());
        Some(Self { inode: facts.ino(), size: facts.size(), mode: facts.mode(), changed })
    }
}
