//! Each way to be wrong, with file, line and what was meant.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use restante_delivery::Mode;
use tempfile::TempDir;

use super::values::Span;
use super::{Config, Grade, Machine, Report, load, render};

/// A directory with a configuration in it.
pub(super) struct Tree {
    directory: TempDir,
}

impl Tree {
    pub(super) fn new(main: &str) -> Self {
        let tree = Self { directory: tempfile::tempdir().unwrap() };
        tree.file("restante.toml", main);
        tree
    }

    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A file that its owner alone may read.
    fn accounts(&self, name: &str, text: &str) {
        fs::set_permissions(self.file(name, text), PermissionsExt::from_mode(0o600)).unwrap();
    }

    pub(super) fn load(&self) -> (Option<Config>, Report) {
        let local: IpAddr = "192.0.2.99".parse().unwrap();
        assert_eq!(local.to_string(), "192.0.2.99");
        let machine = Machine {
            hostname: Some("mx2.example.net".into()),
            is_local: |address| address == IpAddr::from([192, 0, 2, 99]),
        };
        load(&self.directory.path().join("restante.toml"), &machine)
    }

    /// The errors as `file:line:column what; meant`.
    pub(super) fn errors(&self) -> Vec<String> {
        let (config, report) = self.load();
        assert_eq!(config.is_none(), report.has_errors());
        let errors = report.findings().filter(|finding| finding.grade == Grade::Error);
        let shown = errors.map(|finding| {
            let place = finding.place.to_string();
            let place = place
                .strip_prefix(&format!("{}/", self.directory.path().display()))
                .unwrap_or(&place)
                .to_owned();
            format!("{place} {}; {}", finding.what, finding.meant.as_deref().unwrap_or_default())
        });
        shown.collect()
    }
}

pub(super) fn effective(main: &str) -> Config {
    let (config, report) = Tree::new(main).load();
    config.unwrap_or_else(|| panic!("{report}"))
}

/// Exactly one error, at this place, that says all of these.
pub(super) fn wrong(main: &str, place: &str, says: &[&str]) {
    let errors = Tree::new(main).errors();
    let [error] = &errors[..] else { panic!("not one error for {main:?}: {errors:#?}") };
    assert!(error.starts_with(&format!("restante.toml{place} ")), "{error}");
    for words in says {
        assert!(error.contains(words), "{words:?} is not said in {error:?}");
    }
}

#[test]
fn nothing_written_is_all_defaults() {
    let config = effective("");
    assert_eq!(config.hostname.as_str(), "mx2.example.net");
    assert_eq!(config.listen[0].value.address.to_string(), "[::]:25");
    assert_eq!(config.limits.message_size.0, 50_000_000);
    assert!(config.tls.is_none() && config.domains.is_empty());
}

#[test]
fn unknown_keys_are_named_with_what_was_meant() {
    wrong("hostnam = \"a.example\"\n", ":1:1", &["unknown key \"hostnam\"", "did you mean \"hostname\"?"]);
    wrong("\n[domain-defaults]\nretentoin = \"14d\"\n", ":3:1", &["[domain-defaults]", "\"retention\""]);
    wrong("[limits]\n  colour = 1\n", ":2:3", &["unknown key \"colour\"", "[limits] knows message-size"]);
    wrong("[[domain]]\nname = \"a.example\"\nprimery = \"mx\"\n", ":3:1", &["\"primary\""]);
    wrong("[[listen]]\naddress = \"[::]:25\"\ntsl = \"none\"\n", ":3:1", &["\"tls\""]);
    wrong("[domian-defaults]\n", ":1:2", &["\"domain-defaults\""]);
    wrong("[[group]]\nname = \"a\"\ndomains = []\nmembers = []\n", ":4:1", &["[[group]]"]);
    wrong("[admin]\nsokcet = \"/x\"\n", ":2:1", &["\"socket\""]);
}

