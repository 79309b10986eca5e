//! Log events, one function each.

use std::path::Path;

use crate::tls_server::TlsError;

/// A new certificate is in use.
pub(crate) fn certificate_reloaded(certificate: &Path) {
    tracing::info!(event = "certificate_reloaded", certificate = %certificate.display());
}

/// A new certificate cannot be used; the old one stays.
pub(crate) fn certificate_refused(certificate: &Path, error: &TlsError) {
    tracing::error!(event = "certificate_refused", certificate = %certificate.display(), error = %error);
}

/// The files of a trust changed and cannot be used; what was read before stays in use.
pub(crate) fn client_trust_refused(error: &TlsError) {
    tracing::error!(event = "client_trust_refused", error = %error);
}
