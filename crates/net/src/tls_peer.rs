//! Certificates that clients show: asked for, never required.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use restante_types::Domain;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::limits::NAMES_OF_A_CERTIFICATE;
use crate::tls_server::{TlsError, provider, read_bounded};

/// Asks every client for a certificate and takes any, or none: whoever issued it, its fingerprint is what counts. The
/// handshake must be signed with its key, so that the fingerprint in the facts is that of whoever we talk to.
#[derive(Debug)]
pub(crate) struct AnyClient(Arc<CryptoProvider>);

impl AnyClient {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self(provider))
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: a client offers whatever it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A private certification authority: the names in certificates that it issued to clients can be relied on.
#[derive(Debug)]
pub struct ClientCa {
    file: PathBuf,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCa {
    /// Reads its certificate, or several, from a PEM file.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(file: impl Into<PathBuf>) -> Result<Arc<Self>, TlsError> {
        let file = file.into();
        let pem = |source| TlsError::Pem { path: file.clone(), source };
        let octets = read_bounded(&file)?;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&octets) {
            roots.add(root.map_err(pem)?).map_err(TlsError::Pair)?;
        }
        if roots.is_empty() {
            return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| TlsError::Authority { path: file.clone(), source: error })?;
        Ok(Arc::new(Self { file, verifier }))
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// [4954-4-external-names] The DNS names of a certificate that it issued, for clients, and that is valid now; none otherwise.
    pub(crate) fn names(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Vec<Domain> {
        let Some((end, between)) = chain.split_first() else { return Vec::new() };
        if self.verifier.verify_client_cert(end, between, now).is_err() {
            return Vec::new();
        }
        let Ok(certificate) = webpki::EndEntityCert::try_from(end) else { return Vec::new() };
        let names = certificate.valid_dns_names().take(NAMES_OF_A_CERTIFICATE);
        names.filter_map(|name| Domain::parse(name).ok()).collect()
    }
}
