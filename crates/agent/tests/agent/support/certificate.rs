//! A certificate that is signed by itself.

use std::path::PathBuf;
use std::sync::Arc;

use restante_net::ServerTls;
use tempfile::TempDir;

pub(crate) struct Pair {
    dir: TempDir,
}

impl Pair {
    pub(crate) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(dir.path().join("crt"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key"), made.signing_key.serialize_pem()).unwrap();
        Self { dir }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("crt")
    }

    pub(crate) fn tls(&self) -> Arc<ServerTls> {
        ServerTls::load(self.file(), self.dir.path().join("key")).unwrap()
    }
}
