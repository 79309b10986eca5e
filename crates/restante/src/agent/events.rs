//! Log events of `agent run`, one function each.

use std::path::Path;

use restante_agent::Settings;

use crate::config::{Grade, Report};

/// The schedule is being kept. Scripts wait for this; its message is there so that they find it in any format.
pub(super) fn ready(settings: &Settings) {
    tracing::info!(
        event = "ready",
        hostname = %settings.hostname,
        servers = settings.servers.len(),
        state_file = %settings.state_file.display(),
        version = env!("CARGO_PKG_VERSION"),
        "event=ready"
    );
}

/// What a configuration that can be used is to be told about.
pub(super) fn findings(report: &Report) {
    for finding in report.findings() {
        let (place, what) = (&finding.place, finding.what.as_str());
        let meant = finding.meant.as_deref().unwrap_or_default();
        match finding.grade {
            Grade::Error | Grade::Warning => {
                tracing::warn!(event = "configuration_warning", place = %place, what, meant);
            }
            Grade::Note => tracing::info!(event = "configuration_note", place = %place, what, meant),
        }
    }
}

/// The state file cannot be written: nobody could ask how we are.
pub(super) fn no_state(file: &Path, error: &dyn std::fmt::Display) {
    tracing::error!(event = "agent_no_state", file = %file.display(), error = %error);
}

/// Every server is called now.
pub(super) fn woken() {
    tracing::info!(event = "agent_woken", signal = "SIGUSR1");
}

/// SIGHUP: this one does not read its configuration again.
pub(super) fn not_reloaded() {
    tracing::warn!(event = "agent_not_reloaded", suggestion = "restart it to take up another configuration");
}

/// Told to stop: what is coming in is finished.
pub(super) fn stopping() {
    tracing::info!(event = "stopping");
}

/// The end.
pub(super) fn stopped() {
    tracing::info!(event = "stopped");
}
