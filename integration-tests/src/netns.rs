//! A network of our own: hosts that are network namespaces, on one bridge, each with an address of IPv4 and of IPv6.
//!
//! Port 25, MX records and other people's addresses are real there, and nobody outside sees any of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sched::{CloneFlags, setns};

/// What all our namespaces are called first.
const PREFIX: &str = "restante-it-";

/// The hosts; gone when dropped. What runs in them must be dropped before.
#[derive(Debug)]
pub struct Network {
    hub: String,
    places: Vec<Place>,
}

/// One host.
#[derive(Debug, Clone)]
pub struct Place {
    name: String,
    number: u8,
}

impl Network {
    /// So many hosts, the first with 192.0.2.1 and 2001:db8::1, the next with .2 and ::2, and so on.
    ///
    /// # Panics
    /// When it cannot be made; ask for [`crate::Peer::Namespaces`] first.
    #[must_use]
    pub fn start(count: u8) -> Self {
        sweep();
        let hub = unique();
        let places = (1..=count).map(|number| Place { name: format!("{hub}-{number}"), number }).collect();
        let network = Self { hub, places };
        network.lay().expect("namespaces can be made");
        network
    }

    /// A host, counted from 1, as in its addresses.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn place(&self, number: u8) -> &Place {
        &self.places[usize::from(number) - 1]
    }

    fn lay(&self) -> Result<(), String> {
        let hub = &self.hub;
        ip(&["netns", "add", hub])?;
        ip(&["-n", hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", hub, "link", "set", "bridge", "up"])?;
        for place in &self.places {
            let (name, port) = (&place.name, format!("port{}", place.number));
            ip(&["netns", "add", name])?;
            ip(&["-n", hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", name])?;
            ip(&["-n", hub, "link", "set", &port, "master", "bridge", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "addr", "add", &format!("{}/24", place.v4()), "dev", "eth0"])?;
            // Where the kernel has no IPv6, the tests do without.
            let _ = ip(&["-n", name, "addr", "add", &format!("{}/64", place.v6()), "dev", "eth0", "nodad"]);
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.places.iter().map(|place| &place.name).chain([&self.hub]) {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

impl Place {
    /// Its address of IPv4.
    #[must_use]
    pub fn v4(&self) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, self.number).into()
    }

    /// Its address of IPv6.
    #[must_use]
    pub fn v6(&self) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(self.number)).into()
    }

    /// A port there.
    #[must_use]
    pub fn port(&self, port: u16) -> SocketAddr {
        (self.v4(), port).into()
    }

    /// Does something there: sockets that it opens, threads and programs that it starts belong to this host, for good.
    ///
    /// # Panics
    /// When that is not allowed, and when `act` panics.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let there = std::fs::File::open(format!("/run/netns/{}", self.name)).expect("the namespace is there");
        let done = std::thread::scope(|scope| {
            // A thread of its own: the namespace is the thread's, and the caller's stays as it is.
            let thread = scope.spawn(|| {
                setns(&there, CloneFlags::CLONE_NEWNET).expect("a namespace of ours can be entered");
                act()
            });
            thread.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Whether namespaces, a bridge and pairs of interfaces can be made here.
pub(crate) fn possible() -> bool {
    let hub = unique();
    let network = Network { places: vec![Place { name: format!("{hub}-1"), number: 1 }], hub };
    network.lay().is_ok()
}

/// A name that nobody else has: our process, and a count.
fn unique() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

/// Takes away what tests left that were killed.
fn sweep() {
    let Ok(listed) = ip(&["netns", "list"]) else { return };
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in text.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(process) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if !std::path::Path::new("/proc").join(process).exists() {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(args: &[&str]) -> Result<Output, String> {
    let path = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];
    let path = path.into_iter().find(|path| std::path::Path::new(path).exists()).ok_or("no ip")?;
    let output =
        Command::new(path).args(args).stdin(Stdio::null()).output().map_err(|why| why.to_string())?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
}
