//! Each way for an accounts file to be wrong, and changes of its text.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use restante_smtp::Secret;
use restante_turn::{Account, StoredSecret};
use tempfile::TempDir;

use super::{EditError, Editing, add, install, remove, set_secret, verdict};
use crate::config::{Grade, Machine, Report, load};

const CONFIG: &str = "accounts-file = \"accounts.toml\"\n[[listen]]\naddress = \"192.0.2.1:25\"\ntls = \"none\"\n\
                      [[domain]]\nname = \"example.org\"\n[[domain]]\nname = \"example.com\"\n";

fn sha(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// A directory with a configuration, and accounts of this text and mode.
fn site(config: &str, accounts: &str, mode: u32) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("restante.toml"), config).unwrap();
    let file = directory.path().join("accounts.toml");
    fs::write(&file, accounts).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    directory
}

fn report(config: &str, accounts: &str, mode: u32) -> Report {
    let directory = site(config, accounts, mode);
    let machine = Machine { hostname: Some("mx2.example.net".into()), is_local: |_| false };
    let (config, report) = load(&directory.path().join("restante.toml"), &machine);
    assert_eq!(config.is_none(), report.has_errors());
    report
}

/// The findings of a grade, with line and column, about the accounts.
fn findings(accounts: &str, grade: Grade) -> Vec<String> {
    let report = report(CONFIG, accounts, 0o600);
    let about = report
        .findings()
        .filter(|finding| finding.grade == grade && finding.place.file.ends_with("accounts.toml"));
    about.map(|found| format!("{}:{} {}", found.place.line, found.place.column, found.what)).collect()
}

fn wrong(accounts: &str, says: &[&str]) {
    let errors = findings(accounts, Grade::Error);
    assert_eq!(errors.len(), says.len(), "{errors:#?}");
    for (error, says) in errors.iter().zip(says) {
        assert!(error.starts_with(says) || error.contains(says), "{says:?} is not said in {error:?}");
    }
}

fn account(name: &str, rest: &str) -> String {
    format!("[[account]]\nname = \"{name}\"\n{rest}\n")
}

#[test]
fn slips_have_their_line_and_no_secret_is_repeated() {
    let wrong = |rest: &str, says: &str| wrong(&account("a", rest), &[says]);
    wrong("domian = []", "3:1 unknown key \"domian\" in [[account]]");
    wrong("secret = \"pencil\"", "3:10 secret: a secret begins with");
    wrong("secret = \"scram-sha-256:1:x\"", "3:10 secret: a derived secret is");
    wrong("secret = \"plain:pencil\"", "3:10 the password of a is kept as it is, and nothing needs it");
    wrong("legacy-cram-md5 = true", "3:19 CRAM-MD5 needs the password of a itself");
    wrong("client-certificate = \"sha256:00\"", "3:22 client-certificate: \"sha256:00\" is no fingerprint");
    wrong("client-name = \"mail.example.org\"", "2:8 client-name of account a: no authority is configured");
    wrong("domains = [\"a b\"]", "no domain name");
    wrong("turn = \"yes\"", "neither true nor false");
    for text in ["pencil", "plain:pencil", "scram-sha-256:4096:pencil:x"] {
        let told = report(CONFIG, &account("a", &format!("secret = \"{text}\"")), 0o600).to_string();
        assert!(!told.contains("pencil"), "{told}");
    }
}

#[test]
fn what_accounts_cannot_have_in_common_is_said_at_each() {
    wrong("[[account]]\ndomains = []\n", &["1:1 [[account]] without a name"]);
    wrong(&account("a b", ""), &["2:8 \"a b\" is no name of an account"]);
    wrong("acount = 1\n", &["1:1 unknown key \"acount\" in the accounts file"]);
    wrong("[[account]\n", &["1:"]);
    wrong(&(account("a", "") + &account("a", "")), &["5:8 account a is already there"]);
    let org = "domains = [\"example.org\"]";
    let shared = "domains = [\"example.org\"]\nshared = true";
    let both =
        [" 2:8 example.org of account a is owned by b too", "5:8 example.org of account b is owned by a too"];
    wrong(&(account("a", org) + &account("b", org)), &both.map(str::trim));
    wrong(&(account("a", shared) + &account("b", org)), &["6:8 example.org of account b is owned by a too"]);
    assert!(findings(&(account("a", shared) + &account("b", shared)), Grade::Error).is_empty());
    let certificate = format!("client-certificate = [\"{}\", \"{}\"]", sha('a'), sha('b'));
    let other = format!("client-certificate = \"{}\"", sha('b'));
    wrong(
        &(account("a", &certificate) + &account("b", &other)),
        &["5:8 the certificate of account b is a's too"],
    );
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let warned = |rest: &str| findings(&account("a", rest), Grade::Warning).join("\n");
    assert!(warned("domains = [\"example.net\"]").contains("2:8 example.net of account a is not held here"));
    assert!(
        warned("secret = \"plain:pencil\"\nlegacy-cram-md5 = true")
            .contains("4:19 the password of a can be read")
    );
    assert!(warned("").contains("2:8 a has nothing to prove itself with"));
    assert!(warned("").contains("2:8 a owns no domain"));
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let whole = account("a", "");
    for mode in [0o644, 0o640, 0o604, 0o660, 0o620] {
        let said = report(CONFIG, &whole, mode).to_string();
        assert!(said.contains(&format!("error: mode {mode:04o}: other users can read")), "{said}");
        assert!(said.contains("chmod 600 "), "{said}");
    }
    for mode in [0o600, 0o400] {
        assert!(!report(CONFIG, &whole, mode).has_errors());
    }
    let trial = CONFIG.replace("192.0.2.1", "127.0.0.1");
    let said = report(&trial, &whole, 0o644);
    assert!(!said.has_errors() && said.to_string().contains("note: mode 0644"), "{said}");
}

