//! A door for the fuzz targets (`fuzz/` at the top), there under `--cfg fuzzing` alone: the files that an administrator
//! writes.

use std::path::Path;

use crate::config::{Machine, Report, load, render};
use crate::{accounts, agent};

fn machine() -> Machine {
    Machine { hostname: Some("mx2.example.net".to_owned()), is_local: |_| false }
}

/// Reads a configuration with the accounts beside it, and renders it as `config show` does.
///
/// # Errors
/// What `config check` says.
pub fn configuration(file: &Path) -> Result<String, String> {
    let (config, report) = load(file, &machine());
    assert_eq!(config.is_none(), report.has_errors());
    shown(&report);
    config.map(|config| render(&config)).ok_or_else(|| report.to_string())
}

/// Reads an accounts file: how many accounts are in it. Where nothing is wrong with it, it is changed as `restante account`
/// does it.
///
/// # Errors
/// What is wrong with it.
///
/// # Panics
/// Where a change changes what it should not.
pub fn accounts(file: &Path) -> Result<usize, String> {
    let (accounts, errors) = accounts::look(file).map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    accounts::fuzzing::change(file, &text);
    shown(&accounts::verdict(file, text, None));
    errors.map_or(Ok(accounts.len()), Err)
}

/// Reads an agent's configuration.
///
/// # Errors
/// What `agent check` says.
pub fn agent(file: &Path) -> Result<(), String> {
    agent::fuzzing(file, &machine())
}

/// What is said can be shown.
fn shown(report: &Report) {
    let text = report.to_string();
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
