//! TLS where we are the server: a certificate that can be replaced while we run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::events;
use crate::limits::PEM_FILE;
use crate::tls_peer::{AnyClient, ClientCa};
use crate::tls_watch::Stamps;

/// What can be wrong with TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no PEM of the kind that it should hold.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not fit together, or the key is of a kind that is not supported.
    #[error("certificate and key: {0}")]
    Pair(rustls::Error),
    /// Nobody is known who could vouch for a certificate.
    #[error("certificate authorities: {0}")]
    Authorities(String),
    /// A file does not hold a usable authority for client certificates.
    #[error("{}: {source}", path.display())]
    Authority {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::server::VerifierBuilderError,
    },
    /// The handshake failed.
    #[error("TLS handshake: {0}")]
    Handshake(io::Error),
    /// The handshake took too long.
    #[error("TLS handshake timed out")]
    Slow,
    /// There is TLS on the stream already.
    #[error("TLS inside TLS")]
    Twice,
}

impl TlsError {
    /// Whether the peer's certificate is the trouble: somebody answers, but not whom we trust.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        let Self::Handshake(error) = self else { return false };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(inner, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
    }
}

/// The certificate and key that we show, reloaded when their files change. A new pair that is bad leaves the old
/// one in use.
#[derive(Debug)]
pub struct ServerTls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    current: ArcSwap<ServerConfig>,
    client_ca: Option<Arc<ClientCa>>,
    /// The files as they were when they were last read, well or badly.
    pub(crate) read: Mutex<Stamps>,
}

impl ServerTls {
    /// Reads both PEM files: the certificate with its chain, and its private key.
    ///
    /// # Errors
    /// [`TlsError`] names the file, or says that the two do not fit together.
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Arc<Self>, TlsError> {
        Self::load_with(certificate, key, None)
    }

    /// As [`load`](Self::load), with an authority whose certificates name clients.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        client_ca: Option<Arc<ClientCa>>,
    ) -> Result<Arc<Self>, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        // Before reading: a change during it is then seen as one by the next look.
        let stamps = Stamps::of(&certificate, &key);
        let current = ArcSwap::from_pointee(read_pair(&certificate, &key)?);
        Ok(Arc::new(Self { certificate, key, current, client_ca, read: Mutex::new(stamps) }))
    }

    /// Reads the files again, whether or not they changed. Connections that stand keep what they have.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; the old pair stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = Stamps::of(&self.certificate, &self.key);
        match read_pair(&self.certificate, &self.key) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                events::certificate_reloaded(&self.certificate);
                Ok(())
            }
            Err(error) => {
                events::certificate_refused(&self.certificate, &error);
                Err(error)
            }
        }
    }

    /// The certificate's file.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The key's file.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Whose certificates name clients.
    #[must_use]
    pub fn client_ca(&self) -> Option<&ClientCa> {
        self.client_ca.as_deref()
    }

    /// What takes the next handshake. Clients are asked for a certificate; they need not have one.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

/// The one provider of cryptography, passed by hand: a process-wide default would be a global.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read_pair(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let (chain, key) = (read_certificates(certificate)?, read_key(key)?);
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_client_cert_verifier(AnyClient::new(provider()))
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)
}

/// The certificates of a PEM file, one at least.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), source };
    let octets = read_bounded(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let chain = chain.map_err(pem)?;
    if chain.is_empty() { Err(pem(rustls::pki_types::pem::Error::NoItemsFound)) } else { Ok(chain) }
}

/// The private key of a PEM file.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), source };
    PrivateKeyDer::from_pem_slice(&read_bounded(path)?).map_err(pem)
}

pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PEM_FILE).read_to_end(&mut octets));
    read.map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    Ok(octets)
}
