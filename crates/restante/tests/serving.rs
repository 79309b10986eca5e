//! The running program: ready, in use, reloaded, stopped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    child: Child,
    log: BufReader<ChildStdout>,
    directory: TempDir,
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
    command
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env_remove("RESTANTE_LOG").env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET");
    command
}

fn configure(directory: &Path, more: &str) -> PathBuf {
    let file = directory.join("restante.toml");
    let here = directory.display();
    let text = format!(
        "hostname = \"mx2.example.net\"\ndata-dir = \"{here}/data\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
         [admin]\nsocket = \"{here}/run/admin.sock\"\n[tls]\nself-signed = true\n\
         [domain-defaults]\nprimary = \"[127.0.0.1]:9\"\netrn-from = [\"127.0.0.1\"]\netrn-interval = \"1h\"\n{more}"
    );
    fs::write(&file, text).unwrap();
    file
}

impl Server {
    /// Starts it and waits until it says that it is ready.
    fn start(more: &str, adjust: impl FnOnce(&mut Command)) -> (Self, serde_json::Value) {
        let directory = tempfile::tempdir().unwrap();
        configure(directory.path(), more);
        let (child, log) = spawn(directory.path(), adjust);
        let mut server = Self { child, log, directory };
        let ready = server.wait_for("ready");
        (server, ready)
    }

    /// Starts it again after it has ended.
    fn run(&mut self, adjust: impl FnOnce(&mut Command)) {
        (self.child, self.log) = spawn(self.directory.path(), adjust);
    }

    /// Reads the log up to an event. The log ends when the process does, so this cannot wait for ever.
    fn wait_for(&mut self, event: &str) -> serde_json::Value {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "no {event} in {seen}");
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            if value["event"] == event {
                return value;
            }
            seen += &line;
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has most often ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path, adjust: impl FnOnce(&mut Command)) -> (Child, BufReader<ChildStdout>) {
    let mut command = command(&directory.join("restante.toml"));
    adjust(&mut command);
    let mut child = command.spawn().unwrap();
    let log = BufReader::new(child.stdout.take().unwrap());
    (child, log)
}

/// An SMTP client that waits for each answer.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert!(client.reply().starts_with("220 "));
        client
    }

    /// All lines of one reply.
    fn reply(&mut self) -> String {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "closed after {text:?}");
            text += &line;
            if line.as_bytes().get(3) == Some(&b' ') {
                return text;
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply()
    }
}

/// Says the lines and returns the replies.
fn talk(address: &str, lines: &[&str]) -> Vec<String> {
    let mut client = Client::connect(address);
    lines.iter().map(|line| client.say(line)).collect()
}

fn rcpt(address: &str, to: &str) -> String {
    talk(address, &["EHLO a.example", "MAIL FROM:<a@a.example>", &format!("RCPT TO:<{to}>")]).remove(2)
}

fn address(ready: &serde_json::Value) -> String {
    ready["addresses"].as_str().unwrap().to_owned()
}

const ORG: &str = "[[domain]]\nname = \"example.org\"\n";

#[test]
fn it_says_when_it_is_ready_and_ends_when_it_is_told() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut server, ready) = Server::start(ORG, |_| ());
        assert_eq!(ready["message"], "event=ready", "scripts wait for it in any format");
        assert_eq!((&ready["domains"], &ready["version"]), (&1.into(), &env!("CARGO_PKG_VERSION").into()));
        let replies = talk(&address(&ready), &["EHLO client.example"]);
        assert!(replies[0].contains("250-STARTTLS\r\n"), "{replies:?}");
        server.signal(signal);
        server.wait_for("stopped");
        assert_eq!(server.end(), Some(0));
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut server, ready) = Server::start(ORG, |_| ());
    let mut busy = Client::connect(&address(&ready));
    for line in ["EHLO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@example.org>"] {
        assert!(busy.say(line).starts_with("250"));
    }
    assert!(busy.say("DATA").starts_with("354"));
    server.signal(Signal::SIGTERM);
    server.wait_for("stopping");
    server.signal(Signal::SIGTERM);
    let begun = Instant::now();
    server.wait_for("stopping_at_once");
    assert_eq!(server.end(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(25), "it did not wait for the message");
}

#[test]
fn a_data_directory_has_one_server() {
    let (first, _) = Server::start(ORG, |_| ());
    let output = command(&first.directory.path().join("restante.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("in use by another process"), "{text}");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = configure(directory.path(), &format!("{ORG}[[listen]]\naddress = \"{address}\"\n"));
    let output = command(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address.to_string()));
}