#[test]
fn bad_values_are_named_with_what_would_be_right() {
    wrong("hop-limit = \"many\"\n", ":1:13", &["hop-limit", "whole number"]);
    wrong("hop-limit = -1\n", ":1:13", &["the number -1"]);
    wrong("hop-limit = 0\n", ":1:13", &["every message is a loop"]);
    wrong("own-addresses = [\"192.0.2.1\", \"nat\"]\n", ":1:31", &["\"nat\" is no address"]);
    wrong("[limits]\nmessage-size = \"50\"\n", ":2:16", &["\"50\" is no size", "\"50 MB\""]);
    wrong("[limits]\nmessage-size = \"1 kB\"\n", ":2:16", &["4.5.3.1.7"]);
    wrong("[limits]\nrecipients = 5\n", ":2:14", &["4.5.3.1.8"]);
    wrong("[limits]\nconnections = 0\n", ":2:15", &["nobody can connect"]);
    wrong("[limits]\ndisk-low-water = \"100%\"\n", ":2:18", &["no share"]);
    wrong("worker-threads = 0\n", ":1:18", &["\"auto\""]);
    wrong("[domain-defaults]\nretention = \"14\"\n", ":2:13", &["no span of time", "\"14d\""]);
    wrong("[domain-defaults]\nretention = \"0\"\n", ":2:13", &["nothing is kept"]);
    wrong("[domain-defaults]\nretry = []\n", ":2:9", &["at least one step"]);
    wrong("[domain-defaults]\nretry = [\"5m\", \"x\"]\n", ":2:16", &["\"x\" is no span"]);
    wrong("[domain-defaults]\nmode = \"on-demnad\"\n", ":2:8", &["did you mean \"on-demand\"?"]);
    wrong("[domain-defaults]\netrn-from = [\"primry\"]\n", ":2:14", &["no asker"]);
    wrong("[domain-defaults]\netrn-from = [\"192.0.2.1/24\"]\n", ":2:14", &["no asker"]);
    wrong("[domain-defaults]\nprimary = \"192.0.2.1\"\n", ":2:11", &["no primary", "\"[192.0.2.1]:2525\""]);
    wrong("[domain-defaults]\nconnections = 0\n", ":2:15", &["restante hold"]);
    wrong("[limits]\nconnections = 18446744073709551615\n", ":2:15", &["above 1000000"]);
    wrong("[limits]\nrecipients = 8001\n", ":2:14", &["above 8000"]);
    wrong("[limits]\nindex-cache = \"1 B\"\n", ":2:15", &["1 MiB"]);
    let long = format!("[admin]\nsocket = \"/{}\"\n", "s".repeat(107));
    wrong(&long, ":2:10", &["108 octets", "shorter"]);
    wrong("[[domain]]\nname = \"a b\"\n", ":2:8", &["no domain name"]);
    wrong("[[domain]]\nname = \"example\"\n", ":2:8", &["not fully qualified"]);
    wrong("[[domain]]\nsubdomains = true\n", ":1:1", &["without a name"]);
    wrong("[[listen]]\ntls = \"none\"\n", ":1:1", &["without an address"]);
    wrong("[[listen]]\naddress = \"25\"\n", ":2:11", &["no address"]);
    wrong("[domain]\nname = \"a.example\"\n", ":1:1", &["no table", "[[domain]]"]);
    wrong("limits = 5\n", ":1:10", &["no table", "[limits]"]);
    wrong("hostname = \"localhost\"\n", ":1:12", &["not fully qualified"]);
}

#[test]
fn all_errors_are_told_at_once() {
    let tree = Tree::new("colour = 1\nhop-limit = \"x\"\n[domain-defaults]\nretention = \"0\"\nmoed = 1\n");
    assert_eq!(tree.errors().len(), 4);
}

#[test]
fn what_is_no_toml_has_its_line() {
    wrong("hostname = \"a.example\"\n[limits\n", ":2:8", &["TOML"]);
    wrong("hop-limit = 100\nhop-limit = 100\n", ":2:1", &["duplicate"]);
}

