//! A daemon that serves On-Demand Mail Relay, and an agent on the other side.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::daemon::{Daemon, DaemonOptions, binary, free_port};
use crate::{connect, sample};

const PASSWORD: &str = "correct horse battery staple";

/// A daemon with an ODMR listener, a self-signed certificate, and the account `example-org` for example.org.
#[derive(Debug)]
pub struct Provider {
    /// The daemon.
    pub daemon: Daemon,
    odmr: u16,
}

impl Provider {
    /// Starts it; `account` are further arguments of `restante account add`, `options` as for any daemon.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(options: DaemonOptions, listen: &str, account: &[&str]) -> Self {
        let odmr = free_port();
        let mut tables = options.tables.clone();
        write!(tables, "[[listen]]\naddress = \"127.0.0.1:{odmr}\"\nservice = \"odmr\"\n{listen}\n")
            .expect("a string takes what is written");
        let top = format!("{}\naccounts-file = \"accounts.toml\"\n", options.top);
        let mut daemon = Daemon::prepare(&DaemonOptions { top, tables, ..options });
        let secret = daemon.dir().join("secret");
        write_secret(&secret);
        let add = ["account", "add", "example-org", "--domain", "example.org", "--password-file"];
        let file = secret.display().to_string();
        let output = daemon.admin(&[&add[..], &[file.as_str()], account].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        daemon.run();
        Self { daemon, odmr }
    }

    /// One as a site would have it: TLS required.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn usual() -> Self {
        Self::start(DaemonOptions::default(), "", &[])
    }

    /// Its ODMR port.
    #[must_use]
    pub const fn odmr(&self) -> u16 {
        self.odmr
    }

    /// The account's password.
    #[must_use]
    pub const fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The certificate that it made for itself.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.daemon.data_dir().join("tls/self-signed.crt")
    }

    /// Sends it a message to b@example.org for each size; what was sent.
    ///
    /// # Panics
    /// When it is not taken.
    #[must_use]
    pub fn fill(&self, sizes: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
        let mut client = connect(self.daemon.ports().smtp);
        client.expect("EHLO client.example", "250");
        let mut sent = Vec::new();
        for (seed, size) in sizes.into_iter().enumerate() {
            let content = sample(seed, size);
            let reply = client.send("a@sender.example", &["b@example.org"], &content);
            assert!(reply.starts_with("250"), "{reply}");
            sent.push(content);
        }
        sent
    }

    /// The agent on the customer's side, with TLS and the account; `local` as in its configuration, `more` are further
    /// lines of `[[server]]`.
    ///
    /// # Panics
    /// When the disk is full.
    #[must_use]
    pub fn agent(&self, local: &str, more: &str) -> Agent {
        let lines = format!(
            "address = \"127.0.0.1:{}\"\ndomains = [\"example.org\"]\naccount = \"example-org\"\n\
             secret-file = \"SECRET\"\nca = \"{}\"\ntls-name = \"mx2.example.net\"\nlocal = \"{local}\"\n{more}\n",
            self.odmr,
            self.certificate().display(),
        );
        Agent::new(&lines)
    }
}

/// An agent in a directory of its own.
#[derive(Debug)]
pub struct Agent {
    dir: TempDir,
}

impl Agent {
    /// One with these lines of `[[server]]`; SECRET stands for the file with the password.
    ///
    /// # Panics
    /// When the disk is full.
    #[must_use]
    pub fn new(server: &str) -> Self {
        let dir =
            tempfile::Builder::new().prefix("restante-agent-").tempdir().expect("a temporary directory");
        let agent = Self { dir };
        let secret = agent.path("secret");
        write_secret(&secret);
        let text = format!(
            "hostname = \"primary.restante.test\"\nstate-file = \"{}\"\n[[server]]\njitter = \"0s\"\n{}",
            agent.path("state.json").display(),
            server.replace("SECRET", &secret.display().to_string())
        );
        std::fs::write(agent.config(), text).expect("the configuration can be written");
        agent
    }

    /// A file of its directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("agent.toml")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("agent").args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    /// Collects once, to its end.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn collect(&self) -> Output {
        self.command(&["collect", "--once"]).output().expect("the program starts")
    }

    /// Collects once: the exit code, and what `--json` says of the one server.
    ///
    /// # Panics
    /// When it does not say one object.
    #[must_use]
    pub fn collected(&self) -> (Option<i32>, serde_json::Value) {
        let output = self.command(&["collect", "--once", "--json"]).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let said = serde_json::from_str(text.trim())
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), said)
    }

    /// Collects once, in the background.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn collecting(&self) -> Child {
        let mut command = self.command(&["collect", "--once"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// Keeps its schedule, in the background; what it logs is in the file `log`.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn running(&self) -> Child {
        let log = std::fs::File::create(self.path("log")).expect("the log opens");
        self.command(&["run"]).stdout(log).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// What `agent status --json` says of the one server.
    ///
    /// # Panics
    /// When it does not say one object.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "--json"]).output().expect("the program starts");
        serde_json::from_slice(&output.stdout).expect("one object")
    }

    /// The messages of a Maildir in its directory, without the fields that the agent puts on top, CRLF again.
    ///
    /// # Panics
    /// When a file does not start with them.
    #[must_use]
    pub fn maildir(&self, name: &str) -> Vec<Vec<u8>> {
        let files = crate::maildir::files(&self.path(name));
        files.iter().map(|file| crate::maildir::without(file, &["Return-Path:", "Delivered-To:"])).collect()
    }
}

fn write_secret(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("{PASSWORD}\n")).expect("the secret can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a file of our own");
}
