//! Four hosts with addresses of their own: restante on port 25, a primary, a DNS, and somebody outside.

use std::time::Duration;

use serde_json::Value;

use crate::{Daemon, DaemonOptions, Dns, Network, Place, Postfix, Zone, connect_to, eventually};

/// How long anything in it may take.
pub const LIMIT: Duration = Duration::from_secs(25);
/// Us. Who is where: 192.0.2.1 and 2001:db8::1, and so on.
pub const OURS: u8 = 1;
/// The primary.
pub const PRIMARY: u8 = 2;
/// The DNS.
pub const NAMES: u8 = 3;
/// Somebody outside.
pub const OUTSIDE: u8 = 4;

/// All of them. Dropped in this order: what runs in the network goes before it.
#[derive(Debug)]
pub struct World {
    /// Us.
    pub daemon: Daemon,
    /// The DNS.
    pub dns: Dns,
    /// Where they are.
    pub network: Network,
}

impl World {
    /// `domains`: whole tables.
    ///
    /// # Panics
    /// As everything here, where anything of it cannot be had.
    #[must_use]
    pub fn start(domains: &str, zones: &[Zone]) -> Self {
        Self::start_in(domains, zones, &[])
    }

    /// With these in the daemon's environment.
    ///
    /// # Panics
    /// As [`World::start`].
    #[must_use]
    pub fn start_in(domains: &str, zones: &[Zone], environment: &[(&str, &str)]) -> Self {
        let network = Network::start(4);
        let (names, ours) = (network.place(NAMES), network.place(OURS));
        let dns = names.inside(|| Dns::start_at(names.port(5353), names.port(53), zones));
        let options = Self::options(ours, &dns, domains);
        // Not pinned: the DNS says where mail goes.
        let mut daemon = Daemon::prepare(&options);
        for (name, value) in environment {
            daemon.set_environment(name, value);
        }
        ours.inside(|| daemon.run());
        Self { daemon, dns, network }
    }

    /// The daemon's configuration with this DNS.
    #[must_use]
    pub fn options(ours: &Place, dns: &Dns, domains: &str) -> DaemonOptions {
        let tables = format!(
            "[[listen]]\naddress = \"{}\"\n[[listen]]\naddress = \"{}\"\n\
             [dns]\nservers = [\"{}\"]\ntrust-anchor = \"{}\"\n{domains}",
            ours.port(25),
            std::net::SocketAddr::from((ours.v6(), 25)),
            dns.resolver(),
            dns.anchor().display(),
        );
        DaemonOptions { tables, ..DaemonOptions::default() }
    }

    /// Where the primary is.
    #[must_use]
    pub fn primary(&self) -> &Place {
        self.network.place(PRIMARY)
    }

    /// The primary: it takes everything for these domains.
    #[must_use]
    pub fn postfix(&self, domains: &[&str], lines: &[&str]) -> Postfix {
        let domains = format!("virtual_mailbox_domains = {}", domains.join(", "));
        let lines = [&[domains.as_str()], lines].concat();
        self.primary().inside(|| Postfix::start_everywhere(25, &lines))
    }

    /// Ends the daemon and starts it again.
    ///
    /// # Panics
    /// When it does not end in order.
    pub fn restart(&mut self) {
        assert_eq!(self.daemon.stop(), Some(0));
        self.network.place(OURS).inside(|| self.daemon.run());
    }

    /// From outside, over IPv4.
    ///
    /// # Panics
    /// When the message is not taken.
    pub fn send(&self, from: &str, to: &[&str], content: &[u8]) {
        let at = self.network.place(OURS).port(25);
        self.network.place(OUTSIDE).inside(|| {
            let mut client = connect_to(at);
            client.expect("EHLO client.vouched.example", "250");
            let reply = client.send(from, to, content);
            assert!(reply.starts_with("250"), "{reply}");
        });
    }

    /// The primary itself asks, from its own address.
    ///
    /// # Panics
    /// When it may not.
    pub fn etrn(&self, domain: &str) {
        let at = self.network.place(OURS).port(25);
        self.primary().inside(|| {
            let mut client = connect_to(at);
            client.expect("EHLO good.hosts.example", "250");
            // Whose addresses "primary" means is looked up behind the scenes.
            let taken = || client.say(&format!("ETRN {domain}")).starts_with("25");
            assert!(eventually(LIMIT, taken), "ETRN {domain}: {}", self.daemon.log());
        });
    }

    /// What the operator is told of a way, whether or not mail can go there.
    ///
    /// # Panics
    /// When the answer is no JSON.
    #[must_use]
    pub fn route(&self, domain: &str) -> Value {
        let output = self.daemon.admin(&["route", domain, "--json"]);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Whether a line of the log speaks of both, soon.
    pub fn log_says(&self, domain: &str, what: &str) -> bool {
        eventually(LIMIT, || {
            self.daemon.log().lines().any(|line| line.contains(domain) && line.contains(what))
        })
    }
}

/// A domain whose mail goes by MX, and that its primary asks for.
#[must_use]
pub fn held(name: &str, rules: &str) -> String {
    format!("[[domain]]\nname = \"{name}\"\nprimary = \"mx\"\netrn-from = [\"primary\"]\n{rules}\n")
}
