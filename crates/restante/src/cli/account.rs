//! `restante account`

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use restante_smtp::Secret;
use restante_turn::{Account as Entry, Fingerprint, StoredSecret, is_account_name};
use restante_types::{Domain, Printable};
use serde::{Deserialize, Serialize};

use super::Options;
use super::exit::Exit;
use super::failure::Failure;
use super::output::{Output, remark};
use super::table::{Column, Rows};
use crate::accounts::{self, EditError, Editing, Source};
use crate::config::{Config, DEFAULT_CONFIG, Machine, load};

/// Manage the accounts of those who collect mail
///
/// Accounts are kept in a file of their own (accounts-file, mode 0600), which is replaced as a whole; a running server
/// takes the new one up within seconds, and ends what an account is collecting that lost its right. Passwords are asked
/// for on the terminal, or read from standard input or a file, never given on the command line; only keys derived from
/// them are kept, unless CRAM-MD5 needs the password itself.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante account add example-org --domain example.org
  restante account add branch --domain branch.example.org --password-file - < secret
  restante account set-password example-org
  restante account list --json
  restante account remove example-org")]
pub(crate) struct Account {
    #[command(subcommand)]
    pub(crate) what: What,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    Add(Box<Add>),
    SetPassword(SetPassword),
    List(List),
    Remove(Remove),
}

/// Add an account
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name: letters, digits and . _ - + @
    #[arg(value_parser = name)]
    name: String,
    /// A domain that it owns; several times, or with commas
    #[arg(long = "domain", value_name = "DOMAIN", value_delimiter = ',', required = true)]
    domains: Vec<Domain>,
    /// Other accounts may own its domains too
    #[arg(long)]
    shared: bool,
    /// SHA-256 of a certificate that lets it in, as openssl x509 -fingerprint -sha256 prints it; several times
    #[arg(long, value_name = "sha256:…")]
    client_certificate: Vec<Fingerprint>,
    /// The name in a certificate of the configured client-ca that lets it in
    #[arg(long, value_name = "NAME")]
    client_name: Option<Domain>,
    /// Serve TURN (RFC 821)
    #[arg(long)]
    turn: bool,
    /// Let it come without TLS
    #[arg(long)]
    allow_cleartext: bool,
    /// Serve CRAM-MD5: the password itself is kept
    #[arg(long, conflicts_with = "no_password")]
    legacy_cram_md5: bool,
    /// Its certificate alone lets it in
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
    /// Read the password from this file, one line; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Give an account another password
#[derive(Debug, Args)]
pub(crate) struct SetPassword {
    /// Its name
    #[arg(value_parser = name)]
    name: String,
    /// Read the password from this file, one line; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// List the accounts
#[derive(Debug, Args)]
pub(crate) struct List {}

/// Remove an account
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Its name
    #[arg(value_parser = name)]
    name: String,
}

fn name(text: &str) -> Result<String, String> {
    let wrong = || "1 to 64 letters, digits or . _ - + @".to_owned();
    if is_account_name(text) { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// An account as `--json` shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    domains: Vec<&'a str>,
    shared: bool,
    password: Option<&'static str>,
    client_certificate: Vec<String>,
    client_name: Option<&'a str>,
    turn: bool,
    allow_cleartext: bool,
    legacy_cram_md5: bool,
}

/// What was done, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Done<'a> {
    account: &'a str,
    done: &'static str,
}

/// Does what the command says. No server is needed.
pub(crate) fn run(verb: Account, options: &Options, output: &mut Output) -> Result<Exit, Failure> {
    let site = Site::of(options)?;
    match verb.what {
        What::Add(add) => add.run(&site, output),
        What::SetPassword(set) => set.run(&site, output),
        What::List(List {}) => list(&site, output),
        What::Remove(Remove { name }) => {
            site.change(|text| accounts::remove(text, &name))?;
            told(&name, "removed", output)
        }
    }
}

impl Add {
    fn run(self, site: &Site, output: &mut Output) -> Result<Exit, Failure> {
        if self.no_password && self.client_certificate.is_empty() && self.client_name.is_none() {
            let what = "without a password it needs --client-certificate or --client-name";
            return Err(Failure::Usage(what.to_owned()));
        }
        // Before the password is asked for.
        if site.account(&self.name)?.is_some() {
            return Err(site.failure(&EditError::Taken(self.name)));
        }
        let secret = match self.no_password {
            true => None,
            false => Some(new_secret(self.password_file.as_deref(), self.legacy_cram_md5)?),
        };
        let account = Entry {
            name: self.name,
            domains: self.domains.into_iter().collect(),
            shared: self.shared,
            secret,
            certificates: self.client_certificate.into_iter().collect(),
            client_name: self.client_name,
            turn: self.turn,
            allow_cleartext: self.allow_cleartext,
            legacy_cram_md5: self.legacy_cram_md5,
        };
        site.change(|text| accounts::add(text, &account))?;
        told(&account.name, "added", output)
    }
}

impl SetPassword {
    fn run(self, site: &Site, output: &mut Output) -> Result<Exit, Failure> {
        let Some(account) = site.account(&self.name)? else {
            return Err(site.failure(&EditError::Unknown(self.name)));
        };
        let secret = new_secret(self.password_file.as_deref(), account.legacy_cram_md5)?;
        site.change(|text| accounts::set_secret(text, &self.name, &secret))?;
        told(&self.name, "changed", output)
    }
}

