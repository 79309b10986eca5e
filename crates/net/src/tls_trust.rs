//! Whom we take for a server, where that is decided before the connection.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::stream::fingerprint;
use crate::tls_client::ClientTls;
use crate::tls_dane::{Dane, DaneVerifier};
use crate::tls_server::{TlsError, provider, read_certificates, read_key};

/// Whom we take for a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Who shows a certificate for the name that an authority of this system has signed (RFC 9525).
    System,
    /// The same with the authorities of this PEM file, and no others. A certificate that is signed by itself is its own
    /// authority.
    Authorities(PathBuf),
    /// Who shows the certificate with this SHA-256, whatever its name, date or issuer.
    Fingerprint([u8; 32]),
    /// The same with any of several.
    Fingerprints(BTreeSet<[u8; 32]>),
    /// For whom TLSA records vouch.
    Dane(Dane),
    /// Anybody: it keeps out who only listens.
    Anyone,
}

impl Trust {
    /// Whether somebody in between is kept out, so that a password may be shown.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        !matches!(self, Self::Anyone)
    }
}

impl ClientTls {
    /// Trusts these, and shows this certificate (chain and key, PEM) to who asks for one.
    ///
    /// # Errors
    /// [`TlsError`] when a file cannot be used, or when this system knows no authorities.
    pub fn trusting(trust: &Trust, shown: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .dangerous()
            .with_custom_certificate_verifier(verifier(trust)?);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(read_certificates(certificate)?, read_key(key)?)
                .map_err(TlsError::Pair)?,
        };
        // A session that is resumed shows no certificate, so that nothing would be verified (it may have expired since).
        if trust.is_verified() {
            config.resumption = Resumption::disabled();
        }
        Ok(Self::of(config))
    }
}

fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let authorities = |error: Error| TlsError::Authorities(error.to_string());
    Ok(match trust {
        Trust::System => Arc::new(Verifier::new(provider()).map_err(authorities)?),
        Trust::Authorities(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(file)? {
                roots.add(certificate).map_err(authorities)?;
            }
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            built.map_err(|error| TlsError::Authorities(error.to_string()))?
        }
        Trust::Fingerprint(wanted) => {
            Arc::new(Pinned { wanted: Some(BTreeSet::from([*wanted])), provider: provider() })
        }
        Trust::Fingerprints(wanted) => {
            Arc::new(Pinned { wanted: Some(wanted.clone()), provider: provider() })
        }
        Trust::Dane(dane) => Arc::new(DaneVerifier::new(dane.clone(), provider())),
        Trust::Anyone => Arc::new(Pinned { wanted: None, provider: provider() }),
    })
}

/// Takes one of some certificates, or any; either way the handshake must be signed with its key.
#[derive(Debug)]
struct Pinned {
    wanted: Option<BTreeSet<[u8; 32]>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(wanted) = &self.wanted else { return Ok(ServerCertVerified::assertion()) };
        if fingerprint(end_entity).is_some_and(|shown| wanted.contains(&shown)) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