#[test]
fn a_reload_takes_what_is_good_and_leaves_what_is_bad() {
    let (mut server, ready) = Server::start(ORG, |_| ());
    let directory = server.directory.path().to_owned();
    let rcpt = |to: &str| rcpt(&address(&ready), to);
    assert!(rcpt("x@example.org").starts_with("250"));
    assert!(rcpt("x@example.com").starts_with("550 5.7.1"));

    configure(&directory, &format!("{ORG}colour = 1\n[[domain]]\nname = \"example.com\"\n"));
    server.signal(Signal::SIGHUP);
    let error = server.wait_for("configuration_error");
    assert!(error["place"].as_str().unwrap().contains("restante.toml:"), "{error}");
    server.wait_for("reload_failed");
    assert!(rcpt("x@example.com").starts_with("550 5.7.1"), "the old configuration stays");

    configure(&directory, "[[domain]]\nname = \"example.com\"\n");
    server.signal(Signal::SIGHUP);
    let orphaned = server.wait_for("domain_orphaned");
    assert_eq!(orphaned["domain"], "example.org");
    server.wait_for("reloaded");
    assert!(rcpt("x@example.com").starts_with("250"));
    assert!(rcpt("x@example.org").starts_with("450"), "a domain that is gone answers 450");

    configure(&directory, &format!("{ORG}[[domain]]\nname = \"example.com\"\n"));
    server.signal(Signal::SIGHUP);
    assert_eq!(server.wait_for("domain_back")["domain"], "example.org");
    server.wait_for("reloaded");
    assert!(rcpt("x@example.org").starts_with("250"));
    let replies = talk(&address(&ready), &["ETRN example.org", "ETRN example.com", "ETRN example.com"]);
    assert!(replies[0].starts_with("458 4.3.0"), "it waits for the operator's release: {replies:?}");
    assert!(replies[1].starts_with("250 2.0.0"), "{replies:?}");
    let again = ["try again in 3600 s", "try again in 359"].iter().any(|words| replies[2].contains(words));
    assert!(replies[2].starts_with("458 4.3.0") && again, "{replies:?}");
}

#[test]
fn a_domain_that_is_lost_between_two_runs_is_noticed() {
    let (mut server, _) = Server::start(ORG, |_| ());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end(), Some(0));
    configure(server.directory.path(), "");
    server.run(|_| ());
    assert_eq!(server.wait_for("domain_orphaned")["domain"], "example.org");
    let ready = server.wait_for("ready");
    assert!(rcpt(&address(&ready), "x@example.org").starts_with("450"));
}

#[test]
fn a_refused_asker_is_logged_with_the_line_that_would_allow_it() {
    let (mut server, ready) = Server::start(&format!("{ORG}etrn-from = [\"192.0.2.1\"]\n"), |_| ());
    talk(&address(&ready), &["ETRN example.org"]);
    let refused = server.wait_for("etrn_refused");
    assert_eq!(refused["client"], "127.0.0.1");
    assert_eq!(refused["suggestion"], "etrn-from = [\"192.0.2.1/32\", \"127.0.0.1\"]");
}

#[test]
fn systemd_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut server, _) = Server::start(ORG, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    });
    let mut told = String::new();
    let mut wait_for = |what: &str| {
        while !told.contains(what) {
            let mut octets = [0; 4096];
            let length = socket.recv(&mut octets).unwrap();
            told += &String::from_utf8_lossy(&octets[..length]);
        }
        told.clear();
    };
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    wait_for("STATUS=0 messages held");
    server.signal(Signal::SIGHUP);
    wait_for("RELOADING=1");
    wait_for("READY=1");
    server.signal(Signal::SIGTERM);
    wait_for("STOPPING=1");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn what_it_keeps_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let (server, _) = Server::start(ORG, |_| ());
    for path in ["data", "data/known-domains.json", "data/tls/self-signed.key"] {
        let mode = fs::metadata(server.directory.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{path} has mode {mode:o}");
    }
}

#[test]
fn the_spool_of_a_stopped_server_is_checked_and_copied_out() {
    let (mut server, ready) = Server::start(ORG, |_| ());
    let mut client = Client::connect(&address(&ready));
    for line in ["EHLO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@example.org>"] {
        assert!(client.say(line).starts_with("250"));
    }
    assert!(client.say("DATA").starts_with("354"));
    assert!(client.say("Subject: kept\r\n\r\nkept\r\n.").starts_with("250"));
    let data = server.directory.path().join("data");
    let out = server.directory.path().join("out");
    let spool = |verb: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
        let output = command.arg("spool").args(verb).arg("--data-dir").arg(&data).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(spool(&["verify"]).0, Some(75), "the server has it");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end(), Some(0));
    let (code, text) = spool(&["verify"]);
    assert!(code == Some(0) && text.starts_with("1 message in 1 segment"), "{code:?} {text}");
    let (code, text) = spool(&["export", out.to_str().unwrap()]);
    assert!(code == Some(0) && text.starts_with("1 message "), "{code:?} {text}");
    let copies: Vec<PathBuf> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    let eml =
        copies.iter().find(|path| path.extension().is_some_and(|extension| extension == "eml")).unwrap();
    assert!(fs::read_to_string(eml).unwrap().ends_with("Subject: kept\r\n\r\nkept\r\n"));
    // An octet of the content changes its colour.
    let segment = fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut octets = fs::read(&segment).unwrap();
    let at = octets.windows(13).position(|window| window == b"Subject: kept").unwrap();
    octets[at + 9] = b'w';
    fs::write(&segment, octets).unwrap();
    let (code, text) = spool(&["verify"]);
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("damaged: ") && text.contains("1 damaged"), "{text}");
}