fn new_secret(file: Option<&Path>, legacy: bool) -> Result<StoredSecret, Failure> {
    let source = Source::of(file);
    let refused = |error: io::Error| match (error.kind(), &source) {
        (io::ErrorKind::InvalidInput, _) => Failure::Data(error.to_string()),
        (_, Source::File(path)) => Failure::File { path: path.clone(), error },
        (_, Source::Input) => Failure::Io(error),
    };
    let password: Secret = accounts::ask(&source).map_err(refused)?;
    let stored =
        if legacy { StoredSecret::plain(&password) } else { StoredSecret::derive(&password, rand::random()) };
    stored.map_err(|error| Failure::Data(error.to_string()))
}

fn list(site: &Site, output: &mut Output) -> Result<Exit, Failure> {
    let accounts = site.accounts()?;
    let mut rows = Rows::new([
        Column::Left("ACCOUNT"),
        Column::Left("DOMAINS"),
        Column::Left("PROVES ITSELF BY"),
        Column::Left("MAY"),
    ]);
    for account in &accounts {
        if output.json {
            output.object(&shown(account))?;
        } else {
            let domains: Vec<&str> = account.domains.iter().map(Domain::as_str).collect();
            rows.row([account.name.clone(), domains.join(", "), proof(account), may(account)], output)?;
        }
    }
    if !rows.finish(output)? && !output.json {
        output
            .line(&format!("There are no accounts in {}.", Printable::from(&*site.file.to_string_lossy())))?;
    }
    Ok(Exit::Ok)
}

fn shown(account: &Entry) -> Shown<'_> {
    Shown {
        name: &account.name,
        domains: account.domains.iter().map(Domain::as_str).collect(),
        shared: account.shared,
        password: account.secret.as_ref().map(StoredSecret::kind),
        client_certificate: account.certificates.iter().map(ToString::to_string).collect(),
        client_name: account.client_name.as_ref().map(Domain::as_str),
        turn: account.turn,
        allow_cleartext: account.allow_cleartext,
        legacy_cram_md5: account.legacy_cram_md5,
    }
}

fn proof(account: &Entry) -> String {
    let password = account.secret.as_ref().map(|secret| match secret {
        StoredSecret::Derived(_) => "password",
        StoredSecret::Plain(_) => "password (kept as it is)",
    });
    let certificate =
        (!account.certificates.is_empty() || account.client_name.is_some()).then_some("certificate");
    let proofs: Vec<&str> = password.into_iter().chain(certificate).collect();
    if proofs.is_empty() { "nothing".to_owned() } else { proofs.join(", ") }
}

fn may(account: &Entry) -> String {
    let rights = [
        (account.turn, "TURN"),
        (account.allow_cleartext, "come without TLS"),
        (account.legacy_cram_md5, "CRAM-MD5"),
        (account.shared, "share its domains"),
    ];
    let granted: Vec<&str> =
        rights.into_iter().filter_map(|(granted, what)| granted.then_some(what)).collect();
    granted.join(", ")
}

fn told(account: &str, done: &'static str, output: &mut Output) -> Result<Exit, Failure> {
    if output.json {
        output.object(&Done { account, done })?;
    } else {
        output.line(&format!("Account {account} {done}; a running server takes it up within seconds."))?;
    }
    Ok(Exit::Ok)
}

/// The accounts file, and what is around it.
struct Site {
    file: PathBuf,
    data_dir: PathBuf,
    /// The configuration, where it can be used: for advice, not for the work.
    config: Option<Config>,
}

/// The part of the configuration that matters here. The rest may be wrong: accounts are taken away when that is urgent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Fragment {
    accounts_file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

impl Site {
    fn of(options: &Options) -> Result<Self, Failure> {
        let path = crate::config::file(None, options);
        let fragment = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| error.to_string()),
            // A site that has none yet has its defaults.
            Err(error) if options.config.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Fragment::default())
            }
            Err(error) => Err(error.to_string()),
        };
        let fragment: Fragment =
            fragment.map_err(|message| Failure::Configuration { path: path.clone(), message })?;
        let usual = crate::config::Top::default();
        let beside = path.parent().unwrap_or(Path::new(DEFAULT_CONFIG)).to_owned();
        Ok(Self {
            file: beside.join(fragment.accounts_file.unwrap_or(usual.accounts_file)),
            data_dir: fragment.data_dir.unwrap_or(usual.data_dir),
            config: load(&path, &Machine::this()).0,
        })
    }

    fn failure(&self, error: &EditError) -> Failure {
        Failure::Data(format!("{}: {error}", Printable::from(&*self.file.to_string_lossy())))
    }

    fn unusable(&self, message: String) -> Failure {
        Failure::Configuration { path: self.file.clone(), message }
    }

    /// All accounts; a file with errors is none to show.
    fn accounts(&self) -> Result<Vec<Entry>, Failure> {
        let (accounts, errors) = accounts::look(&self.file).map_err(Failure::file(&self.file))?;
        errors.map_or(Ok(accounts), |errors| Err(self.unusable(errors)))
    }

    /// One account, as far as the file can be understood: a change may be what makes it right.
    fn account(&self, name: &str) -> Result<Option<Entry>, Failure> {
        let (accounts, _) = accounts::look(&self.file).map_err(Failure::file(&self.file))?;
        Ok(accounts.into_iter().find(|account| account.name == name))
    }

    /// Changes the file. What would not be taken up by the server is not written.
    fn change(&self, changed: impl FnOnce(&str) -> Result<String, EditError>) -> Result<(), Failure> {
        let editing = Editing::begin(&self.file, &self.data_dir).map_err(Failure::file(&self.file))?;
        let text = changed(editing.text()).map_err(|error| self.failure(&error))?;
        let report = accounts::verdict(&self.file, text.clone(), self.config.as_ref());
        if report.has_errors() {
            return Err(self.unusable(format!("nothing was changed:\n{report}")));
        }
        editing.commit(&text).map_err(Failure::file(&self.file))?;
        report.findings().for_each(|finding| remark(&finding.to_string()));
        Ok(())
    }
}
