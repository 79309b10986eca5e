//! What is kept of MTA-STS over a restart: a policy that was found once protects until it ends (RFC 8461 5.1).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use restante_types::{Domain, UnixMillis};
use serde::{Deserialize, Serialize};

use super::policy::StsPolicy;
use crate::limits::{STS_DOMAINS, STS_FILE};

/// A policy, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Its id in the DNS.
    pub(super) id: String,
    /// When it was fetched.
    pub(super) fetched: UnixMillis,
    pub(super) policy: StsPolicy,
}

impl Known {
    pub(super) fn ends(&self) -> UnixMillis {
        self.fetched.plus(self.policy.max_age)
    }
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    policies: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    domain: Domain,
    #[serde(flatten)]
    known: Known,
}

const VERSION: u32 = 1;

/// What was kept and has not ended; a file that is not there is an empty one.
pub(super) fn read(path: &Path, now: UnixMillis) -> io::Result<HashMap<Domain, Arc<Known>>> {
    let mut octets = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(STS_FILE).read_to_end(&mut octets)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let contents: Contents = serde_json::from_slice(&octets)?;
    if contents.version != VERSION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is of another version"));
    }
    let lines = contents.policies.into_iter().filter(|line| line.known.ends() > now);
    Ok(lines.take(STS_DOMAINS).map(|line| (line.domain, Arc::new(line.known))).collect())
}

/// Replaces it as a whole: the old or the new one is there after a crash.
pub(super) fn write(path: &PathBuf, policies: HashMap<Domain, Arc<Known>>) -> io::Result<()> {
    let mut policies: Vec<Line> = policies
        .into_iter()
        .map(|(domain, known)| Line { domain, known: Arc::unwrap_or_clone(known) })
        .collect();
    policies.sort_by(|one, other| one.domain.as_str().cmp(other.domain.as_str()));
    let text = serde_json::to_vec_pretty(&Contents { version: VERSION, policies })?;
    let fresh = path.with_extension("json.new");
    let mut file = File::create(&fresh)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
