//! What is wanted of which server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use restante_net::{ServerName, Trust};
use restante_types::Domain;

use crate::address::{HostPort, Local};
use crate::schedule::Schedule;

/// How mail is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// On-Demand Mail Relay, RFC 2645: it comes over the connection that asks for it.
    Atrn,
    /// RFC 1985: it comes over connections of the server's own.
    Etrn,
    /// RFC 821: as ATRN, for all domains of the account, where a server knows nothing better.
    Turn,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Atrn => "atrn",
            Self::Etrn => "etrn",
            Self::Turn => "turn",
        })
    }
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secured {
    /// RFC 3207, and it must come about.
    StartTls,
    /// Before anything is said, RFC 8314 3.
    Implicit,
    /// Never. Passwords go over the line by SCRAM only.
    Never,
}

/// How we prove who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The account.
    pub account: Option<String>,
    /// Holds the account's password, on its first line; nobody else may read it.
    pub secret_file: Option<PathBuf>,
    /// Certificate chain and key, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Promised mail is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// How long after the server's promise.
    pub within: Duration,
    /// What changes when mail comes: a Maildir, a mailbox, a log.
    pub at: PathBuf,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// How it is called in the state file and in messages.
    pub name: String,
    /// Where it is.
    pub address: HostPort,
    /// How mail is asked for.
    pub protocol: Protocol,
    /// How we prove who we are.
    pub login: Login,
    /// When TLS begins.
    pub tls: Secured,
    /// Whom we take for the server.
    pub trust: Trust,
    /// The name that its certificate must have.
    pub tls_name: ServerName<'static>,
    /// The domains whose mail is wanted; never empty.
    pub domains: Vec<Domain>,
    /// When it is called.
    pub schedule: Schedule,
    /// Added to that, at random, at most.
    pub jitter: Duration,
    /// Where mail goes; nowhere with ETRN.
    pub local: Option<Local>,
    /// Whether promised mail is looked for (ETRN).
    pub expect: Option<Expect>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Our name in EHLO and greetings.
    pub hostname: Domain,
    /// What is remembered between runs.
    pub state_file: PathBuf,
    /// The servers.
    pub servers: Vec<ServerSettings>,
}
