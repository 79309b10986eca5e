//! A restante daemon in a directory of its own.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self as unix, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;

/// The program under test: `RESTANTE_BIN`, else the one that was built beside the tests.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("RESTANTE_BIN") {
        return path.into();
    }
    let mut path = std::env::current_exe().expect("a test knows where it is");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push("restante");
    assert!(path.exists(), "{} is missing: cargo build -p restante", path.display());
    path
}

/// A port that nobody uses now: never the same twice, none that an outgoing connection may get meanwhile, and none that
/// another test program, which may run beside this one, was given.
///
/// # Panics
/// When all are taken.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<Ports100>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let ours = given
            .last_mut()
            .and_then(|block| block.left.find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()));
        if let Some(port) = ours {
            return port;
        }
        given.push(Ports100::take().expect("a port is free"));
    }
}

/// A hundred ports, ours among all test programs of this machine for as long as this one runs.
#[derive(Debug)]
struct Ports100 {
    left: std::ops::Range<u16>,
    /// Bound to a name that only one can have; the kernel takes it back from those that were killed, too.
    _name: UnixListener,
}

impl Ports100 {
    fn take() -> Option<Self> {
        // Below what Linux gives to those who do not ask for a port; where in there, is left to the process.
        const FIRST: u16 = 10_000;
        const BLOCKS: u16 = 220;
        let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("less than BLOCKS");
        (0..BLOCKS).map(|count| (start + count) % BLOCKS).find_map(|block| {
            let first = FIRST + 100 * block;
            let name = unix::SocketAddr::from_abstract_name(format!("restante-it-ports-{first}")).ok()?;
            let name = UnixListener::bind_addr(&name).ok()?;
            Some(Self { left: first..first + 100, _name: name })
        })
    }
}

/// Where the daemon listens and where its primaries are.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// SMTP.
    pub smtp: u16,
    /// The primary of example.org.
    pub org: u16,
    /// The primary of example.com.
    pub com: u16,
}

/// What differs from the plain daemon.
#[derive(Debug, Clone, Default)]
pub struct DaemonOptions {
    /// Lines in front of the first table (top-level keys) besides hostname and data-dir.
    pub top: String,
    /// Lines inside `[admin]`.
    pub admin: String,
    /// Lines inside `[[listen]]`.
    pub listen: String,
    /// Lines of `[domain-defaults]`.
    pub defaults: String,
    /// Lines of example.org's `[[domain]]`.
    pub org: String,
    /// Whole tables at the end.
    pub tables: String,
    /// The data directory, if not one inside the temporary directory.
    pub data_dir: Option<PathBuf>,
}

/// A daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Option<Child>,
    dir: TempDir,
    ports: Ports,
    environment: Vec<(String, String)>,
}

