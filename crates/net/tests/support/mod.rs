//! What the tests of this crate share.

use std::path::{Path, PathBuf};

use restante_net::{Connecting, Listener, Stream};
use tempfile::TempDir;

/// A certificate and its key in two files.
pub struct Pair {
    dir: TempDir,
}

impl Pair {
    /// Self-signed, for `name`.
    pub fn new(name: &str) -> Self {
        let pair = Self { dir: tempfile::tempdir().unwrap() };
        pair.replace(name);
        pair
    }

    /// Replaces both files, each atomically, as renewal tools do.
    pub fn replace(&self, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        self.put(&self.certificate(), &made.cert.pem());
        self.put(&self.key(), &made.signing_key.serialize_pem());
    }

    /// Replaces the certificate alone, so that the two do not fit.
    pub fn break_it(&self) {
        let made = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
        self.put(&self.certificate(), &made.cert.pem());
    }

    fn put(&self, path: &Path, text: &str) {
        let fresh = self.dir.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("tls.crt")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("tls.key")
    }
}

/// Two ends of one connection: the one that connected, and the one that accepted.
pub async fn connected() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local().unwrap();
    let connecting = Connecting { address, source: None, limit: std::time::Duration::from_secs(5) };
    let (there, here) = tokio::join!(connecting.connect(), listener.accept());
    (there.unwrap(), here.unwrap())
}
