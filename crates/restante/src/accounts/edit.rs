//! Changes of the file's text. Whatever is not changed stays as it was written, comments included.

use std::ops::Range;

use restante_turn::{Account, StoredSecret};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{AccountKeys, Certificates, quoted};

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// Names are taken once.
    #[error("there is an account {0} already")]
    Taken(String),
    /// It is not there.
    #[error("there is no account {0}")]
    Unknown(String),
    /// Not as this program writes it: inline tables, or no TOML at all.
    #[error("the file is written in a way that this command cannot change; change it with an editor")]
    Form,
}

/// The file with one more account at its end.
///
/// # Errors
/// [`EditError::Taken`], [`EditError::Form`].
pub(crate) fn add(text: &str, account: &Account) -> Result<String, EditError> {
    match find(text, &account.name) {
        Err(EditError::Unknown(_)) => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(EditError::Taken(account.name.clone())),
    }
    let mut new = text.to_owned();
    if !new.is_empty() {
        new.push_str(if new.ends_with('\n') { "\n" } else { "\n\n" });
    }
    new.push_str(&block(account));
    Ok(new)
}

/// The file with another secret for an account.
///
/// # Errors
/// [`EditError::Unknown`], [`EditError::Form`].
pub(crate) fn set_secret(text: &str, name: &str, secret: &StoredSecret) -> Result<String, EditError> {
    let found = find(text, name)?;
    let value = quoted(&secret.to_file());
    let mut new = text.to_owned();
    match found.secret {
        Some(place) => new.replace_range(place, &value),
        None => {
            let behind = end_of_line(text, found.name.end);
            let before = if text[..behind].ends_with('\n') { "" } else { "\n" };
            new.insert_str(behind, &format!("{before}secret = {value}\n"));
        }
    }
    Ok(new)
}

/// The file without an account.
///
/// # Errors
/// [`EditError::Unknown`], [`EditError::Form`].
pub(crate) fn remove(text: &str, name: &str) -> Result<String, EditError> {
    let found = find(text, name)?;
    let start = text[..found.whole.start].rfind('\n').map_or(0, |end| end + 1);
    let (before, behind) = (&text[..start], &text[end_of_line(text, found.whole.end)..]);
    // The empty line before it goes with it.
    let before = before.strip_suffix('\n').filter(|rest| rest.ends_with('\n')).unwrap_or(before);
    Ok(format!("{before}{behind}"))
}

/// Where an account is written.
struct Found {
    /// From its header to the end of its last value.
    whole: Range<usize>,
    /// The value of `name`.
    name: Range<usize>,
    /// The value of `secret`.
    secret: Option<Range<usize>>,
}

fn find(text: &str, name: &str) -> Result<Found, EditError> {
    let table = DeTable::parse(text).map_err(|_| EditError::Form)?;
    let unknown = || EditError::Unknown(name.to_owned());
    let accounts = table.get_ref().get("account").ok_or_else(unknown)?;
    let accounts = accounts.get_ref().as_array().ok_or(EditError::Form)?;
    let is_its = |item: &&Spanned<DeValue<'_>>| {
        let written = item.get_ref().as_table().and_then(|table| table.get("name"));
        written.is_some_and(|value| value.get_ref().as_str() == Some(name))
    };
    let item = accounts.iter().find(is_its).ok_or_else(unknown)?;
    let start = item.span().start;
    if !text[start..].starts_with("[[") {
        return Err(EditError::Form);
    }
    let keys = item.get_ref().as_table().ok_or(EditError::Form)?;
    let place = |key: &str| keys.get(key).map(|value| value.span());
    let end = keys.values().map(|value| value.span().end).max().ok_or(EditError::Form)?;
    let name = place("name").ok_or(EditError::Form)?;
    Ok(Found { whole: start..end, name, secret: place("secret") })
}

/// Behind the line that holds this octet, its end included.
fn end_of_line(text: &str, offset: usize) -> usize {
    text[offset..].find('\n').map_or(text.len(), |end| offset + end + 1)
}

/// An account as the file has it; what is as usual is left out.
fn block(account: &Account) -> String {
    let keys = AccountKeys {
        name: Some(account.name.clone()),
        domains: account.domains.iter().cloned().collect(),
        shared: account.shared,
        secret: None,
        client_certificate: Certificates(account.certificates.clone()),
        client_name: account.client_name.clone(),
        turn: account.turn,
        allow_cleartext: account.allow_cleartext,
        legacy_cram_md5: account.legacy_cram_md5,
    };
    let usual = AccountKeys::default().write();
    let mut lines: Vec<_> = keys.write().into_iter().filter(|line| !usual.contains(line)).collect();
    // Secrets are written here and nowhere else.
    lines.extend(account.secret.as_ref().map(|secret| ("secret", quoted(&secret.to_file()))));
    let written = lines.into_iter().map(|(key, value)| format!("{key} = {value}\n"));
    format!("[[account]]\n{}", written.collect::<String>())
}
