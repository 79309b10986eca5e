//! What must be true of one connection.

use std::fmt;

use restante_net::{ServerName, Trust};
use restante_types::Reply;

use crate::route::Hop;

/// What TLS must be on a connection to one hop.
#[derive(Debug, Clone)]
pub struct Demand {
    level: Level,
    trust: Trust,
    name: ServerName<'static>,
    words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    IfOffered,
    Always,
}

impl Demand {
    pub(super) const fn if_offered(name: ServerName<'static>, words: String) -> Self {
        Self { level: Level::IfOffered, trust: Trust::Anyone, name, words }
    }

    pub(super) const fn encrypted(name: ServerName<'static>, words: String) -> Self {
        Self { level: Level::Always, trust: Trust::Anyone, name, words }
    }

    pub(super) const fn verified(trust: Trust, name: ServerName<'static>, words: String) -> Self {
        Self { level: Level::Always, trust, name, words }
    }

    /// Whether mail may go in clear where there is no TLS, or where it breaks.
    #[must_use]
    pub const fn allows_clear(&self) -> bool {
        matches!(self.level, Level::IfOffered)
    }

    /// Whether somebody in between is kept out.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.trust.is_verified()
    }

    /// Whom we take for the next hop.
    pub(crate) const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What we ask for in the handshake (SNI), and what the certificate must be for where a name is looked at.
    #[must_use]
    pub const fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// Of who asked for the mail to come to its address: encrypted; its certificate is looked at by whoever knows it.
    pub(crate) fn for_requester(hop: &Hop) -> Self {
        let name = ServerName::from(hop.address.ip());
        Self::encrypted(name, "encrypted, and the certificate on file".to_owned())
    }
}

/// "verify: a certificate for mail.example.org by the system's authorities"
impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// Nothing may be sent over a hop: its policy cannot be met, whatever it shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unmet {
    why: String,
    detail: (u16, u16),
}

impl Unmet {
    /// RFC 3463 3.8: X.7.0, other security status.
    pub(super) const fn policy(why: String) -> Self {
        Self { why, detail: (7, 0) }
    }

    /// X.7.5, cryptographic failure.
    pub(super) const fn local(why: String) -> Self {
        Self { why, detail: (7, 5) }
    }

    /// What is recorded for the mail that waits.
    #[must_use]
    pub fn reply(&self) -> Reply {
        Reply::new(450, (4, self.detail.0, self.detail.1), self.why.clone())
    }
}
