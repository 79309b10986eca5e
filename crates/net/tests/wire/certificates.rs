//! Certificates for tests.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A certificate and its key in two files.
pub(crate) struct Pair {
    dir: TempDir,
}

impl Pair {
    /// Self-signed, for `name`.
    pub(crate) fn new(name: &str) -> Self {
        let pair = Self { dir: tempfile::tempdir().unwrap() };
        pair.replace(name);
        pair
    }

    /// Replaces both files, each atomically, as renewal tools do.
    pub(crate) fn replace(&self, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        self.put(&self.certificate(), &made.cert.pem());
        self.put(&self.key(), &made.signing_key.serialize_pem());
    }

    /// Replaces the certificate alone, so that the two do not fit.
    pub(crate) fn break_it(&self) {
        let made = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
        self.put(&self.certificate(), &made.cert.pem());
    }

    fn put(&self, path: &Path, text: &str) {
        let fresh = self.dir.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("tls.crt")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("tls.key")
    }
}
