//! What the configuration says about alarms.

use std::path::PathBuf;
use std::time::Duration;

use restante_types::{Domain, DomainMap, Mailbox};

/// One domain's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Its mail leaves only when asked for.
    pub(crate) on_demand: bool,
    /// How long its mail waits.
    pub(crate) retention: Duration,
    /// When waiting mail is worth a warning.
    pub(crate) uncollected: Option<Duration>,
    /// Who is told by mail.
    pub(crate) owner: Option<Mailbox>,
}

/// Where changes are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    /// The URL; may hold a secret itself, so that only its host is ever shown.
    pub(crate) url: String,
    /// What the posts are signed with; it is read for each of them.
    pub(crate) secret_file: Option<PathBuf>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Our name.
    pub(crate) hostname: Domain,
    /// The configured domains.
    pub(crate) domains: DomainMap<Watched>,
    /// Where changes are posted.
    pub(crate) webhook: Option<Webhook>,
    /// Whether people are told by mail.
    pub(crate) mail: bool,
    /// Who is told of what is about the server.
    pub(crate) mail_to: Option<Mailbox>,
    /// Our certificate.
    pub(crate) certificate: Option<PathBuf>,
}

impl Settings {
    /// The configured domain that a queue belongs to.
    pub(crate) fn covering(&self, queue: &Domain) -> Option<(&Domain, &Watched)> {
        self.domains.find(queue)
    }

    /// Whether a name is itself configured.
    pub(crate) fn is_configured(&self, domain: &Domain) -> bool {
        self.covering(domain).is_some_and(|(found, _)| found == domain)
    }
}
