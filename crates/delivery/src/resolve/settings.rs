//! Whom to ask, and what to believe.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::anchors::Anchors;
use crate::limits::TRUST_ANCHOR_FILE;

/// Whom to ask, and what to believe. The default is the system's own configuration and the keys of the root that are
/// built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DnsSettings {
    /// The servers to ask instead of the system's.
    pub servers: Vec<SocketAddr>,
    /// A file of DNSKEY or DS records as zone files write them, one a line. Those of the root stand in place of what is
    /// built in, those of other zones beside it.
    pub trust_anchor: Option<PathBuf>,
}

/// Why DNS settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsSettingsError {
    /// The file of trust anchors.
    #[error("{}: {why}", file.display())]
    TrustAnchor {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl DnsSettings {
    /// Reads what they name, and does nothing with it.
    ///
    /// # Errors
    /// [`DnsSettingsError`]: the file cannot be read, or holds no key.
    pub fn check(&self) -> Result<(), DnsSettingsError> {
        self.anchors().map(drop)
    }

    pub(super) fn anchors(&self) -> Result<Anchors, DnsSettingsError> {
        let Some(file) = &self.trust_anchor else { return Ok(Anchors::built_in()) };
        read(file).map_err(|why| DnsSettingsError::TrustAnchor { file: file.clone(), why })
    }
}

fn read(file: &Path) -> Result<Anchors, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > TRUST_ANCHOR_FILE {
        return Err(format!("has {size} octets, keys would have less than {TRUST_ANCHOR_FILE}"));
    }
    Anchors::parse(&std::fs::read_to_string(file).map_err(|error| error.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_or_too_big_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("root.key");
        let settings = DnsSettings { trust_anchor: Some(file.clone()), ..DnsSettings::default() };
        assert!(settings.check().unwrap_err().to_string().contains("root.key"));
        std::fs::write(&file, vec![b';'; usize::try_from(TRUST_ANCHOR_FILE).unwrap() + 1]).unwrap();
        assert!(settings.check().is_err());
        std::fs::write(
            &file,
            ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n",
        )
        .unwrap();
        assert_eq!(settings.check(), Ok(()));
    }
}
