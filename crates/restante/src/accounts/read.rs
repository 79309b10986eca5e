//! From the file to accounts.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use restante_turn::{Account, StoredSecret, is_account_name};
use toml::de::DeTable;

use super::SitedAccount;
use crate::config::{AccountKeys, Fields, Grade, Place, Report, Sited, Source};
use crate::limits::MAX_CONFIG_FILE;

/// What is said about a file that others can read.
const CLOSE_IT: &str = "other users can read the secrets in it";

/// Reads the accounts, whatever is wrong with some of them. A file that is not there has none. Where the server is only
/// tried out (`trial`: it listens on loopback alone), a file that others can read is told, and read all the same.
pub(crate) fn read(file: &Path, trial: bool, report: &mut Report) -> Vec<SitedAccount> {
    let (text, mode) = match text_of(file) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            report.unreadable(file.to_owned(), &error);
            return Vec::new();
        }
    };
    if mode & 0o077 != 0 {
        let what = format!("mode {:04o}: {CLOSE_IT}", mode & 0o7777);
        let meant = format!("chmod 600 {}", file.display());
        if trial {
            report.note(
                file,
                format!("{what}; a server that listened elsewhere than on loopback would not take it"),
            );
        } else {
            report.error(&Place::whole(file), what, meant);
        }
    }
    parse(file, text, report)
}

pub(super) fn text_of(file: &Path) -> io::Result<(String, u32)> {
    let open = File::open(file)?;
    let mode = open.metadata()?.mode();
    let mut text = String::new();
    open.take(MAX_CONFIG_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_CONFIG_FILE {
        return Err(io::Error::other(format!("larger than {MAX_CONFIG_FILE} octets")));
    }
    Ok((text, mode))
}

/// As [`read`], from a text that is there.
pub(super) fn parse(file: &Path, text: String, report: &mut Report) -> Vec<SitedAccount> {
    let source = Source::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        let place = error.span().map_or_else(|| Place::whole(file), |span| source.place(span.start));
        report.error(&place, error.message(), "this is no TOML; see https://toml.io");
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    let cell = RefCell::new(std::mem::take(report));
    let mut top = Fields::of_accounts(&source, &table, &cell);
    let mut accounts = Vec::new();
    for mut fields in top.tables("account", "[[account]]") {
        accounts.extend(account(&mut fields));
        fields.finish();
    }
    top.finish();
    *report = cell.into_inner();
    accounts
}

fn account(fields: &mut Fields<'_>) -> Option<SitedAccount> {
    let keys = AccountKeys::read(fields, &AccountKeys::default());
    let Some(name) = keys.name else {
        if fields.place_if_written("name").is_none() {
            fields.find(Grade::Error, "name", "[[account]] without a name", "write name = \"example-org\"");
        }
        return None;
    };
    if !is_account_name(&name) {
        let meant = "write 1 to 64 letters, digits or . _ - + @";
        fields.find(Grade::Error, "name", format!("\"{name}\" is no name of an account"), meant);
        return None;
    }
    let account = Account {
        name,
        domains: keys.domains.into_iter().collect(),
        shared: keys.shared,
        secret: keys.secret,
        certificates: keys.client_certificate.0,
        client_name: keys.client_name,
        turn: keys.turn,
        allow_cleartext: keys.allow_cleartext,
        legacy_cram_md5: keys.legacy_cram_md5,
    };
    one(fields, &account);
    Some(Sited { value: account, place: fields.place_of("name") })
}

/// What can be seen of an account without the others.
fn one(fields: &Fields<'_>, account: &Account) {
    let plain = matches!(account.secret, Some(StoredSecret::Plain(_)));
    let name = &account.name;
    if plain && !account.legacy_cram_md5 {
        let what = format!("the password of {name} is kept as it is, and nothing needs it");
        let meant =
            "restante account set-password keeps derived keys; legacy-cram-md5 = true if it must be so";
        fields.find(Grade::Error, "secret", what, meant);
    }
    if account.legacy_cram_md5 && !plain && fields.place_if_written("legacy-cram-md5").is_some() {
        let what = format!("CRAM-MD5 needs the password of {name} itself");
        fields.find(Grade::Error, "legacy-cram-md5", what, format!("restante account set-password {name}"));
    }
    if account.legacy_cram_md5 && plain {
        let what = format!("the password of {name} can be read by whoever reads this file, for CRAM-MD5");
        fields.find(
            Grade::Warning,
            "legacy-cram-md5",
            what,
            "use it only where the client speaks nothing better",
        );
    }
    let has_certificate = !account.certificates.is_empty() || account.client_name.is_some();
    if account.secret.is_none() && !has_certificate && fields.place_if_written("secret").is_none() {
        let meant = format!("restante account set-password {name}, or write client-certificate");
        fields.find(Grade::Warning, "name", format!("{name} has nothing to prove itself with"), meant);
    }
    if account.domains.is_empty() && fields.place_if_written("domains").is_none() {
        fields.find(
            Grade::Warning,
            "name",
            format!("{name} owns no domain"),
            "write domains = [\"example.org\"]",
        );
    }
}
