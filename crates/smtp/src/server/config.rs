//! What a listener offers.

use restante_types::Domain;

/// What a listener offers and bounds. One per listener and reload, shared by its sessions.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Our name in the greeting, in EHLO's answer and in 221 and 421.
    pub hostname: Domain,
    /// STARTTLS is offered (never inside TLS).
    pub starttls: bool,
    /// TLS comes first: 530 5.7.0 to everything but EHLO, NOOP, STARTTLS and QUIT (RFC 3207 4).
    pub tls_required: bool,
    /// ETRN is offered; otherwise 502.
    pub etrn: bool,
    /// SMTPUTF8 is offered.
    pub smtputf8: bool,
    /// Bare LF or CR is refused instead of normalised.
    pub strict: bool,
    /// SIZE: octets of content at most.
    pub message_size: u64,
    /// Recipients of one transaction at most (at least 100, RFC 5321 4.5.3.1.8).
    pub recipients: usize,
}
