//! The types of what accounts prove themselves with.

use std::collections::BTreeSet;

use restante_turn::{Fingerprint, SecretError, StoredSecret};
use toml::de::DeValue;

use super::fields::{Setting, Wrong};
use super::values::text;

/// `client-certificate`: one fingerprint, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Certificates(pub(crate) BTreeSet<Fingerprint>);

impl Setting for Certificates {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_array().is_some() {
            return Vec::read(value).map(|all: Vec<Fingerprint>| Self(all.into_iter().collect()));
        }
        Fingerprint::read(value).map(|one| Self([one].into()))
    }
    fn write(&self) -> Option<String> {
        match &self.0 {
            none if none.is_empty() => None,
            all => all.iter().copied().collect::<Vec<Fingerprint>>().write(),
        }
    }
}

impl Setting for StoredSecret {
    /// What is wrong is told without the text.
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let meant = "set it with restante account set-password";
        text(value, meant)?.parse().map_err(|error: SecretError| Wrong::new(error.to_string(), meant))
    }
    /// Never shown; whoever writes the accounts file asks for it by name.
    fn write(&self) -> Option<String> {
        None
    }
}
