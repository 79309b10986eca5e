//! Changes of accounts files of any text.

use std::path::Path;

use restante_turn::{Account, StoredSecret};

use super::{EditError, add, read, remove, set_secret};
use crate::config::Report;

/// A derived secret as the file has it.
const SECRET: &str = "scram-sha-256:60000:B+ZTg/WUU9M70sXpUDp9PA==:Jslt5BXTXdKLHre93TtBVK08Ofd0tXHyBHxIcLxLxsc=:\
                      TtEZPkDSCPtIKKlA2F3RmVhKr+pqaKbumg8LYY3EgIw=";

/// Adds an account to a good file, gives the last one that was there another secret, and removes that one.
///
/// # Panics
/// Where any other account becomes another one by that, or the file a bad one.
pub(crate) fn change(file: &Path, text: &str) {
    let Some(before) = parse(file, text) else { return };
    // Inline tables are refused, or the change is before it is written.
    let headers = text.lines().filter(|line| line.trim_start().starts_with("[[")).count();
    let inline = headers != before.len() || text.contains("account =") || text.contains("account=");
    let secret: StoredSecret = SECRET.parse().expect("a secret");
    let fresh = Account { name: "fresh".to_owned(), secret: Some(secret.clone()), ..Account::default() };
    let mut expected = before.clone();
    expected.push(fresh.clone());
    check(file, add(text, &fresh), &expected, inline, text);

    let Some(last) = before.last() else { return };
    // Two of a name are an error that only shows when all are seen together.
    if before.iter().filter(|one| one.name == last.name).count() > 1 {
        return;
    }
    check(file, remove(text, &last.name), &before[..before.len() - 1], inline, text);
    let mut expected = before.clone();
    if let Some(last) = expected.last_mut()
        && !last.legacy_cram_md5
    {
        last.secret = Some(secret.clone());
        check(file, set_secret(text, &last.name.clone(), &secret), &expected, inline, text);
    }
}

fn parse(file: &Path, text: &str) -> Option<Vec<Account>> {
    let mut report = Report::default();
    let accounts = read::parse(file, text.to_owned(), &mut report);
    (!report.has_errors()).then(|| accounts.into_iter().map(|account| account.value).collect())
}

fn check(file: &Path, changed: Result<String, EditError>, expected: &[Account], inline: bool, text: &str) {
    match changed {
        Ok(changed) => match parse(file, &changed) {
            Some(found) => assert_eq!(found, expected, "{text:?} became {changed:?}"),
            None => assert!(inline, "{text:?} became {changed:?}"),
        },
        Err(EditError::Taken(name)) => assert!(expected.iter().any(|account| account.name == name)),
        Err(error) => assert!(inline, "{error}: {text:?}"),
    }
}
