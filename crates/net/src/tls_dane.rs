//! Whom TLSA records vouch for (RFC 6698, RFC 7671, RFC 7672).

use std::fmt;
use std::sync::Arc;

use restante_types::Domain;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use sha2::{Digest, Sha256, Sha512};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::limits::{CHAIN, DANE_NAMES};
use crate::tls_names::bears;

/// What a TLSA record says about the certificate it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DaneUsage {
    /// DANE-TA(2): it is, or has issued, the server's.
    Authority,
    /// DANE-EE(3): it is the server's.
    Server,
}

/// How it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Matching {
    Full,
    Sha256,
    Sha512,
}

/// A TLSA record that can be used for SMTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DaneRecord {
    usage: DaneUsage,
    /// The key alone: selector SPKI(1).
    key: bool,
    matching: Matching,
    data: Vec<u8>,
}

impl DaneRecord {
    /// [7672-3.1.3] A record by its four fields (RFC 6698 2.1); `None` where it is unusable: PKIX-TA(0) and PKIX-EE(1),
    /// numbers that nobody knows, data of a length that cannot match or that is no certificate.
    #[must_use]
    pub fn new(usage: u8, selector: u8, matching: u8, data: Vec<u8>) -> Option<Self> {
        let usage = match usage {
            2 => DaneUsage::Authority,
            3 => DaneUsage::Server,
            _ => return None,
        };
        let key = match selector {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (matching, fits) = match matching {
            0 if key => (Matching::Full, !data.is_empty()),
            0 => (Matching::Full, EndEntityCert::try_from(&CertificateDer::from(data.as_slice())).is_ok()),
            1 => (Matching::Sha256, data.len() == 32),
            2 => (Matching::Sha512, data.len() == 64),
            _ => return None,
        };
        fits.then_some(Self { usage, key, matching, data })
    }

    /// Whether it names this certificate.
    fn names(&self, certificate: &CertificateDer<'_>) -> bool {
        if !self.key {
            return self.holds(certificate);
        }
        EndEntityCert::try_from(certificate).is_ok_and(|parsed| self.holds(&parsed.subject_public_key_info()))
    }

    fn holds(&self, octets: &[u8]) -> bool {
        match self.matching {
            Matching::Full => self.data == octets,
            Matching::Sha256 => self.data == Sha256::digest(octets).as_slice(),
            Matching::Sha512 => self.data == Sha512::digest(octets).as_slice(),
        }
    }

    /// Whether the certificate itself, not only its digest, stands in the DNS.
    fn is_whole(&self) -> bool {
        !self.key && self.matching == Matching::Full
    }
}

/// `3 1 1 0123456789abcdef…`
impl fmt::Display for DaneRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = match self.usage {
            DaneUsage::Authority => 2,
            DaneUsage::Server => 3,
        };
        let matching = match self.matching {
            Matching::Full => 0,
            Matching::Sha256 => 1,
            Matching::Sha512 => 2,
        };
        write!(f, "{usage} {} {matching} ", u8::from(self.key))?;
        for octet in self.data.iter().take(8) {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(if self.data.len() > 8 { "…" } else { "" })
    }
}

/// The records of one server, and the names that its certificate may bear.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dane {
    /// At least one.
    pub records: Vec<DaneRecord>,
    /// [7672-3.2.2] The TLSA base domain first. Of use to DANE-TA(2) alone.
    pub names: Vec<Domain>,
}

/// No record of a server vouches for what it showed.
#[derive(Debug, thiserror::Error)]
enum Mismatch {
    #[error("no TLSA record matches the certificate")]
    NoRecord,
    #[error("a TLSA record names the issuer, but the certificate is not for {0}")]
    Name(String),
    #[error("a TLSA record names the issuer, but the certificate does not verify: {0}")]
    Chain(webpki::Error),
}

impl From<Mismatch> for Error {
    fn from(mismatch: Mismatch) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(mismatch))))
    }
}

/// Takes whom the records vouch for.
#[derive(Debug)]
pub(crate) struct DaneVerifier {
    dane: Dane,
    provider: Arc<CryptoProvider>,
}

impl DaneVerifier {
    pub(crate) const fn new(dane: Dane, provider: Arc<CryptoProvider>) -> Self {
        Self { dane, provider }
    }

    fn check(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Mismatch> {
        let Some((end, between)) = chain.split_first() else { return Err(Mismatch::NoRecord) };
        let of = |usage| self.dane.records.iter().filter(move |record| record.usage == usage);
        // [7672-3.1.1] [7672-3.2.1] The certificate is the one: neither its name nor its dates count.
        if of(DaneUsage::Server).any(|record| record.names(end)) {
            return Ok(());
        }
        // [7672-3.1.2] An issuer that was shown, or that stands in the DNS as a whole (RFC 7671 5.2.2).
        let mut anchors: Vec<TrustAnchor<'_>> = Vec::new();
        let whole: Vec<CertificateDer<'_>> = of(DaneUsage::Authority)
            .filter(|record| record.is_whole())
            .map(|record| CertificateDer::from(record.data.as_slice()))
            .collect();
        let shown = chain.iter().filter(|shown| of(DaneUsage::Authority).any(|record| record.names(shown)));
        for certificate in shown.chain(&whole) {
            anchors.extend(anchor_from_trusted_cert(certificate));
        }
        if anchors.is_empty() {
            return Err(Mismatch::NoRecord);
        }
        let parsed = EndEntityCert::try_from(end).map_err(Mismatch::Chain)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        parsed
            .verify_for_usage(algorithms, &anchors, between, now, KeyUsage::server_auth(), None, None)
            .map_err(Mismatch::Chain)?;
        // [7672-3.2.2] [7672-3.2.3] And it must be the certificate of this server, not of another one by that issuer.
        let names = || self.dane.names.iter().take(DANE_NAMES);
        if names().any(|name| bears(&parsed, name)) {
            return Ok(());
        }
        Err(Mismatch::Name(names().map(Domain::as_str).collect::<Vec<_>>().join(" or ")))
    }
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<_> =
            std::iter::once(end_entity).chain(intermediates.iter().take(CHAIN)).cloned().collect();
        self.check(&chain, now)?;
        Ok(ServerCertVerified::assertion())
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
