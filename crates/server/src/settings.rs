//! What the configuration says to the front end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use restante_smtp::{AuthOffer, ServerConfig};
use restante_types::{Domain, DomainMap, canonical};

/// Everything the front end is told. Replaced as a whole on reload.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Our name.
    pub hostname: Domain,
    /// Addresses that are us, besides those we listen on.
    pub own_addresses: Vec<IpAddr>,
    /// Where we listen.
    pub listeners: Vec<ListenSettings>,
    /// What is offered of AUTH: what some account can use.
    pub auth: AuthOffer,
    /// TURN is served on `smtp` listeners: some account has it.
    pub turn: bool,
    /// Bounds.
    pub limits: ServerLimits,
    /// The domains that mail is held for.
    pub domains: DomainMap<HeldDomain>,
    /// The domain that stands first in the configuration; bare `postmaster` belongs to it (RFC 5321 4.5.1).
    pub first_domain: Option<Domain>,
    /// Domains that were held at the last good start and are missing now: 450 instead of 550, until the program
    /// takes them out of this map (7 days).
    pub lost: DomainMap<()>,
}

/// One `[[listen]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenSettings {
    /// Where.
    pub address: SocketAddr,
    /// What is spoken there.
    pub service: Service,
    /// Whether in clear.
    pub tls: ListenTls,
    /// Bare LF or CR is refused instead of normalised.
    pub strict: bool,
    /// ATRN is offered; on `odmr` listeners it always is.
    pub atrn: bool,
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Mail comes in, ETRN is taken.
    Smtp,
    /// On-demand mail relay, RFC 2645.
    Odmr,
}

/// What a listener does about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenTls {
    /// Nothing.
    None,
    /// STARTTLS is offered where there is a certificate.
    StartTls,
    /// STARTTLS comes before MAIL and ETRN.
    Required,
    /// TLS from the first octet (RFC 8314 3.3).
    Implicit,
}

/// `[limits]`, and `hop-limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Octets of content.
    pub message_size: u64,
    /// Recipients of one transaction.
    pub recipients: usize,
    /// Connections at one time, per listener.
    pub connections: usize,
    /// Of these, from one client: an IPv4 address or an IPv6 /64.
    pub connections_per_client: usize,
    /// Queues made by `subdomains = true`, per domain.
    pub max_subdomains: usize,
    /// Received lines of a message.
    pub hop_limit: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            message_size: 50_000_000,
            recipients: 1000,
            connections: 2000,
            connections_per_client: 50,
            max_subdomains: 1000,
            hop_limit: 100,
        }
    }
}

/// What the front end knows of a domain that mail is held for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldDomain {
    /// `mode = "push"`: new mail is tried at once.
    pub push: bool,
    /// Octets at most, the names below it included; `None` is unlimited.
    pub quota: Option<u64>,
    /// Its primary is known to take SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// Names below it have queues of their own (the same as given to the [`DomainMap`]).
    pub subdomains: bool,
    /// Notices about its mail go to senders that somebody vouches for (`notices = "verified"`): it is found out who does.
    pub vouched: bool,
    /// Its mail is told what was found out about the sender, in an Authentication-Results field on top (RFC 8601). A
    /// message to several domains has one content: it gets the field as soon as one of them wants it.
    pub authentication_results: bool,
}

impl ServerSettings {
    /// Whether an address is us, as far as the configuration knows.
    pub(crate) fn is_ours(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        let listening = self.listeners.iter().map(|listener| listener.address.ip());
        self.own_addresses.iter().copied().chain(listening).any(|own| canonical(own) == address)
    }

    /// What the machine of a listener is told.
    pub(crate) fn machine(&self, listener: &ListenSettings, has_certificate: bool) -> Arc<ServerConfig> {
        let upgrades = matches!(listener.tls, ListenTls::StartTls | ListenTls::Required);
        Arc::new(ServerConfig {
            service: match listener.service {
                Service::Smtp => restante_smtp::Service::Smtp,
                Service::Odmr => restante_smtp::Service::Odmr,
            },
            auth: self.auth,
            atrn: listener.atrn,
            turn: self.turn,
            hostname: self.hostname.clone(),
            starttls: upgrades && has_certificate,
            tls_required: listener.tls == ListenTls::Required,
            etrn: true,
            smtputf8: true,
            strict: listener.strict,
            message_size: self.limits.message_size,
            recipients: self.limits.recipients,
        })
    }
}

impl ListenSettings {
    /// Whether it cannot do without a certificate.
    pub(crate) const fn needs_certificate(&self) -> bool {
        matches!(self.tls, ListenTls::Required | ListenTls::Implicit)
    }
}
