//! The agent's configuration: `etc/agent.toml`.

mod check;
mod keys;
mod read;
#[cfg(test)]
mod tests;

use std::path::Path;

use restante_agent::Settings;

use crate::config::{Machine, Report};

/// Reads it. The settings are there exactly if the report has no errors.
pub(super) fn load(file: &Path, machine: &Machine) -> (Option<Settings>, Report) {
    let (settings, report) = read::read(file, machine);
    let usable = !report.has_errors();
    (settings.filter(|_| usable), report)
}
