//! Whom to ask, and what to believe.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::serialize::txt::trust_anchor::{Entry, Parser};

use crate::limits::TRUST_ANCHOR_FILE;

/// Whom to ask, and what to believe. The default is the system's own configuration and the keys of the root that are
/// built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DnsSettings {
    /// The servers to ask instead of the system's.
    pub servers: Vec<SocketAddr>,
    /// A file of DNSKEY records as zone files write them. Keys of the root stand in place of those that are built in,
    /// keys of other zones beside them.
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

    pub(super) fn anchors(&self) -> Result<TrustAnchors, DnsSettingsError> {
        let Some(file) = &self.trust_anchor else { return Ok(TrustAnchors::default()) };
        read(file).map_err(|why| DnsSettingsError::TrustAnchor { file: file.clone(), why })
    }
}

fn read(file: &Path) -> Result<TrustAnchors, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > TRUST_ANCHOR_FILE {
        return Err(format!("has {size} octets, keys would have less than {TRUST_ANCHOR_FILE}"));
    }
    parse(&std::fs::read_to_string(file).map_err(|error| error.to_string())?)
}

fn parse(text: &str) -> Result<TrustAnchors, String> {
    let entries =
        Parser::new(text).parse().map_err(|error| format!("only DNSKEY records are read: {error}"))?;
    if entries.is_empty() {
        return Err("holds no DNSKEY record".to_owned());
    }
    let mut keys = Vec::new();
    for entry in &entries {
        // The parser knows no other kind yet.
        let Entry::DNSKEY(record) = entry else { return Err("only DNSKEY records are read".to_owned()) };
        keys.push((record.name(), record.data().public_key()));
    }
    let has_root = keys.iter().any(|(zone, _)| zone.is_root());
    let mut anchors = if has_root { TrustAnchors::empty() } else { TrustAnchors::default() };
    for (zone, key) in keys {
        anchors.insert_with_name(key, zone.into());
    }
    Ok(anchors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==";

    #[test]
    fn keys_of_the_root_replace_and_others_are_added() {
        assert_eq!(parse(&format!(". {KEY}\n")).unwrap().len(), 1);
        let built_in = TrustAnchors::default().len();
        assert_eq!(parse(&format!("; ours\ncorp.example. 3600 {KEY}\n")).unwrap().len(), built_in);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            "; nothing\n",
            "garbage",
            ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_too_big_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("root.key");
        let settings = DnsSettings { trust_anchor: Some(file.clone()), ..DnsSettings::default() };
        assert!(settings.check().unwrap_err().to_string().contains("root.key"));
        std::fs::write(&file, vec![b';'; usize::try_from(TRUST_ANCHOR_FILE).unwrap() + 1]).unwrap();
        assert!(settings.check().is_err());
        std::fs::write(&file, format!(". {KEY}\n")).unwrap();
        assert_eq!(settings.check(), Ok(()));
    }
}
