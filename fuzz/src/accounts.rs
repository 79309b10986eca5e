//! The accounts file: what is wrong is said, in text that can be shown, and no secret is in it.

use restante::fuzzing::accounts;

use crate::files::{is_daring, put};

/// See the module.
pub fn run(data: &[u8]) {
    if is_daring(data) {
        return;
    }
    let secrets: Vec<String> = String::from_utf8_lossy(data)
        .lines()
        .filter_map(|line| line.strip_prefix("secret = \"plain:"))
        .filter_map(|rest| rest.split('"').next())
        .filter(|secret| secret.len() > 12 && secret.chars().all(|c| c.is_ascii_alphanumeric()))
        .map(str::to_owned)
        .collect();
    if let Err(what) = accounts(&put("accounts.toml", data)) {
        assert!(!secrets.iter().any(|secret| what.contains(secret)), "{what}");
    }
}
