//! Real programs from Debian's packages: found, or said loudly to be missing.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A program from a package.
#[derive(Debug, Clone, Copy)]
pub enum Peer {
    /// swaks
    Swaks,
    /// Postfix's load generator
    SmtpSource,
    /// Postfix's sink
    SmtpSink,
    /// Postfix itself; needs root, as its master does
    Postfix,
    /// fetchmail
    Fetchmail,
    /// sendmail's `etrn` is a script of that package; this one is openssl for TLS by hand
    Openssl,
    /// Dovecot with its LMTP server; needs root, as its master does
    Dovecot,
    /// mke2fs, for small file systems that fill up
    Mke2fs,
    /// Python, whose mail parser reads what we write
    Python,
    /// Python with the client library of Prometheus, whose parser reads what we write
    PrometheusClient,
    /// An authoritative DNS server
    Nsd,
    /// A validating DNS resolver
    Unbound,
    /// Makes keys of zones; of ldnsutils
    LdnsKeygen,
    /// Signs zones; of ldnsutils
    LdnsSignzone,
    /// Exim, unpacked beside the build by `integration-tests/run`: installed, it would put Postfix out
    Exim,
    /// Rspamd's tool, which reads its configuration; unpacked beside the build too: installed, it would start its daemon
    Rspamd,
    /// Network namespaces, of iproute2; they need root and a kernel that has them
    Namespaces,
}

/// Where a package is unpacked, `target/peers/exim`, and a program of it; without that, the installed one.
fn unpacked(package: &str, program: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap_or_default();
    while path.pop() {
        let beside = path.join("peers").join(package).join(program);
        if beside.exists() {
            return beside;
        }
    }
    PathBuf::from("/").join(program)
}

impl Peer {
    const fn program(self) -> &'static str {
        match self {
            Self::Swaks => "swaks",
            Self::SmtpSource => "smtp-source",
            Self::SmtpSink => "smtp-sink",
            Self::Postfix => "postfix",
            Self::Fetchmail => "fetchmail",
            Self::Openssl => "openssl",
            Self::Dovecot => "dovecot",
            Self::Mke2fs => "mke2fs",
            Self::Python | Self::PrometheusClient => "python3",
            Self::Nsd => "nsd",
            Self::Unbound => "unbound",
            Self::LdnsKeygen => "ldns-keygen",
            Self::LdnsSignzone => "ldns-signzone",
            Self::Exim => "exim4",
            Self::Rspamd => "rspamadm",
            Self::Namespaces => "ip",
        }
    }

    fn path(self) -> Option<PathBuf> {
        let unpacked = match self {
            Self::Exim => Some(unpacked("exim", "usr/sbin/exim4")),
            Self::Rspamd => Some(unpacked("rspamd", "usr/bin/rspamadm")),
            _ => None,
        };
        if unpacked.is_some() {
            return unpacked.filter(|path| path.exists());
        }
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"]
            .iter()
            .map(|dir| PathBuf::from(dir).join(self.program()))
            .find(|path| path.exists())
    }

    fn usable(self) -> bool {
        let root = nix::unistd::geteuid().is_root();
        let lmtp = !matches!(self, Self::Dovecot) || PathBuf::from("/usr/lib/dovecot/lmtp").exists();
        let library = "/usr/lib/python3/dist-packages/prometheus_client/openmetrics";
        let library = !matches!(self, Self::PrometheusClient) || PathBuf::from(library).exists();
        let ready = match self {
            Self::Postfix | Self::Dovecot => root,
            // It looks for the user it was built for before it reads that it shall be another.
            Self::Exim => {
                root && nix::unistd::User::from_name("Debian-exim").is_ok_and(|user| user.is_some())
            }
            Self::Namespaces => root && crate::netns::possible(),
            _ => true,
        };
        self.path().is_some() && lmtp && library && ready
    }
}

/// Whether all of these can be used. Where one cannot, the test is skipped loudly, or fails when
/// `RESTANTE_REQUIRE_PEERS=1`.
///
/// # Panics
/// When a peer is missing and required.
#[must_use]
pub fn have(test: &str, peers: &[Peer]) -> bool {
    let missing: Vec<_> = peers.iter().filter(|peer| !peer.usable()).map(|peer| peer.program()).collect();
    if missing.is_empty() {
        return true;
    }
    let said = format!("{test}: SKIPPED, missing (or not usable without root): {}", missing.join(", "));
    assert!(std::env::var_os("RESTANTE_REQUIRE_PEERS").is_none_or(|value| value != "1"), "{said}");
    // Past the test harness, which would swallow it for a test that passes.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{said}\n").as_bytes());
    false
}

/// The command of a peer.
///
/// # Panics
/// When it is missing; ask [`have`] first.
#[must_use]
pub fn command(peer: Peer) -> Command {
    Command::new(peer.path().expect("asked `have` before"))
}

/// Runs a command to its end, at most `limit`; kills it then.
///
/// # Panics
/// When it cannot be started or does not end.
pub fn run_peer(command: &mut Command, limit: Duration) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id is an i32"));
    let started = Instant::now();
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = done.send(child.wait_with_output());
    });
    match wait.recv_timeout(limit) {
        Ok(output) => output.expect("its output can be read"),
        Err(_) => {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            panic!("{command:?} did not end in {:?}", started.elapsed());
        }
    }
}

/// So that a peer that gives up its rights still gets in.
pub(crate) fn open_to_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a directory of our own");
}
