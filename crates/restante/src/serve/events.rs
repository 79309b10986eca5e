//! One function per event that an operator greps for.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use restante_types::Domain;

use super::error::{ReloadError, StartError};
use crate::config::{Config, Finding, Grade, Report};

struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, item)| {
            let between = if index == 0 { "" } else { "," };
            write!(f, "{between}{item}")
        })
    }
}

/// Listening, store open. Scripts wait for this; its message is there so that they find it in any format.
pub(super) fn ready(addresses: &[SocketAddr], socket: &Path, config: &Config) {
    tracing::info!(
        event = "ready",
        addresses = %List(addresses),
        socket = %socket.display(),
        hostname = %config.hostname,
        domains = config.domains.len(),
        version = env!("CARGO_PKG_VERSION"),
        "event=ready"
    );
}

/// It did not come to that.
pub(super) fn not_started(error: &StartError) {
    tracing::error!(event = "not_started", error = %error);
}

/// What a configuration that can be used is to be told about.
pub(super) fn findings(report: &Report) {
    report.findings().for_each(finding);
}

fn finding(finding: &Finding) {
    let (place, what) = (&finding.place, finding.what.as_str());
    let meant = finding.meant.as_deref();
    match finding.grade {
        Grade::Error => tracing::error!(event = "configuration_error", place = %place, what, meant),
        Grade::Warning => tracing::warn!(event = "configuration_warning", place = %place, what, meant),
        Grade::Note => tracing::info!(event = "configuration_note", place = %place, what, meant),
    }
}

/// The new configuration is in force.
pub(super) fn reloaded(config: &Config) {
    tracing::info!(event = "reloaded", file = %config.file.display(), domains = config.domains.len());
}

/// The old configuration stays in force.
pub(super) fn reload_failed(file: &Path, error: &ReloadError) {
    tracing::error!(event = "reload_failed", file = %file.display(), error = %error, consequence = "the old configuration stays in force");
}

/// A text for notices that was fine at the last look cannot be used now; ours is.
pub(super) fn template_unusable(file: &Path, error: &str) {
    let file = file.display();
    tracing::error!(event = "template_unusable", %file, error);
}

/// A key that is only read at the start has changed.
pub(super) fn needs_restart(key: &str) {
    tracing::warn!(
        event = "needs_restart",
        key,
        consequence = "the old value stays in force until a restart"
    );
}

/// A certificate of our own was made.
pub(super) fn certificate_made(certificate: &Path) {
    tracing::info!(event = "certificate_made", certificate = %certificate.display());
}

/// The certificate of our own is damaged; another one is made, and whoever pinned the old one has to be told.
pub(super) fn certificate_unusable(certificate: &Path, error: &restante_net::TlsError) {
    let consequence = "another one is made: whoever pinned its fingerprint needs the new one";
    tracing::warn!(event = "certificate_unusable", certificate = %certificate.display(), %error, consequence);
}

/// Another accounts file is in force.
pub(super) fn accounts_taken(file: &Path, accounts: usize) {
    tracing::info!(event = "accounts_taken", file = %file.display(), accounts);
}

/// The accounts stay as they were.
pub(super) fn accounts_refused(file: &Path, error: &ReloadError) {
    tracing::error!(event = "accounts_refused", file = %file.display(), error = %error, consequence = "the old accounts stay in force");
}

/// Accounts lost the right to what they were collecting.
pub(super) fn drains_ended(drains: usize) {
    tracing::warn!(event = "drains_ended", drains, cause = "an account lost its right");
}

/// All mail comes in in clear.
pub(super) fn no_certificate() {
    tracing::warn!(event = "no_certificate", consequence = "STARTTLS is not offered");
}

/// A domain that was held at the last good start is not configured now.
pub(super) fn domain_orphaned(domain: &Domain, messages: u64) {
    tracing::error!(
        event = "domain_orphaned",
        domain = %domain,
        messages,
        consequence = "its mail is kept, nothing of it leaves; put the domain back and release it",
    );
}

/// A domain came back; its mail waits for the operator's word.
pub(super) fn domain_back(domain: &Domain) {
    tracing::warn!(event = "domain_back", domain = %domain, suggestion = %format_args!("restante release {domain}"));
}

/// A domain has been missing for long enough: 550 from now on.
pub(super) fn domain_forgotten(domain: &Domain) {
    tracing::warn!(event = "domain_forgotten", domain = %domain, consequence = "mail for it is refused for good");
}

/// A domain could not be stopped.
pub(super) fn not_orphaned(domain: &Domain, error: &restante_queue::StoreError) {
    tracing::error!(event = "domain_not_orphaned", domain = %domain, error = %error);
}

/// The list of known domains cannot be used: a domain lost now would not be noticed.
pub(super) fn known_domains(file: &Path, error: &io::Error) {
    tracing::error!(event = "known_domains", file = %file.display(), error = %error, consequence = "a domain that is lost may not be noticed");
}

/// We have more rights than we need.
pub(super) fn running_as_root() {
    tracing::warn!(
        event = "running_as_root",
        suggestion = "run it as a user of its own, as etc/restante.service does"
    );
}

/// The limit of open files stays low.
pub(super) fn open_files_not_raised(error: io::Error) {
    tracing::warn!(event = "open_files_not_raised", error = %error);
}

/// Our own program cannot be found, so the index is opened without having been probed.
pub(super) fn no_probe(error: &io::Error) {
    tracing::warn!(event = "no_probe", error = %error);
}

/// Told to stop: what is in flight is finished.
pub(super) fn stopping() {
    tracing::info!(event = "stopping");
}

/// Told again: nothing is waited for.
pub(super) fn stopping_at_once() {
    tracing::warn!(event = "stopping_at_once");
}

/// The index cannot be written: the store is closed and opened again.
pub(super) fn reopening(cause: &str) {
    tracing::error!(
        event = "store_reopening",
        error = cause,
        consequence = "no mail is taken or leaves meanwhile; nothing is lost"
    );
}

/// It did not open; it is tried again.
pub(super) fn not_reopened(error: &StartError) {
    tracing::error!(event = "store_not_reopened", error = %error, consequence = "it is tried again");
}

/// The end.
pub(super) fn stopped() {
    tracing::info!(event = "stopped");
}