#[test]
fn a_file_that_is_not_there_has_no_accounts() {
    let directory = site(CONFIG, "", 0o600);
    fs::remove_file(directory.path().join("accounts.toml")).unwrap();
    let (config, report) = load(
        &directory.path().join("restante.toml"),
        &Machine { hostname: Some("mx2.example.net".into()), is_local: |_| false },
    );
    assert!(config.unwrap_or_else(|| panic!("{report}")).accounts.is_empty());
}

fn plain(text: &str) -> StoredSecret {
    StoredSecret::plain(&Secret::new(text.to_owned())).unwrap()
}

const WRITTEN: &str = "# ours\n[[account]]   # the first\nname = 'a'\nsecret = \"plain:old\" # set long ago\nlegacy-cram-md5 = true\n\n\
                       # theirs\n[[account]]\nname = \"b\"\ndomains = [\n  \"example.org\",\n]\n\n# the end\n";

#[test]
fn a_change_leaves_the_rest_as_it_was() {
    let secret = set_secret(WRITTEN, "a", &plain("new \"one\"")).unwrap();
    assert_eq!(secret, WRITTEN.replace("\"plain:old\"", "'plain:new \"one\"'"));
    let secret = set_secret(WRITTEN, "b", &plain("x")).unwrap();
    assert_eq!(secret, WRITTEN.replace("name = \"b\"\n", "name = \"b\"\nsecret = \"plain:x\"\n"));
    let removed = remove(WRITTEN, "a").unwrap();
    assert_eq!(removed, WRITTEN.replace(&WRITTEN[7..WRITTEN.find("\n# theirs").unwrap()], ""));
    let removed = remove(WRITTEN, "b").unwrap();
    assert_eq!(
        removed,
        WRITTEN.replace(
            &WRITTEN[WRITTEN.find("[[account]]\n").unwrap()..WRITTEN.find("\n# the end").unwrap()],
            ""
        )
    );
    let new = Account {
        name: "c".into(),
        domains: ["example.com".parse().unwrap()].into(),
        turn: true,
        ..Account::default()
    };
    let added = add(WRITTEN, &new).unwrap();
    assert_eq!(
        added,
        format!("{WRITTEN}\n[[account]]\nname = \"c\"\ndomains = [\"example.com\"]\nturn = true\n")
    );
    assert_eq!(remove(&added, "c").unwrap(), WRITTEN);
    assert!(!verdict("accounts.toml".as_ref(), added, None).has_errors());
}

#[test]
fn what_cannot_be_changed_is_left_alone() {
    let new = |name: &str| Account { name: name.into(), ..Account::default() };
    assert_eq!(add(WRITTEN, &new("b")), Err(EditError::Taken("b".into())));
    assert_eq!(remove(WRITTEN, "c"), Err(EditError::Unknown("c".into())));
    assert_eq!(set_secret("", "c", &plain("x")), Err(EditError::Unknown("c".into())));
    assert_eq!(remove("account = [{ name = \"a\" }]\n", "a"), Err(EditError::Form));
    assert_eq!(add("[[account]\n", &new("a")), Err(EditError::Form));
    assert_eq!(add("account = 1\n", &new("a")), Err(EditError::Form));
}

#[test]
fn the_file_is_replaced_whole_by_one_at_a_time() {
    let directory = site(CONFIG, WRITTEN, 0o644);
    let file = directory.path().join("accounts.toml");
    let editing = Editing::begin(&file, directory.path()).unwrap();
    let busy = Editing::begin(&file, directory.path()).err().unwrap();
    assert_eq!(busy.kind(), std::io::ErrorKind::ResourceBusy);
    fs::write(directory.path().join(".accounts.toml.new"), "left by a crash").unwrap();
    assert_eq!(editing.text(), WRITTEN);
    editing.commit("# new\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "# new\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    Editing::begin(&file, directory.path()).unwrap();
}

#[test]
fn the_installations_secret_is_made_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path()).unwrap();
    let path = directory.path().join("auth-secret");
    let first = fs::read(&path).unwrap();
    assert_eq!((first.len(), fs::metadata(&path).unwrap().permissions().mode() & 0o777), (32, 0o600));
    install(directory.path()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
    fs::write(&path, "short").unwrap();
    assert_eq!(install(directory.path()).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}
