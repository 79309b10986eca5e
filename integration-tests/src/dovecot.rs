//! A real Dovecot as the mail store: LMTP on a socket and on a port, into Maildirs of a private directory.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::daemon::free_port;
use crate::peers::{Peer, command, open_to_all};
use crate::{eventually, maildir};

/// A Dovecot with its own configuration and mailboxes; stopped when dropped.
#[derive(Debug)]
pub struct Dovecot {
    dir: TempDir,
    port: u16,
    master: Child,
}

impl Dovecot {
    /// Starts one that takes every address.
    ///
    /// # Panics
    /// When it does not come up; ask for [`Peer::Dovecot`] first.
    #[must_use]
    pub fn start() -> Self {
        let dir =
            tempfile::Builder::new().prefix("restante-dovecot-").tempdir().expect("a temporary directory");
        let port = free_port();
        open_to_all(dir.path());
        for name in ["mail", "run"] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).expect("a directory of our own");
            open_to_all(&path);
        }
        let nobody = nix::unistd::User::from_name("nobody").ok().flatten().expect("nobody is a user");
        std::os::unix::fs::chown(
            dir.path().join("mail"),
            Some(nobody.uid.as_raw()),
            Some(nobody.gid.as_raw()),
        )
        .expect("root gives directories away");
        let root = dir.path().display();
        let text = format!(
            "protocols = lmtp\nbase_dir = {root}/run\nstate_dir = {root}/run\nlog_path = {root}/log\nssl = no\n\
             auth_mechanisms = plain\nfirst_valid_uid = 1\nfirst_valid_gid = 1\ndefault_internal_user = nobody\n\
             default_login_user = nobody\ndefault_internal_group = nogroup\nmail_location = maildir:{root}/mail/%u\n\
             lmtp_save_to_detail_mailbox = no\nrecipient_delimiter =\npostmaster_address = postmaster@example.org\n\
             hostname = store.restante.test\n\
             userdb {{\n driver = static\n args = uid={} gid={} home={root}/mail/%u allow_all_users=yes\n}}\n\
             passdb {{\n driver = static\n args = nopassword=y\n}}\n\
             service lmtp {{\n unix_listener {root}/run/lmtp.sock {{\n mode = 0666\n }}\n\
             inet_listener lmtp {{\n address = 127.0.0.1\n port = {port}\n }}\n}}\n\
             service anvil {{\n chroot =\n}}\nservice stats {{\n chroot =\n}}\n",
            nobody.uid, nobody.gid
        );
        let file = dir.path().join("dovecot.conf");
        std::fs::write(&file, text).expect("dovecot.conf can be written");
        let master = command(Peer::Dovecot)
            .args(["-F", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dovecot starts");
        let dovecot = Self { dir, port, master };
        let up = eventually(Duration::from_secs(30), || {
            dovecot.socket().exists() && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(up, "dovecot does not listen: {}", dovecot.log());
        dovecot
    }

    /// Its LMTP socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/lmtp.sock")
    }

    /// Its LMTP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// One mailbox's messages as they were handed to Dovecot: its own Return-Path, Delivered-To and Received fields
    /// taken off, CRLF again.
    ///
    /// # Panics
    /// When a file does not start with Dovecot's fields.
    #[must_use]
    pub fn as_received(&self, user: &str) -> Vec<Vec<u8>> {
        let files = maildir::files(&self.dir.path().join("mail").join(user));
        files
            .iter()
            .map(|file| maildir::without(file, &["Return-Path:", "Delivered-To:", "Received:"]))
            .collect()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let pid =
            nix::unistd::Pid::from_raw(i32::try_from(self.master.id()).expect("a process id is an i32"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        eventually(Duration::from_secs(10), || matches!(self.master.try_wait(), Ok(Some(_))));
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}
