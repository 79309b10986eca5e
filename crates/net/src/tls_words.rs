//! What went wrong with a handshake, in words for an operator.

use std::io;

use rustls::{CertificateError, Error};

use crate::tls_server::TlsError;

impl TlsError {
    /// A sentence without its subject's name: "the certificate has expired".
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self::Handshake(error) = self else { return self.to_string() };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(why)) => certificate(why),
            Some(Error::NoCertificatesPresented) => "it shows no certificate".to_owned(),
            Some(Error::AlertReceived(alert)) => format!("it broke the handshake off ({alert:?})"),
            Some(other) => format!("the handshake failed: {other}"),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "it closed the connection in the handshake".to_owned()
            }
            None => format!("the handshake failed: {error}"),
        }
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer => "the certificate is not by an authority that counts".to_owned(),
        CertificateError::NotValidForName => "the certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let wanted = expected.to_str();
            if presented.is_empty() {
                return format!("the certificate is not for {wanted}");
            }
            format!("the certificate is not for {wanted}, but for {}", few(presented))
        }
        CertificateError::ApplicationVerificationFailure => {
            "the certificate is not one whose fingerprint is on file".to_owned()
        }
        CertificateError::Other(why) => why.0.to_string(),
        other => format!("the certificate is not valid: {other}"),
    }
}

/// The first of the names; a certificate may bear hundreds.
fn few(names: &[String]) -> String {
    let shown = names.iter().take(3).map(|name| plain(name)).collect::<Vec<_>>().join(", ");
    if names.len() > 3 { format!("{shown} and {} more", names.len() - 3) } else { shown }
}

/// What rustls writes as `DnsName("mail.example.org")`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}