impl Daemon {
    /// Writes a configuration and starts the daemon with it; returns when it listens.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(options: &DaemonOptions) -> Self {
        let mut daemon = Self::prepare(options);
        daemon.run();
        daemon
    }

    /// Writes a configuration without starting.
    ///
    /// # Panics
    /// When the disk is full.
    #[must_use]
    pub fn prepare(options: &DaemonOptions) -> Self {
        let dir = tempfile::Builder::new().prefix("restante-it-").tempdir().expect("a temporary directory");
        let ports = Ports { smtp: free_port(), org: free_port(), com: free_port() };
        let daemon = Self { child: None, dir, ports, environment: Vec::new() };
        daemon.configure(options);
        daemon
    }

    /// Writes the configuration anew; the daemon takes it up on SIGHUP.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn configure(&self, options: &DaemonOptions) {
        let data_dir = options.data_dir.clone().unwrap_or_else(|| self.data_dir());
        let mut text = String::new();
        let Ports { smtp, org, com } = self.ports;
        write!(
            text,
            "hostname = \"mx2.example.net\"\ndata-dir = \"{}\"\n{}\n\
             [[listen]]\naddress = \"127.0.0.1:{smtp}\"\n{}\n\
             [admin]\nsocket = \"{}\"\n{}\n\
             [tls]\nself-signed = true\n\
             [domain-defaults]\netrn-from = [\"127.0.0.0/8\"]\netrn-interval = \"0s\"\nretry = [\"1s\", \"2s\"]\n{}\n\
             [[domain]]\nname = \"example.org\"\nprimary = \"[127.0.0.1]:{org}\"\n{}\n\
             [[domain]]\nname = \"example.com\"\nprimary = \"[127.0.0.1]:{com}\"\n{}\n",
            data_dir.display(),
            options.top,
            options.listen,
            self.socket().display(),
            options.admin,
            options.defaults,
            options.org,
            options.tables,
        )
        .expect("a string takes what is written");
        // Nobody asks the world outside: the answer of a port where nobody is comes at once.
        if !options.tables.contains("[dns]") {
            text.push_str("[dns]\nservers = [\"127.0.0.1:9\"]\n");
        }
        std::fs::write(self.config(), text).expect("the configuration can be written");
    }

    /// What it finds in its environment from its next start on, and the administrator's commands at once.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts what was prepared, or starts again after [`Daemon::kill`].
    ///
    /// # Panics
    /// When it does not listen within 30 s.
    pub fn run(&mut self) {
        self.launch();
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports.smtp));
        let up = eventually(Duration::from_secs(30), || {
            // A socket's file outlives its server.
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
                && unix::UnixStream::connect(self.socket()).is_ok()
        });
        assert!(up, "the daemon does not listen; its log:\n{}", self.log());
    }

    /// Where it listens and delivers to.
    #[must_use]
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("restante.toml")
    }

    /// Its data directory, unless another one was named.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("run/admin.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Everything it said so far; what is no warning it writes a moment later.
    #[must_use]
    pub fn log(&self) -> String {
        std::thread::sleep(Duration::from_millis(100));
        self.log_so_far()
    }

    /// What it wrote so far, for those who have no time.
    #[must_use]
    pub fn log_so_far(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("the daemon runs");
        i32::try_from(child.id()).expect("a process id is an i32")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("the daemon runs");
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it politely and returns its exit code.
    ///
    /// # Panics
    /// When it does not end within 60 s; it gives itself 30.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        let mut child = self.child.take().expect("the daemon runs");
        let mut status = None;
        let ended = eventually(Duration::from_secs(60), || {
            status = child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        if !ended {
            let _ = child.kill();
            panic!("the daemon does not end; its log:\n{}", self.log());
        }
        status.and_then(|status| status.code())
    }

    /// Runs one of the administrator's commands against it.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn admin(&self, args: &[&str]) -> Output {
        Command::new(binary())
            .args(args)
            .arg("--config")
            .arg(self.config())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .expect("the program starts")
    }

    /// Runs a command with `--json` that must succeed; one value per line.
    ///
    /// # Panics
    /// When it fails or prints something else.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Vec<serde_json::Value> {
        let output = self.admin(&[args, &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(|line| serde_json::from_str(line).expect("a line is one JSON object")).collect()
    }

    /// Messages that wait in all, by `health --json`; nothing where nobody answers.
    #[must_use]
    pub fn try_waiting(&self) -> Option<u64> {
        let output = self.admin(&["health", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        report["messages"].as_u64()
    }

    /// Asks for a queue by ETRN; nothing where nobody answers.
    #[must_use]
    pub fn try_etrn(&self, domain: &str) -> Option<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports.smtp));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut line = BufReader::new(stream);
        let mut reply = String::new();
        line.read_line(&mut reply).ok()?;
        line.get_mut()
            .write_all(format!("EHLO client.example\r\nETRN {domain}\r\nQUIT\r\n").as_bytes())
            .ok()?;
        let mut all = String::new();
        let _ = line.read_to_string(&mut all);
        all.lines().rev().nth(1).map(str::to_owned)
    }

    /// Whether its process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none()))
    }

    /// Starts it without waiting for anything; see [`Daemon::run`].
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn launch(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the log opens");
        let child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(self.config())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        self.child = Some(child);
    }

    /// Messages that wait for a domain, by `status --json`.
    ///
    /// # Panics
    /// When `status` fails.
    #[must_use]
    pub fn waiting(&self, domain: &str) -> u64 {
        self.json(&["status", domain])
            .first()
            .and_then(|status| status["messages"].as_u64())
            .expect("status has messages")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(6000);
            eprintln!(
                "--- the daemon's log, its end ---\n{}",
                String::from_utf8_lossy(&log.as_bytes()[tail..])
            );
        }
    }
}
