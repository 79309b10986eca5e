//! TLS where we are the client.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::tls_server::provider;

/// How we behave as a TLS client. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Encrypts towards whoever answers: **any certificate is taken**, whatever its name, date or issuer.
    ///
    /// This is unauthenticated by design (RFC 7435): it keeps out who only listens, not who stands in between.
    /// Mail between strangers has no more than this, and a certificate that does not verify is still better than
    /// the clear text that would be the alternative. What the peer showed is in the stream's
    /// [`TlsFacts`](restante_types::TlsFacts), so that a fingerprint on file can be compared after the handshake.
    #[must_use]
    pub fn opportunistic() -> Self {
        let provider = provider();
        Self::with_verifier(Arc::new(AnyCertificate(provider)))
    }

    /// Verifies with `verifier`: the seam for pinned, DANE, MTA-STS and web-PKI policies.
    #[must_use]
    pub fn with_verifier(verifier: Arc<dyn ServerCertVerifier>) -> Self {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for TLS 1.2 and 1.3");
        let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Self { config: Arc::new(config) }
    }

    /// The same for a client that is not ours: HTTPS.
    #[must_use]
    pub fn to_rustls(&self) -> ClientConfig {
        (*self.config).clone()
    }

    pub(crate) fn of(config: ClientConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    pub(crate) const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

/// Takes any certificate, but still wants the handshake to be signed with its key: then the fingerprint in the facts
/// is that of whoever we talk to.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
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
