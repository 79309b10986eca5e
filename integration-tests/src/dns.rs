//! A real DNS on loopback: nsd with zones of our own under a root of our own, signed by ldns, and unbound, which
//! validates, in front of it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::daemon::free_port;
use crate::eventually;
use crate::peers::{Peer, command, run_peer};

/// What the DNS harness needs.
pub const DNS_PEERS: &[Peer] = &[Peer::Nsd, Peer::Unbound, Peer::LdnsKeygen, Peer::LdnsSignzone];

/// A DNS that says at once that it cannot say anything (SERVFAIL), for as long as the process lives: whoever asks has not to
/// wait for a port where nobody is.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn no_dns() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, free_port())).expect("the port is free");
    let address = socket.local_addr().expect("a socket has an address");
    std::thread::spawn(move || {
        let mut query = [0; 4096];
        while let Ok((count, from)) = socket.recv_from(&mut query) {
            if count > 3 {
                // A response, and its code.
                query[2] |= 0x80;
                query[3] = query[3] & 0xf0 | 2;
                let _ = socket.send_to(&query[..count], from);
            }
        }
    });
    address
}

/// Whether and how a zone is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Not at all; its parent proves that.
    Unsigned,
    /// With NSEC.
    Nsec,
    /// With NSEC3.
    Nsec3,
    /// With NSEC3 and opt-out.
    OptOut,
    /// With NSEC3 of so many iterations.
    Iterated(u16),
    /// With NSEC, but its parent knows nothing of it.
    Island,
    /// With NSEC, by signatures that are over.
    Expired,
}

/// One zone.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    signing: Signing,
    records: String,
    spoiled: Option<(String, String)>,
}

impl Zone {
    /// `name` without a dot at its end; `records` as in a zone file, relative to it, without SOA and NS.
    #[must_use]
    pub fn new(name: &str, signing: Signing, records: &str) -> Self {
        Self { name: name.to_owned(), signing, records: records.to_owned(), spoiled: None }
    }

    /// After it was signed, `from` is replaced by `to` in the zone file.
    #[must_use]
    pub fn spoiled(mut self, from: &str, to: &str) -> Self {
        self.spoiled = Some((from.to_owned(), to.to_owned()));
        self
    }

    /// Its name, without a dot at its end.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn origin(&self) -> String {
        format!("{}.", self.name)
    }

    fn is_below(&self, parent: &Self) -> bool {
        parent.name.is_empty() && !self.name.is_empty() || self.name.ends_with(&format!(".{}", parent.name))
    }

    fn file(&self, dir: &Path) -> PathBuf {
        dir.join(if self.name.is_empty() { "root.zone".to_owned() } else { format!("{}.zone", self.name) })
    }
}

/// nsd and unbound; stopped when dropped.
#[derive(Debug)]
pub struct Dns {
    dir: TempDir,
    nsd: Child,
    unbound: Child,
    authority: SocketAddr,
    resolver: SocketAddr,
}

impl Dns {
    /// Signs the zones, delegates each from the nearest one above it, and serves them under a signed root.
    ///
    /// # Panics
    /// When it does not come up; ask for [`DNS_PEERS`] first.
    #[must_use]
    pub fn start(zones: &[Zone]) -> Self {
        let on = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self::start_at(on(free_port()), on(free_port()), zones)
    }

