//! `restante account`: the file it keeps, and the running server that lives by it.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work fails")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_restante");
const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration in a directory of its own.
struct Site(TempDir);

impl Site {
    fn new(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "hostname = \"mx2.example.net\"\ndata-dir = \"data\"\naccounts-file = \"accounts.toml\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\natrn = true\n[admin]\nsocket = \"data/admin.sock\"\n{more}\n\
             [domain-defaults]\nprimary = \"[192.0.2.1]\"\nnotices = \"none\"\n\
             [[domain]]\nname = \"example.org\"\n[[domain]]\nname = \"example.com\"\n"
        );
        fs::write(directory.path().join("restante.toml"), text).unwrap();
        Self(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("accounts.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(&self.0);
        command.env_clear().env("RESTANTE_CONFIG", "restante.toml");
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may not want any input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn done(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap() + &errors
    }

    /// What it says on standard error, with this exit code and nothing changed.
    fn refused(&self, arguments: &[&str], input: &str, code: i32) -> String {
        let before = fs::read(self.file()).ok();
        let output = self.run(arguments, input);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert_eq!(fs::read(self.file()).ok(), before, "{arguments:?}");
        errors
    }

    fn list(&self) -> Vec<Value> {
        let text = self.done(&["account", "list", "--json"], "");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn an_account_comes_changes_and_goes() {
    let site = Site::new("");
    assert!(site.done(&["account", "list"], "").contains("There are no accounts"));
    let told =
        site.done(&["account", "add", "example-org", "--domain", "example.org,example.com"], "pencil\n");
    assert!(told.contains("Account example-org added"), "{told}");
    assert_eq!(fs::metadata(site.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(site.file()).unwrap();
    assert!(first.contains("secret = \"scram-sha-256:") && !first.contains("pencil"), "{first}");

    let certificate = format!("sha256:{}", "0b".repeat(32));
    let add =
        ["account", "add", "branch", "--domain", "branch.example", "--no-password", "--client-certificate"];
    let told = site.done(&[&add[..], &[&certificate]].concat(), "");
    assert!(told.contains("branch.example of account branch is not held here"), "{told}");
    let listed = site.list();
    assert_eq!(listed.len(), 2);
    let expected = serde_json::json!({
        "name": "example-org", "domains": ["example.com", "example.org"], "shared": false,
        "password": "scram-sha-256", "client_certificate": [], "client_name": null, "turn": false,
        "allow_cleartext": false, "legacy_cram_md5": false,
    });
    assert_eq!(listed[0], expected);
    assert_eq!(
        (&listed[1]["client_certificate"][0], &listed[1]["password"]),
        (&Value::from(certificate), &Value::Null)
    );

    fs::write(site.0.path().join("secret"), "crayon\n").unwrap();
    site.done(&["account", "set-password", "example-org", "--password-file", "secret"], "");
    let second = fs::read_to_string(site.file()).unwrap();
    assert!(second != first && !second.contains("crayon"));
    site.done(&["account", "remove", "branch"], "");
    assert_eq!(site.list().len(), 1);
    let told = site.done(&["account", "remove", "example-org", "--json"], "");
    assert_eq!(told.trim(), r#"{"account":"example-org","done":"removed"}"#);
    assert!(site.list().is_empty());
}

#[test]
fn an_account_for_old_clients_keeps_its_password_and_says_so() {
    let site = Site::new("");
    let add = [
        "account",
        "add",
        "old",
        "--domain",
        "example.org",
        "--legacy-cram-md5",
        "--allow-cleartext",
        "--turn",
    ];
    let told = site.done(&add, "pencil");
    assert!(told.contains("warning: the password of old can be read"), "{told}");
    assert!(fs::read_to_string(site.file()).unwrap().contains("secret = \"plain:pencil\""));
    site.done(&["account", "set-password", "old", "--password-file", "-"], "crayon\r\n");
    assert!(fs::read_to_string(site.file()).unwrap().contains("secret = \"plain:crayon\""));
    let shown = site.done(&["account", "list"], "");
    assert!(!shown.contains("crayon") && shown.contains("TURN, come without TLS, CRAM-MD5"), "{shown}");
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let site = Site::new("");
    let add = |more: &[&'static str]| [&["account", "add", "second", "--domain"][..], more].concat();
    site.done(&["account", "add", "first", "--domain", "example.org"], "pencil");
    for (arguments, input, code, says) in [
        (
            vec!["account", "add", "first", "--domain", "example.com"],
            "x",
            65,
            "there is an account first already",
        ),
        (vec!["account", "add", "a b", "--domain", "example.com"], "x", 64, "letters, digits"),
        (add(&["example.org"]), "x", 78, "owned by first too"),
        (add(&["example.com", "--no-password"]), "", 64, "--client-certificate"),
        (add(&["example.com"]), "", 65, "the password is empty"),
        (add(&["example.com"]), "a\nb\n", 65, "one line"),
        (add(&["example.com"]), "a\u{1}\n", 65, "RFC 4013"),
        (add(&["example.com", "--password-file", "nowhere"]), "", 65, "nowhere"),
        (add(&["example.com", "--client-certificate", "sha1:00"]), "x", 64, "sha256"),
        (add(&["example.com", "--client-name", "mail.example.org"]), "x", 78, "client-ca"),
        (vec!["account", "set-password", "second"], "x", 65, "there is no account second"),
        (vec!["account", "remove", "second"], "", 65, "there is no account second"),
        (vec!["account", "set-password", "first", "pencil"], "", 64, "unexpected argument"),
    ] {
        let errors = site.refused(&arguments, input, code);
        assert!(errors.contains(says), "{arguments:?}: {says:?} is not said in {errors:?}");
    }
    fs::write(site.file(), "[[account]\n").unwrap();
    let errors = site.refused(&["account", "list"], "", 78);
    assert!(errors.contains("accounts.toml:1:"), "{errors}");
    site.refused(&["account", "remove", "first"], "", 65);
}

#[test]
fn a_broken_configuration_does_not_keep_an_account() {
    let site = Site::new("");
    site.done(&["account", "add", "first", "--domain", "example.org"], "pencil");
    let config = site.0.path().join("restante.toml");
    let broken = fs::read_to_string(&config).unwrap() + "nonsense = 1\n";
    fs::write(&config, broken).unwrap();
    site.done(&["account", "remove", "first"], "");
    assert!(!fs::read_to_string(site.file()).unwrap().contains("[[account]]"));
}

#[test]
fn the_server_refuses_a_file_that_others_can_read() {
    let site = Site::new("");
    site.done(&["account", "add", "first", "--domain", "example.org"], "pencil");
    let config = site.0.path().join("restante.toml");
    let everywhere = fs::read_to_string(&config).unwrap().replace("127.0.0.1:0", "0.0.0.0:0");
    fs::write(&config, everywhere).unwrap();
    fs::set_permissions(site.file(), fs::Permissions::from_mode(0o644)).unwrap();
    for verb in [&["config", "check"][..], &["serve"]] {
        let output = site.run(verb, "");
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(told.contains("other users can read the secrets") && told.contains("chmod 600"), "{told}");
    }
}

/// A server that runs.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(site: &Site) -> Self {
        let log = site.0.path().join("log");
        let mut command = site.command(&["serve"]);
        let child = command.stdout(File::create(&log).unwrap()).stderr(Stdio::null()).spawn().unwrap();
        let address = wait("ready", || {
            let text = fs::read_to_string(&log).unwrap();
            let ready = text.lines().find(|line| line.contains("\"event=ready\""))?;
            let ready: Value = serde_json::from_str(ready).ok()?;
            ready["addresses"].as_str()?.parse().ok()
        });
        Self { child, address }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client(BufReader::new(stream));
        assert!(client.reply().starts_with("220 "));
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    /// The lines of one reply.
    fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.0.read_line(&mut reply).unwrap() == 0 || reply.as_bytes().get(start + 3) == Some(&b' ') {
                return reply;
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply()
    }

    fn cram_md5(&mut self, name: &str, password: &str) -> String {
        let challenge = self.say("AUTH CRAM-MD5");
        let challenge = STANDARD.decode(challenge.trim_start_matches("334 ").trim_end()).unwrap();
        let digest = restante_smtp::cram_md5(password, std::str::from_utf8(&challenge).unwrap());
        let digest: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        self.say(&STANDARD.encode(format!("{name} {digest}")))
    }
}

fn wait<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = is() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "not {what} in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// [4954-9-revoked] A running server takes accounts up and gives them up: what is offered, who gets in, and what goes on.
#[test]
fn a_running_server_lives_by_the_file() {
    let site = Site::new("");
    let server = Server::start(&site);
    let mut early = server.connect();
    assert!(!early.say("EHLO client.example").contains("AUTH"));

    let add = ["account", "add", "old", "--domain", "example.org", "--legacy-cram-md5", "--allow-cleartext"];
    site.done(&add, "pencil");
    let mut client = wait("offered", || {
        let mut client = server.connect();
        client.say("EHLO client.example").contains("AUTH SCRAM-SHA-256 CRAM-MD5").then_some(client)
    });
    assert!(client.cram_md5("old", "crayon").starts_with("535 5.7.8 "));
    assert!(client.say("ATRN example.org").starts_with("530 5.7.0 "));
    assert!(client.cram_md5("old", "pencil").starts_with("235 2.7.0 "));
    assert!(client.say("ETRN example.org").starts_with("251 2.0.0 "));
    assert!(client.say("ETRN example.com").starts_with("459 4.7.1 "));
    assert!(client.say("ATRN example.com").starts_with("450 4.7.1 "));
    assert!(client.say("ATRN example.org").starts_with("453 4.0.0 "));
    for line in ["MAIL FROM:<>", "RCPT TO:<a@example.org>"] {
        assert!(client.say(line).starts_with("250 "), "{line}");
    }
    assert!(client.say("DATA").starts_with("354 "));
    assert!(client.say("Subject: x\r\n\r\nx\r\n.").starts_with("250 "));
    assert!(client.say("ATRN").starts_with("250 2.0.0 "));
    // The customer keeps silent; its account goes, and the drain with it.
    site.done(&["account", "remove", "old"], "");
    let mut rest = Vec::new();
    let begin = Instant::now();
    client.0.read_to_end(&mut rest).unwrap();
    assert!(begin.elapsed() < PATIENCE && rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    wait("given up", || (!server.connect().say("EHLO client.example").contains("AUTH")).then_some(()));
    let status = site.done(&["status", "example.org", "--json"], "");
    assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["messages"], 1, "{status}");
}

/// [4954-9-log] What fail2ban reads stands in one line, escaped, and nothing that was shown does.
#[test]
fn a_bad_file_changes_nothing_for_a_running_server() {
    let site = Site::new("");
    site.done(
        &["account", "add", "old", "--domain", "example.org", "--legacy-cram-md5", "--allow-cleartext"],
        "pencil",
    );
    let server = Server::start(&site);
    // Whole or not at all: it may be looked at in any moment.
    let fresh = site.file().with_extension("new");
    fs::write(&fresh, "[[account]]\nname = \"old\"\nsecret = \"nonsense\"\n").unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&fresh, site.file()).unwrap();
    let log = site.0.path().join("log");
    wait("refused", || fs::read_to_string(&log).unwrap().contains("\"accounts_refused\"").then_some(()));
    let mut client = server.connect();
    client.say("EHLO client.example");
    assert!(client.cram_md5("old", "crayon").starts_with("535 "));
    assert!(client.cram_md5("who\\else", "crayon").starts_with("535 "));
    assert!(client.cram_md5("old", "pencil").starts_with("235 "));
    let text = wait("all told", || {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().any(|line| line.contains("\"auth_ok\"")).then_some(text)
    });
    for secret in ["nonsense", "pencil", "crayon"] {
        assert!(!text.contains(secret), "{text}");
    }
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    let [failed, other] = of("auth_failed")[..] else { panic!("{text}") };
    let facts =
        |line: &Value| ["client", "account", "mechanism"].map(|key| line[key].as_str().unwrap().to_owned());
    assert_eq!(facts(failed), ["127.0.0.1", "old", "CRAM-MD5"]);
    assert_eq!(facts(other)[1], r"who\\else", "escaped");
    assert_eq!(of("auth_ok").len(), 1);
}
