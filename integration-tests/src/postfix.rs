//! A real Postfix as the primary: it receives for example.org into Maildirs of a private directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::daemon::free_port;
use crate::peers::{Peer, command, open_to_all};
use crate::{eventually, maildir};

/// A Postfix instance with its own configuration, queue and mailboxes; stopped when dropped.
#[derive(Debug)]
pub struct Postfix {
    dir: TempDir,
    port: u16,
}

/// The benches run it with the same ones.
const SERVICES: &str = include_str!("postfix.services");

impl Postfix {
    /// Lines of main.cf: TLS with this certificate, told of in its Received line.
    #[must_use]
    pub fn tls(certificate: &Path, key: &Path) -> [String; 4] {
        [
            "smtpd_tls_security_level = may".to_owned(),
            "smtpd_tls_received_header = yes".to_owned(),
            format!("smtpd_tls_cert_file = {}", certificate.display()),
            format!("smtpd_tls_key_file = {}", key.display()),
        ]
    }

    /// Starts one that takes every address of example.org.
    ///
    /// # Panics
    /// When it does not come up; ask for [`Peer::Postfix`] first.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    /// Starts one on this port.
    ///
    /// # Panics
    /// As [`Postfix::start`].
    #[must_use]
    pub fn start_on(port: u16) -> Self {
        Self::start_with(port, &[])
    }

    /// Starts one on this port whose main.cf has these lines besides; `{dir}` in them is its directory.
    ///
    /// # Panics
    /// As [`Postfix::start`].
    #[must_use]
    pub fn start_with(port: u16, lines: &[&str]) -> Self {
        let dir =
            tempfile::Builder::new().prefix("restante-postfix-").tempdir().expect("a temporary directory");
        let postfix = Self { dir, port };
        postfix.configure(lines);
        postfix.up()
    }

    /// As [`Postfix::start_with`], on every address of its host and not on loopback alone.
    ///
    /// # Panics
    /// As [`Postfix::start`].
    #[must_use]
    pub fn start_everywhere(port: u16, lines: &[&str]) -> Self {
        let dir =
            tempfile::Builder::new().prefix("restante-postfix-").tempdir().expect("a temporary directory");
        let postfix = Self { dir, port };
        postfix.configure(&[&["inet_interfaces = all", "inet_protocols = all"], lines].concat());
        let master = postfix.dir.path().join("etc/master.cf");
        std::fs::write(master, format!("{port} inet n - n - - smtpd\n{SERVICES}"))
            .expect("master.cf can be written");
        postfix.up()
    }

    fn up(self) -> Self {
        room_for_logging();
        let port = self.port;
        let postfix = self;
        let status = postfix.control("start");
        assert!(status, "postfix start failed: {}", postfix.log());
        let up =
            eventually(Duration::from_secs(30), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "postfix does not listen: {}", postfix.log());
        postfix
    }

    fn configure(&self, lines: &[&str]) {
        let root = self.dir.path();
        open_to_all(root);
        for name in ["etc", "queue", "data", "mail"] {
            std::fs::create_dir(root.join(name)).expect("a directory of our own");
            open_to_all(&root.join(name));
        }
        let shell = format!("chown postfix {0}/data && chown nobody:nogroup {0}/mail", root.display());
        assert!(Command::new("sh").args(["-c", &shell]).status().is_ok_and(|status| status.success()));
        let nobody = nix::unistd::User::from_name("nobody").ok().flatten().expect("nobody is a user");
        let mut main = String::new();
        write!(
            main,
            "compatibility_level = 3.6\nconfig_directory = {0}/etc\nqueue_directory = {0}/queue\n\
             data_directory = {0}/data\nmaillog_file = {0}/maillog\nmaillog_file_prefixes = {0}\n\
             multi_instance_name = postfix-restante\nmulti_instance_enable = yes\nmyhostname = primary.restante.test\n\
             mydestination =\nalias_maps =\nalias_database =\nlocal_recipient_maps =\ninet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nsmtp_host_lookup = native\ndisable_dns_lookups = yes\n\
             master_service_disable =\nsmtpd_tls_security_level = none\nsmtpd_relay_restrictions = reject_unauth_destination\n\
             smtpd_discard_ehlo_keywords =\nmessage_size_limit = 100000000\nmailbox_size_limit = 0\n\
             virtual_mailbox_limit = 0\nvirtual_mailbox_domains = example.org\nvirtual_mailbox_base = {0}/mail\n\
             virtual_mailbox_maps = static:all/\nvirtual_uid_maps = static:{1}\nvirtual_gid_maps = static:{2}\n\
             virtual_minimum_uid = 1\nlocal_header_rewrite_clients =\nalways_add_missing_headers = no\n",
            root.display(),
            nobody.uid,
            nobody.gid,
        )
        .expect("a string takes what is written");
        for line in lines {
            main.push_str(&line.replace("{dir}", &root.to_string_lossy()));
            main.push('\n');
        }
        std::fs::write(root.join("etc/main.cf"), main).expect("main.cf can be written");
        let master = format!("127.0.0.1:{} inet n - n - - smtpd\n{SERVICES}", self.port);
        std::fs::write(root.join("etc/master.cf"), master).expect("master.cf can be written");
    }

    fn control(&self, verb: &str) -> bool {
        command(Peer::Postfix)
            .arg("-c")
            .arg(self.dir.path().join("etc"))
            .arg(verb)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("maillog")).unwrap_or_default()
    }

    /// The files of its mailbox, as delivered (Postfix writes LF and its own Delivered-To, Return-Path, Received).
    #[must_use]
    pub fn mailbox(&self) -> Vec<PathBuf> {
        maildir::files(&self.dir.path().join("mail/all"))
    }

    /// One delivered message as it was handed to Postfix: its own header fields taken off, CRLF again.
    ///
    /// # Panics
    /// When the file does not start with Postfix's fields.
    #[must_use]
    pub fn as_received(path: &Path) -> Vec<u8> {
        maildir::without(path, &["Return-Path:", "X-Original-To:", "Delivered-To:", "Received:"])
    }
}

/// Before its process that logs reads, Postfix's others wait for it, and it for itself, once the socket between them is
/// full; the kernel's ten lines are soon there. Where systemd runs, it made room for 512 of them at boot.
fn room_for_logging() {
    const ROOM: u32 = 512;
    // Of this namespace alone; without the right to change it, Postfix cannot be run either.
    let file = "/proc/sys/net/unix/max_dgram_qlen";
    let room = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    if room.is_some_and(|room: u32| room < ROOM) {
        let _ = std::fs::write(file, ROOM.to_string());
    }
}

impl Postfix {
    /// Its master, while that runs in our own queue directory.
    fn master(&self) -> Option<Pid> {
        let queue = self.dir.path().join("queue");
        let pid: i32 = std::fs::read_to_string(queue.join("pid/master.pid")).ok()?.trim().parse().ok()?;
        let there = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (there == queue).then(|| Pid::from_raw(pid))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Not by `postfix abort`, which logs: it would wait for ever where the one that logs is stuck.
        let Some(master) = self.master() else { return };
        let _ = killpg(master, Signal::SIGTERM);
        if !eventually(Duration::from_secs(3), || self.master().is_none()) {
            let _ = killpg(master, Signal::SIGKILL);
            eventually(Duration::from_secs(3), || self.master().is_none());
        }
    }
}