    /// As [`Dns::start`], with the server of the zones and the resolver at these addresses (of IPv4).
    ///
    /// # Panics
    /// As [`Dns::start`].
    #[must_use]
    pub fn start_at(authority: SocketAddr, resolver: SocketAddr, zones: &[Zone]) -> Self {
        let dir = tempfile::Builder::new().prefix("restante-dns-").tempdir().expect("a temporary directory");
        let mut all = vec![Zone::new("", Signing::Nsec, "")];
        all.extend_from_slice(zones);
        let keys: Vec<Option<Keys>> = all.iter().map(|zone| Keys::of(zone, dir.path())).collect();
        for (index, zone) in all.iter().enumerate() {
            write_zone(dir.path(), &all, &keys, index);
            if let Some(keys) = &keys[index] {
                sign(dir.path(), zone, keys);
            }
        }
        for ending in ["key", "ds"] {
            let anchor = keys[0].as_ref().expect("the root is signed").records(dir.path(), ending);
            let file = dir.path().join(format!("root.{ending}"));
            std::fs::write(file, anchor).expect("the trust anchor can be written");
        }
        let nsd = start_nsd(dir.path(), &all, authority);
        let unbound = start_unbound(dir.path(), &all, authority, resolver);
        let dns = Self { dir, nsd, unbound, authority, resolver };
        for (who, address) in [("nsd", authority), ("unbound", resolver)] {
            let up = eventually(Duration::from_secs(30), || answers(address));
            assert!(up, "{who} does not answer: {}", dns.log());
        }
        dns
    }

    /// The validating resolver.
    #[must_use]
    pub const fn resolver(&self) -> SocketAddr {
        self.resolver
    }

    /// The server of the zones.
    #[must_use]
    pub const fn authority(&self) -> SocketAddr {
        self.authority
    }

    /// The file with the keys of our root.
    #[must_use]
    pub fn anchor(&self) -> PathBuf {
        self.dir.path().join("root.key")
    }

    /// The file with the digests of those keys.
    #[must_use]
    pub fn anchor_digest(&self) -> PathBuf {
        self.dir.path().join("root.ds")
    }

