//! Log events, one function each.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use restante_types::{Domain, Printable, Reply};

use crate::failure::Failure;
use crate::settings::ServerSettings;
use crate::tally::Tally;

/// The schedule is being kept.
pub(crate) fn waiting(server: &ServerSettings, next: Timestamp) {
    tracing::info!(event = "agent_waiting", server = %server.name, protocol = %server.protocol, next = %next);
}

/// A server is called.
pub(crate) fn calling(server: &ServerSettings) {
    tracing::debug!(event = "agent_calling", server = %server.name, address = %server.address, protocol = %server.protocol);
}

/// Mail came, or there is none.
pub(crate) fn collected(server: &ServerSettings, tally: &Tally, took: Duration) {
    tracing::info!(
        event = "agent_collected",
        server = %server.name,
        messages = tally.messages,
        bytes = tally.bytes,
        refused = tally.refused,
        announced = tally.announced,
        milliseconds = took.as_millis(),
    );
}

/// It did not come about, or not to its end.
pub(crate) fn failed(server: &ServerSettings, failure: &Failure, tally: &Tally) {
    tracing::warn!(
        event = "agent_failed",
        server = %server.name,
        reason = %failure.text(),
        messages = tally.messages,
        bytes = tally.bytes,
        deferred = tally.deferred,
    );
}

/// The server announced mail (ETRN).
pub(crate) fn announced(server: &ServerSettings, domain: &Domain, reply: &Reply) {
    tracing::info!(event = "agent_announced", server = %server.name, domain = %domain, reply = %reply);
}

/// What was announced has not come.
pub(crate) fn not_come(server: &ServerSettings, at: &Path, within: Duration) {
    tracing::warn!(
        event = "agent_mail_not_come",
        server = %server.name,
        at = %at.display(),
        seconds = within.as_secs(),
        suggestion = "the server connects to the next hop that it has on file: ask its operator for it, or use protocol = \"atrn\"",
    );
}

/// The other side wanted to hand over what is none of ours.
pub(crate) fn foreign(recipient: &str) {
    tracing::warn!(event = "agent_foreign_recipient", recipient = %Printable::from(recipient));
}

/// The local side refused something; it goes back as it is.
pub(crate) fn local_refused(what: &'static str, reply: &Reply) {
    tracing::info!(event = "agent_local_refused", what, reply = %reply);
}

/// The local side broke off.
pub(crate) fn local_lost(what: &str) {
    tracing::warn!(event = "agent_local_lost", reason = %Printable::from(what));
}

/// A password that others can read, of a server on this machine.
pub(crate) fn secret_open(path: &Path) {
    tracing::warn!(
        event = "agent_secret_open",
        file = %path.display(),
        consequence = "for a server elsewhere it would not be used",
        suggestion = %format_args!("chmod 600 {}", path.display()),
    );
}

/// What happened cannot be written down.
pub(crate) fn not_recorded(server: &ServerSettings, error: &crate::state::StateError) {
    tracing::error!(event = "agent_not_recorded", server = %server.name, error = %error);
}