#[test]
fn listeners_must_not_meet() {
    let two = |a: &str, b: &str| {
        format!(
            "[[listen]]\naddress = \"{a}\"\ntls = \"none\"\n[[listen]]\naddress = \"{b}\"\ntls = \"none\"\n"
        )
    };
    for (a, b) in [
        ("127.0.0.1:25", "127.0.0.1:25"),
        ("[::]:25", "127.0.0.1:25"),
        ("127.0.0.1:25", "0.0.0.0:25"),
        ("[::]:25", "0.0.0.0:25"),
        ("[::ffff:127.0.0.1]:25", "127.0.0.1:25"),
    ] {
        wrong(&two(a, b), ":5:11", &["line 2"]);
    }
    for (a, b) in [
        ("127.0.0.1:25", "127.0.0.1:26"),
        ("127.0.0.1:25", "127.0.0.2:25"),
        ("0.0.0.0:25", "[::1]:25"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        assert_eq!(Tree::new(&two(a, b)).errors(), Vec::<String>::new(), "{a} {b}");
    }
}

#[test]
fn tls_must_be_whole() {
    let listener = "[[listen]]\naddress = \"127.0.0.1:465\"\ntls = \"implicit\"\n";
    wrong(listener, ":2:11", &["cannot do without TLS", "self-signed"]);
    wrong("[tls]\n", ":1:1", &["[tls] is empty"]);
    wrong("[tls]\ncertificate = \"/nowhere\"\n", ":1:1", &["go together"]);
    wrong("[tls]\nself-signed = true\nkey = \"/x\"\n", ":1:1", &["one or the other"]);
    let missing =
        Tree::new("[tls]\ncertificate = \"/nowhere/tls.crt\"\nkey = \"/nowhere/tls.key\"\n").errors();
    assert_eq!(missing.len(), 2);
    assert!(missing[0].contains("certificate: /nowhere/tls.crt cannot be read"), "{missing:?}");
    let tree = Tree::new("");
    let pair = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let certificate = tree.file("tls.crt", &pair().cert.pem());
    let key = tree.file("tls.key", &pair().signing_key.serialize_pem());
    let text = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
    wrong(&text, ":1:1", &["the key that belongs to it"]);
    let (_, report) = Tree::new("").load();
    assert!(report.to_string().contains("there is no [tls]"), "{report}");
    assert!(!Tree::new("[tls]\nself-signed = true\n").load().1.to_string().contains("there is no [tls]"));
}

#[test]
fn a_domain_written_twice_is_named_at_both_places() {
    let tree = Tree::new("[[domain]]\nname = \"example.org\"\n");
    tree.file("domains.d/b.toml", "\n[[domain]]\nname = \"Example.ORG.\"\n");
    tree.file("domains.d/notes.txt", "this is not read");
    tree.file("domains.d/.b.toml.swp.toml", "nor is this");
    let errors = tree.errors();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert!(error.starts_with("domains.d/b.toml:3:8 example.org is already configured at "), "{error}");
    assert!(error.contains("restante.toml:2:8"), "{error}");
}

#[test]
fn domain_files_hold_domains_only_and_take_the_defaults() {
    let tree = Tree::new("[domain-defaults]\nretention = \"3d\"\nmode = \"push\"\n");
    tree.file(
        "domains.d/b.toml",
        "[[domain]]\nname = \"b.example\"\n[[domain]]\nname = \"c.example\"\nmode = \"on-demand\"\n",
    );
    tree.file("domains.d/a.toml", "[[domain]]\nname = \"a.example\"\nretention = \"5d\"\n");
    let config = tree.load().0.unwrap();
    let seen: Vec<(&str, Span, Mode)> = config
        .domains
        .iter()
        .map(|domain| (domain.value.name.as_str(), domain.value.rules.retention, domain.value.rules.mode))
        .collect();
    let day = 86_400;
    assert_eq!(
        seen,
        [
            ("a.example", Span::seconds(5 * day), Mode::Push),
            ("b.example", Span::seconds(3 * day), Mode::Push),
            ("c.example", Span::seconds(3 * day), Mode::OnDemand)
        ]
    );
    tree.file("domains.d/c.toml", "hostname = \"x.example\"\n");
    let errors = tree.errors();
    assert!(errors[0].starts_with("domains.d/c.toml:1:1 unknown key \"hostname\""), "{errors:?}");
}

#[test]
fn a_primary_that_is_ourselves_is_a_loop() {
    let with = |primary: &str| {
        format!(
            "own-addresses = [\"198.51.100.1\"]\n[[listen]]\naddress = \"0.0.0.0:25\"\ntls = \"none\"\n[[listen]]\n\
             address = \"127.0.0.5:2525\"\ntls = \"none\"\n[[domain]]\nname = \"example.org\"\nprimary = \"{primary}\"\n"
        )
    };
    for primary in [
        "[127.0.0.1]",
        "[192.0.2.99]:25",
        "[198.51.100.1]",
        "[127.0.0.5]:2525",
        "mx2.example.net",
        "MX2.example.net:2525",
    ] {
        wrong(&with(primary), ":10:11", &["is this server itself"]);
    }
    for primary in
        ["[127.0.0.1]:2525", "[127.0.0.1]:2526", "[192.0.2.1]", "mx1.example.net", "mx2.example.net:26", "mx"]
    {
        assert_eq!(Tree::new(&with(primary)).errors(), Vec::<String>::new(), "{primary}");
    }
    let by_default = "[[listen]]\naddress = \"0.0.0.0:25\"\ntls = \"none\"\n[domain-defaults]\nprimary = \"[127.0.0.1]\"\n\
                      [[domain]]\nname = \"example.org\"\n";
    wrong(by_default, ":5:11", &["is this server itself"]);
}

#[test]
fn a_door_for_monitors_wants_a_token_that_is_ours_alone() {
    let text = "[admin]\nhttp = \"127.0.0.1:8025\"\n[[domain]]\nname = \"example.org\"\n";
    wrong(text, ":2:8", &["without token-file"]);
    let report = Tree::new(text).load().1.to_string();
    assert!(report.contains("pin it"), "{report}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let with = |http: &str| format!("[admin]\nhttp = \"{http}\"\ntoken-file = \"{}\"\n", file.display());
    for (token, mode, words) in
        [("0123456789abcdef", 0o644, "other users can read it"), ("short", 0o600, "16 or more")]
    {
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        wrong(&with("127.0.0.1:8025"), ":3:14", &[words]);
    }
    std::fs::write(&file, "0123456789abcdef\n").unwrap();
    assert_eq!(Tree::new(&with("127.0.0.1:8025")).errors(), Vec::<String>::new());
    let open = Tree::new(&with("192.0.2.1:8025")).load().1.to_string();
    assert!(open.contains("cross the net readable"), "{open}");
}

#[test]
fn who_is_told_by_mail_that_nobody_sends_is_said() {
    let report = Tree::new("[events]\nmail = false\nmail-to = \"a@example.net\"\n").load().1.to_string();
    assert!(report.contains("restante.toml:3:11") && report.contains("nobody is told by mail"), "{report}");
}

#[test]
fn what_needs_an_account_and_has_none_is_said() {
    let odmr = "[[listen]]\naddress = \"127.0.0.1:366\"\nservice = \"odmr\"\n";
    let domain = "[domain-defaults]\ndeliver-to = \"requester\"\n[[domain]]\nname = \"example.org\"\n";
    wrong(odmr, ":2:11", &["cannot do without TLS"]);
    let tree = Tree::new(&format!("accounts-file = \"a.toml\"\n{odmr}[tls]\nself-signed = true\n{domain}"));
    let said = |tree: &Tree| tree.load().1.to_string();
    for words in
        ["restante.toml:3:11: warning: nobody can collect", "a.toml", "no account that owns example.org"]
    {
        assert!(said(&tree).contains(words), "{words}: {}", said(&tree));
    }
    let account = "[[account]]\nname = \"a\"\ndomains = [\"example.org\"]\nclient-certificate = \"sha256:";
    tree.accounts("a.toml", &format!("{account}{}\"\n", "ab".repeat(32)));
    assert_eq!(tree.load().1.count(Grade::Warning), 0, "{}", said(&tree));
    assert_eq!(tree.load().0.unwrap().accounts.len(), 1);
}

#[test]
fn groups_name_configured_domains_once() {
    let head = "[[domain]]\nname = \"example.org\"\n";
    wrong(
        &format!("{head}[[group]]\nname = \"c\"\ndomains = [\"exampel.org\"]\n"),
        ":5:11",
        &["did you mean \"example.org\"?"],
    );
    wrong(
        &format!("{head}[[group]]\nname = \"a b\"\ndomains = [\"example.org\"]\n"),
        ":4:8",
        &["ETRN #name"],
    );
    let twice = format!(
        "{head}[[group]]\nname = \"c\"\ndomains = [\"example.org\"]\n[[group]]\nname = \"C\"\ndomains = [\"example.org\"]\n"
    );
    wrong(&twice, ":8:11", &["already configured"]);
    wrong("[[group]]\ndomains = []\n", ":1:1", &["without a name"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let machine = Machine { hostname: None, is_local: |_| false };
    let (config, report) = load("/nowhere/restante.toml".as_ref(), &machine);
    assert!(config.is_none());
    assert!(report.to_string().starts_with("/nowhere/restante.toml: error: cannot be read"), "{report}");
    assert_eq!(report.findings().count(), 1, "what it lacks is no news: {report}");
}

#[test]
fn a_machine_without_a_full_name_must_be_told_its_own() {
    let tree = Tree::new("");
    let machine = Machine { hostname: Some("mx2".into()), is_local: |_| false };
    let (config, report) = load(&tree.directory.path().join("restante.toml"), &machine);
    assert!(config.is_none() && report.to_string().contains("hostname is not written"), "{report}");
}

/// What `config show` prints reads back to the same.
#[test]
fn the_effective_configuration_reads_back() {
    let tree = Tree::new(
        "hostname = \"a.example\"\nworker-threads = 3\n[[listen]]\naddress = \"127.0.0.1:2525\"\nstrict = true\n[tls]\nself-signed = true\n\
         [limits]\ndisk-low-water = \"2 GiB\"\n[domain-defaults]\nretention = \"36h\"\nquota = \"1 GB\"\nuncollected-alarm = \"off\"\n\
         [[domain]]\nname = \"example.org\"\nsubdomains = true\nprimary = \"[2001:db8::1]:26\"\netrn-from = [\"any\", \"192.0.2.0/24\"]\n\
         [[group]]\nname = \"C\"\ndomains = [\"example.org\"]\n",
    );
    tree.file("domains.d/x.toml", "[[domain]]\nname = \"b.example\"\nretention = \"1d\"\n");
    let config = tree.load().0.unwrap();
    let shown = render::render(&config);
    let again = effective(&shown);
    assert_eq!(render::render(&again), shown);
    let rules =
        |config: &Config| config.domains.iter().map(|domain| domain.value.rules.clone()).collect::<Vec<_>>();
    assert_eq!(
        (rules(&again), &again.limits, &again.top.worker_threads),
        (rules(&config), &config.limits, &config.top.worker_threads)
    );
}