    /// What both logged.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        format!("{}\n{}", read("nsd.log"), read("unbound.log"))
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        for child in [&mut self.unbound, &mut self.nsd] {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id is an i32"));
            // nsd's children go with it only when it is asked.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            if !eventually(Duration::from_secs(10), || child.try_wait().is_ok_and(|ended| ended.is_some())) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The keys of a zone: the names of their files without an ending.
struct Keys {
    key: String,
    zone: String,
}

impl Keys {
    fn of(zone: &Zone, dir: &Path) -> Option<Self> {
        if zone.signing == Signing::Unsigned {
            return None;
        }
        let make = |more: &[&str]| {
            let mut keygen = command(Peer::LdnsKeygen);
            keygen.args(["-a", "ECDSAP256SHA256", "-r", "/dev/urandom"]).args(more).arg(zone.origin());
            said(keygen.current_dir(dir)).trim().to_owned()
        };
        Some(Self { key: make(&["-k"]), zone: make(&[]) })
    }

    /// The DNSKEY (`key`) or DS (`ds`) record of the key that signs the others.
    fn records(&self, dir: &Path, ending: &str) -> String {
        std::fs::read_to_string(dir.join(format!("{}.{ending}", self.key))).expect("ldns-keygen wrote it")
    }
}

/// Runs a tool of ldns to its end and returns what it said.
fn said(command: &mut Command) -> String {
    let output = run_peer(command, Duration::from_secs(60));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("names of files are text")
}

fn write_zone(dir: &Path, all: &[Zone], keys: &[Option<Keys>], index: usize) {
    let zone = &all[index];
    let origin = zone.origin();
    let server = if zone.name.is_empty() { "ns.".to_owned() } else { format!("ns.{origin}") };
    let mut text = format!(
        "$ORIGIN {origin}\n$TTL 300\n\
         @ SOA {server} hostmaster.{server} 1 3600 600 86400 60\n@ NS {server}\n{server} A 127.0.0.1\n{}\n",
        zone.records
    );
    for (child, keys) in all.iter().zip(keys).filter(|(child, _)| child.is_below(zone)) {
        // Only what no other zone between them delegates.
        if all.iter().any(|between| child.is_below(between) && between.is_below(zone)) {
            continue;
        }
        let origin = child.origin();
        let _ = writeln!(text, "{origin} NS ns.{origin}\nns.{origin} A 127.0.0.1");
        if let Some(keys) = keys.as_ref().filter(|_| child.signing != Signing::Island) {
            text.push_str(&keys.records(dir, "ds"));
        }
    }
    std::fs::write(zone.file(dir), text).expect("a zone file can be written");
}

fn sign(dir: &Path, zone: &Zone, keys: &Keys) {
    let (file, origin) = (zone.file(dir), zone.origin());
    let mut sign = command(Peer::LdnsSignzone);
    sign.current_dir(dir).arg("-f").arg(&file).args(["-o", &origin]);
    let _ = match zone.signing {
        Signing::Nsec3 => sign.args(["-n", "-t", "0"]),
        Signing::OptOut => sign.args(["-n", "-p", "-t", "0"]),
        Signing::Iterated(count) => sign.args(["-n", "-s", "abcd", "-t", &count.to_string()]),
        Signing::Expired => sign.args(["-i", "20200101000000", "-e", "20200201000000"]),
        Signing::Unsigned | Signing::Nsec | Signing::Island => &mut sign,
    };
    said(sign.arg(&file).args([&keys.key, &keys.zone]));
    if let Some((from, to)) = &zone.spoiled {
        let signed = std::fs::read_to_string(&file).expect("ldns-signzone wrote it");
        assert!(signed.contains(from.as_str()), "{from} does not stand in {signed}");
        std::fs::write(&file, signed.replace(from.as_str(), to)).expect("a zone file can be written");
    }
}

fn start_nsd(dir: &Path, all: &[Zone], at: SocketAddr) -> Child {
    let root = dir.display();
    let mut text = format!(
        "server:\n ip-address: {}@{}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{root}\"\n\
         database: \"\"\n pidfile: \"{root}/nsd.pid\"\n logfile: \"{root}/nsd.log\"\n\
         xfrdfile: \"{root}/xfrd.state\"\n zonelistfile: \"{root}/zone.list\"\n server-count: 1\n\
         remote-control:\n control-enable: no\n",
        at.ip(),
        at.port()
    );
    for zone in all {
        let _ = writeln!(
            text,
            "zone:\n name: \"{}\"\n zonefile: \"{}\"",
            zone.origin(),
            zone.file(dir).display()
        );
    }
    let file = dir.join("nsd.conf");
    std::fs::write(&file, text).expect("nsd.conf can be written");
    start(command(Peer::Nsd).arg("-d").arg("-c").arg(&file))
}

fn start_unbound(dir: &Path, all: &[Zone], authority: SocketAddr, at: SocketAddr) -> Child {
    let root = dir.display();
    let mut text = format!(
        "server:\n interface: {}\n port: {}\n username: \"\"\n chroot: \"\"\n directory: \"{root}\"\n\
         pidfile: \"{root}/unbound.pid\"\n use-syslog: no\n logfile: \"{root}/unbound.log\"\n do-daemonize: no\n\
         access-control: 0.0.0.0/0 allow\n do-not-query-localhost: no\n num-threads: 1\n\
         module-config: \"validator iterator\"\n trust-anchor-file: \"{root}/root.key\"\n val-log-level: 2\n\
         remote-control:\n control-enable: no\n",
        at.ip(),
        at.port()
    );
    // A delegation would lead to port 53.
    let (server, port) = (authority.ip(), authority.port());
    for zone in all {
        let _ = writeln!(text, "stub-zone:\n name: \"{}\"\n stub-addr: {server}@{port}", zone.origin());
    }
    let file = dir.join("unbound.conf");
    std::fs::write(&file, text).expect("unbound.conf can be written");
    start(command(Peer::Unbound).arg("-d").arg("-c").arg(&file))
}

fn start(command: &mut Command) -> Child {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().expect("it starts")
}

/// Whether a server answers a question for the root's SOA record.
fn answers(server: SocketAddr) -> bool {
    let question = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
    let Ok(socket) = std::net::UdpSocket::bind("127.0.0.1:0") else { return false };
    let mut answer = [0; 1500];
    socket.set_read_timeout(Some(Duration::from_millis(500))).is_ok()
        && socket.send_to(&question, server).is_ok()
        && socket.recv(&mut answer).is_ok_and(|count| count > 12 && answer[3] & 15 == 0 && answer[7] > 0)
}
