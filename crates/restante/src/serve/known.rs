//! The domains of the last good start, so that one that is gone is noticed.
//!
//! A lost `domains.d` must not bounce a customer's mail: for [`LOST_FOR`] a name that was configured and is no more
//! answers 450, and its mail waits for the operator.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use restante_types::{Domain, DomainMap, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::limits::{LOST_FOR, MAX_CONFIG_FILE};

/// A name that is held, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    name: Domain,
    subdomains: bool,
}

/// A name that was held and is no longer configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lost {
    #[serde(flatten)]
    name: Name,
    since: UnixMillis,
}

/// What is remembered from one good start or reload to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownDomains {
    held: Vec<Name>,
    lost: Vec<Lost>,
}

/// What a new configuration changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Names that are gone just now.
    pub(crate) gone: Vec<Domain>,
    /// Names that were lost and are back.
    pub(crate) back: Vec<Domain>,
}

impl KnownDomains {
    /// Where it lies.
    pub(crate) fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("known-domains.json")
    }

    /// Reads what the last start left; nothing is there at the first one.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        let mut text = String::new();
        match File::open(file) {
            Ok(open) => open.take(MAX_CONFIG_FILE).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_str(&text)?)
    }

    /// Where one that cannot be understood is put, so that a person can look at it.
    pub(crate) fn aside(file: &Path) -> PathBuf {
        file.with_extension("json.damaged")
    }

    /// What a monitor should be told as long as one lies there.
    pub(crate) fn warning(data_dir: &Path) -> Option<String> {
        let aside = Self::aside(&Self::file(data_dir));
        aside.exists().then(|| {
            format!(
                "the list of known domains could not be read: a domain that had left the configuration by then is \
                 answered 550, not 450; look at {} and remove it",
                aside.display()
            )
        })
    }

    /// Writes it so that after a crash the old or the new one is there, whole.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let fresh = file.with_extension("json.new");
        let mut open = File::create(&fresh)?;
        open.write_all(serde_json::to_string(self)?.as_bytes())?;
        open.sync_all()?;
        fs::rename(&fresh, file)?;
        let directory =
            file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }

    /// Takes the configured names; what was held before and is not among them is lost from now on.
    pub(crate) fn take(&mut self, configured: Vec<(Domain, bool)>, now: UnixMillis) -> Change {
        let held: Vec<Name> =
            configured.into_iter().map(|(name, subdomains)| Name { name, subdomains }).collect();
        let names: HashSet<&Domain> = held.iter().map(|held| &held.name).collect();
        let is_held = |name: &Name| names.contains(&name.name);
        let mut change = Change::default();
        self.lost.retain(|lost| {
            let back = is_held(&lost.name);
            if back {
                change.back.push(lost.name.name.clone());
            }
            !back
        });
        for name in std::mem::take(&mut self.held).into_iter().filter(|name| !is_held(name)) {
            change.gone.push(name.name.clone());
            self.lost.push(Lost { name, since: now });
        }
        self.held = held;
        change
    }

    /// Forgets what has been lost for long enough. Returns what it forgot.
    pub(crate) fn forget(&mut self, now: UnixMillis) -> Vec<Domain> {
        let over = |lost: &Lost| now.since(lost.since) >= LOST_FOR;
        let forgotten =
            self.lost.iter().filter(|lost| over(lost)).map(|lost| lost.name.name.clone()).collect();
        self.lost.retain(|lost| !over(lost));
        forgotten
    }

    /// What answers 450.
    pub(crate) fn lost(&self) -> DomainMap<()> {
        let mut map = DomainMap::default();
        for Lost { name, .. } in &self.lost {
            map.insert(name.name.clone(), name.subdomains, ());
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<(Domain, bool)> {
        texts.iter().map(|text| (text.parse().unwrap(), false)).collect()
    }

    fn at(days: u64) -> UnixMillis {
        UnixMillis(days * 86_400_000)
    }

    #[test]
    fn what_is_gone_is_lost_for_a_week() {
        let mut known = KnownDomains::default();
        assert_eq!(known.take(names(&["a.example", "b.example"]), at(0)), Change::default());
        let change = known.take(names(&["a.example"]), at(10));
        assert_eq!(change.gone, ["b.example".parse().unwrap()]);
        assert!(known.lost().find(&"b.example".parse().unwrap()).is_some());
        assert_eq!(known.take(names(&["a.example"]), at(11)), Change::default(), "it is gone once");
        assert!(known.forget(at(16)).is_empty());
        assert_eq!(known.forget(at(17)), ["b.example".parse().unwrap()]);
        assert!(known.lost().is_empty());
    }

    #[test]
    fn what_comes_back_is_no_longer_lost() {
        let mut known = KnownDomains::default();
        known.take(names(&["a.example"]), at(0));
        known.take(names(&[]), at(1));
        let change = known.take(names(&["a.example"]), at(2));
        assert_eq!((change.gone.len(), change.back), (0, vec!["a.example".parse().unwrap()]));
        assert!(known.lost().is_empty());
    }

    #[test]
    fn it_survives_on_disk_and_a_broken_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = KnownDomains::file(directory.path());
        assert_eq!(KnownDomains::read(&file).unwrap(), KnownDomains::default());
        let mut known = KnownDomains::default();
        known.take(names(&["a.example", "b.example"]), at(0));
        known.take(names(&["a.example"]), at(1));
        known.write(&file).unwrap();
        assert_eq!(KnownDomains::read(&file).unwrap(), known);
        fs::write(&file, "{").unwrap();
        assert!(KnownDomains::read(&file).is_err());
    }
}
