//! What a listener offers.

use restante_types::Domain;

use crate::grammar::verb::Verb;
use crate::sasl::AuthOffer;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Service {
    /// Mail comes in, queues are started.
    #[default]
    Smtp,
    /// On-Demand Mail Relay, RFC 2645: EHLO, STARTTLS, AUTH, ATRN, NOOP, RSET and QUIT; 502 to everything else.
    Odmr,
    /// [2645-5.3-server] The customer's side after ATRN or TURN: mail comes in over a connection that the customer opened. No STARTTLS, AUTH,
    /// ATRN, TURN, ETRN; PIPELINING and CHUNKING always; the rest is what the mail is handed on to.
    Collected {
        /// 8BITMIME is offered.
        eight_bit_mime: bool,
        /// DSN is offered.
        dsn: bool,
        /// SIZE is offered; the bound holds all the same.
        size: bool,
    },
}

/// What a listener offers and bounds. One per listener and reload, shared by its sessions.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What it is for.
    pub service: Service,
    /// Our name in the greeting, in EHLO's answer and in 221 and 421.
    pub hostname: Domain,
    /// STARTTLS is offered (never inside TLS).
    pub starttls: bool,
    /// TLS comes first: 530 5.7.0 to everything but EHLO, NOOP, STARTTLS and QUIT (RFC 3207 4).
    pub tls_required: bool,
    /// AUTH is offered by these mechanisms.
    pub auth: AuthOffer,
    /// ATRN is offered; on ODMR listeners it always is.
    pub atrn: bool,
    /// TURN is taken; otherwise 502. Never announced.
    pub turn: bool,
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

impl ServerConfig {
    /// Whether a verb is implemented here: what is not gets 502. STARTTLS is taken inside TLS too, to be answered 503.
    pub(super) fn takes(&self, verb: Verb, tls: bool) -> bool {
        let turned = matches!(self.service, Service::Collected { .. });
        match verb {
            Verb::Ehlo | Verb::Noop | Verb::Rset | Verb::Quit => true,
            Verb::StartTls => (self.starttls || tls) && !turned,
            Verb::Auth => !self.auth.mechanisms.is_empty() && !turned,
            Verb::Atrn => self.service == Service::Odmr || (self.atrn && !turned),
            Verb::Expn => false,
            // [2645-5.4] everything else is 502 on an ODMR listener.
            Verb::Turn => self.turn && self.service == Service::Smtp,
            Verb::Etrn => self.etrn && self.service == Service::Smtp,
            _ => self.service != Service::Odmr,
        }
    }

    /// Whether SIZE is announced and taken.
    pub(super) const fn offers_size(&self) -> bool {
        matches!(self.service, Service::Smtp | Service::Collected { size: true, .. })
    }

    /// Whether 8BITMIME is announced and BODY taken.
    pub(super) const fn offers_eight_bit_mime(&self) -> bool {
        matches!(self.service, Service::Smtp | Service::Collected { eight_bit_mime: true, .. })
    }

    /// Whether DSN is announced and its parameters taken.
    pub(super) const fn offers_dsn(&self) -> bool {
        matches!(self.service, Service::Smtp | Service::Collected { dsn: true, .. })
    }
}
