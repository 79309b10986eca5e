//! Four hosts with addresses of their own: restante on port 25, a primary, a DNS, and somebody outside.

#![allow(dead_code, reason = "each test uses some of it")]

use std::time::Duration;

use restante_integration_tests::{
    Daemon, DaemonOptions, Dns, Network, Place, Postfix, Zone, connect_to, eventually,
};
use serde_json::Value;

pub(crate) const LIMIT: Duration = Duration::from_secs(25);
/// Who is where: 192.0.2.1 and 2001:db8::1, and so on.
pub(crate) const OURS: u8 = 1;
pub(crate) const PRIMARY: u8 = 2;
pub(crate) const NAMES: u8 = 3;
pub(crate) const OUTSIDE: u8 = 4;

/// Dropped in this order: what runs in the network goes before it.
pub(crate) struct World {
    pub(crate) daemon: Daemon,
    pub(crate) dns: Dns,
    pub(crate) network: Network,
}

impl World {
    /// `domains`: whole tables.
    pub(crate) fn start(domains: &str, zones: &[Zone]) -> Self {
        Self::start_in(domains, zones, &[])
    }

    /// With these in the daemon's environment.
    pub(crate) fn start_in(domains: &str, zones: &[Zone], environment: &[(&str, &str)]) -> Self {
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
    pub(crate) fn options(ours: &Place, dns: &Dns, domains: &str) -> DaemonOptions {
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

    pub(crate) fn primary(&self) -> &Place {
        self.network.place(PRIMARY)
    }

    /// The primary: it takes everything for these domains.
    pub(crate) fn postfix(&self, domains: &[&str], lines: &[&str]) -> Postfix {
        let domains = format!("virtual_mailbox_domains = {}", domains.join(", "));
        let lines = [&[domains.as_str()], lines].concat();
        self.primary().inside(|| Postfix::start_everywhere(25, &lines))
    }

    /// Ends the daemon and starts it again.
    pub(crate) fn restart(&mut self) {
        assert_eq!(self.daemon.stop(), Some(0));
        self.network.place(OURS).inside(|| self.daemon.run());
    }

    /// From outside, over IPv4.
    pub(crate) fn send(&self, from: &str, to: &[&str], content: &[u8]) {
        let at = self.network.place(OURS).port(25);
        self.network.place(OUTSIDE).inside(|| {
            let mut client = connect_to(at);
            client.expect("EHLO client.vouched.example", "250");
            let reply = client.send(from, to, content);
            assert!(reply.starts_with("250"), "{reply}");
        });
    }

    /// The primary itself asks, from its own address.
    pub(crate) fn etrn(&self, domain: &str) {
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
    pub(crate) fn route(&self, domain: &str) -> Value {
        let output = self.daemon.admin(&["route", domain, "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn log_says(&self, domain: &str, what: &str) -> bool {
        eventually(LIMIT, || {
            self.daemon.log().lines().any(|line| line.contains(domain) && line.contains(what))
        })
    }
}

/// A domain whose mail goes by MX, and that its primary asks for.
pub(crate) fn held(name: &str, rules: &str) -> String {
    format!("[[domain]]\nname = \"{name}\"\nprimary = \"mx\"\netrn-from = [\"primary\"]\n{rules}\n")
}
