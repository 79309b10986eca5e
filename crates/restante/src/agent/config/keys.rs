//! Every key with its type and its default. A key stands here once.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use restante_agent::{HostPort, Local, Protocol, Schedule, Secured};
use restante_turn::Fingerprint;
use restante_types::Domain;
use toml::de::DeValue;

use crate::config::{Fields, Setting, Span, Wrong, nearest, parsed, quoted, section, text, words};

section! {
    /// What stands before the first table.
    Top {
        /// Our name in EHLO and greetings; absent is the machine's, or else the first domain.
        "hostname" hostname: Option<Domain> = None;
        /// What is remembered between runs.
        "state-file" state_file: PathBuf = "/var/lib/restante-agent/state.json".into();
    }
}

section! {
    /// `[[server]]`
    Server {
        /// How it is called in `agent status`; absent is its address.
        "name" name: Option<String> = None;
        /// Where it is.
        "address" address: Option<HostPort> = None;
        /// How mail is asked for.
        "protocol" protocol: Protocol = Protocol::Atrn;
        /// The account there.
        "account" account: Option<String> = None;
        /// Its password.
        "secret-file" secret_file: Option<PathBuf> = None;
        /// A certificate that we show, PEM.
        "client-certificate" client_certificate: Option<PathBuf> = None;
        /// Its key, PEM.
        "client-key" client_key: Option<PathBuf> = None;
        /// When TLS begins.
        "tls" tls: Secured = Secured::StartTls;
        /// What TLS must be.
        "tls-policy" tls_policy: Policy = Policy::Verify;
        /// Authorities for its certificate, PEM, instead of the system's.
        "ca" ca: Option<PathBuf> = None;
        /// The SHA-256 of its certificate, instead of any authority.
        "fingerprint" fingerprint: Option<Fingerprint> = None;
        /// The name in its certificate, where that is not its address.
        "tls-name" tls_name: Option<CertificateName> = None;
        /// The domains whose mail is wanted.
        "domains" domains: Vec<Domain> = Vec::new();
        /// When it is called, as cron says it.
        "schedule" schedule: Option<Schedule> = None;
        /// How long after the last call.
        "every" every: Option<Span> = None;
        /// Added to both at random, at most.
        "jitter" jitter: Span = Span::seconds(30);
        /// Where mail goes.
        "local" local: Option<Local> = None;
        /// How long after ETRN promised mail is to have come.
        "expect-within" expect_within: Option<Span> = None;
        /// What changes when mail comes.
        "expect-at" expect_at: Option<PathBuf> = None;
    }
}

/// `tls-policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// The server's certificate is verified.
    Verify,
    /// Any certificate is taken.
    Encrypt,
}

/// What a certificate can be for: a domain name or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateName(pub(super) restante_net::ServerName<'static>);

impl FromStr for CertificateName {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        restante_net::ServerName::try_from(text.to_owned()).map(Self).map_err(|_| ())
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

parsed! {
    HostPort, "host and port", "write \"mx2.example.net:366\", \"192.0.2.1:366\" or \"[2001:db8::1]:366\"";
    Local, "mail server or mailbox", "write \"127.0.0.1:25\", \"lmtp:127.0.0.1:24\", \"lmtp:/path/to/socket\" or \"maildir:/path\"";
    CertificateName, "name for a certificate", "write a name like \"mx2.example.net\"";
}

words! {
    Protocol, "protocol" { "atrn" => Protocol::Atrn, "etrn" => Protocol::Etrn, "turn" => Protocol::Turn, }
    Secured, "way of TLS" {
        "starttls" => Secured::StartTls,
        "implicit" => Secured::Implicit,
        "none" => Secured::Never,
    }
    Policy, "TLS policy" { "verify" => Policy::Verify, "encrypt" => Policy::Encrypt, }
}

impl Setting for Schedule {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let meant = "write minute, hour, day, month, weekday, like \"*/15 * * * *\" or \"30 7 * * MON-FRI\"";
        text(value, meant)?
            .parse()
            .map_err(|error: restante_agent::NoSchedule| Wrong::new(error.to_string(), meant))
    }
    fn write(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}
