//! A real Exim as the primary: it takes mail for the domains it is told to into Maildirs of a private directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::peers::{Peer, command, open_to_all};
use crate::{eventually, maildir};

/// What differs from the plain Exim.
#[derive(Debug, Clone, Default)]
pub struct EximOptions {
    /// Lines of the main section; they stand first.
    pub main: String,
    /// Statements of the ACL at RCPT, before the domain is looked at.
    pub rcpt: String,
    /// Statements of the ACL at the end of the content.
    pub data: String,
}

/// An Exim of our own; ended when dropped.
#[derive(Debug)]
pub struct Exim {
    dir: TempDir,
    child: Child,
    port: u16,
}

impl Exim {
    /// Starts one on this address, for these domains (as in a list of Exim's).
    ///
    /// # Panics
    /// When it does not come up; ask for [`Peer::Exim`] first.
    #[must_use]
    pub fn start(at: std::net::SocketAddr, domains: &str, options: &EximOptions) -> Self {
        let dir = tempfile::Builder::new().prefix("restante-exim-").tempdir().expect("a temporary directory");
        let root = dir.path();
        open_to_all(root);
        let shell = format!("mkdir {0}/spool {0}/log {0}/mail && chown nobody:nogroup {0}/*", root.display());
        assert!(Command::new("sh").args(["-c", &shell]).status().is_ok_and(|status| status.success()));
        let file = root.join("exim.conf");
        std::fs::write(&file, configuration(root, at, domains, options)).expect("exim.conf can be written");
        let child = command(Peer::Exim)
            .arg("-C")
            .arg(&file)
            .args(["-bdf", "-q10s"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let exim = Self { dir, child, port: at.port() };
        let up = eventually(Duration::from_secs(30), || std::net::TcpStream::connect(at).is_ok());
        assert!(up, "exim does not listen: {}", exim.log());
        exim
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it logged so far: what came and went, and what it refused.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        format!("{}{}{}", read("log/mainlog"), read("log/rejectlog"), read("log/paniclog"))
    }

    /// The files of its mailboxes.
    #[must_use]
    pub fn mailbox(&self) -> Vec<PathBuf> {
        maildir::files(&self.dir.path().join("mail/all"))
    }

    /// One delivered message as it was handed to Exim: its own header fields taken off, CRLF again.
    ///
    /// # Panics
    /// When the file does not start with Exim's fields.
    #[must_use]
    pub fn as_received(path: &Path) -> Vec<u8> {
        maildir::without(path, &["Return-path:", "Envelope-to:", "Received:"])
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id is an i32"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        // Where that comes between two of its waits, it is not heard before the end of the next.
        if !eventually(Duration::from_secs(1), || self.child.try_wait().is_ok_and(|ended| ended.is_some())) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// It delivers as the user that receives, so nothing in it needs to be root again.
fn configuration(root: &Path, at: std::net::SocketAddr, domains: &str, options: &EximOptions) -> String {
    let EximOptions { main, rcpt, data } = options;
    let (root, address, port) = (root.display(), at.ip(), at.port());
    let program = command(Peer::Exim);
    // Exim takes no option twice.
    let chunking =
        if main.contains("chunking_advertise_hosts") { "" } else { "chunking_advertise_hosts = *\n" };
    let mut text = String::new();
    write!(
        text,
        "{main}\n\
         exim_path = {}\nexim_user = nobody\nexim_group = nogroup\nspool_directory = {root}/spool\n\
         log_file_path = {root}/log/%slog\npid_file_path = {root}/spool/exim.pid\n\
         primary_hostname = primary.restante.test\nlocal_interfaces = <; {address}\ndaemon_smtp_ports = {port}\n\
         tls_advertise_hosts =\nhost_lookup =\nrfc1413_query_timeout = 0s\ndeliver_drop_privilege = true\n\
         never_users =\nkeep_environment =\nadd_environment = PATH=/bin\nmessage_size_limit = 100M\n\
         smtp_accept_max = 100\n{chunking}dsn_advertise_hosts = *\nprdr_enable = true\n\
         smtp_enforce_sync = true\n\
         log_selector = +all -arguments -pid\n\
         acl_smtp_rcpt = at_rcpt\nacl_smtp_data = at_data\n\
         begin acl\n\
         at_rcpt:\n{rcpt}\n  accept domains = {domains}\n  deny message = relay not permitted\n\
         at_data:\n{data}\n  accept\n\
         begin routers\n\
         all:\n  driver = accept\n  transport = mailbox\n\
         begin transports\n\
         mailbox:\n  driver = appendfile\n  directory = {root}/mail/all\n  maildir_format\n  create_directory\n\
         \u{20} user = nobody\n  group = nogroup\n  message_prefix =\n  message_suffix =\n  batch_max = 1000\n\
         \u{20} return_path_add\n  envelope_to_add\n\
         begin retry\n* * F,1h,10s\n",
        program.get_program().display(),
    )
    .expect("a string takes what is written");
    text
}
