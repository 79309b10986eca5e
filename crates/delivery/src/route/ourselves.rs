//! Who we are: a route that leads here is a loop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use restante_types::{Domain, canonical};

use crate::settings::DeliverySettings;

/// Our name, addresses and listeners.
#[derive(Clone, Copy)]
pub struct Ourselves<'a> {
    settings: &'a DeliverySettings,
}

impl<'a> Ourselves<'a> {
    /// As the configuration says.
    #[must_use]
    pub const fn new(settings: &'a DeliverySettings) -> Self {
        Self { settings }
    }

    /// Whether a name is ours.
    #[must_use]
    pub fn is_name(&self, name: &Domain) -> bool {
        *name == self.settings.hostname
    }

    /// Whether mail for this address comes back to this machine: configured as ours, loopback, unspecified, or the
    /// address of an interface.
    #[must_use]
    pub fn is_address(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        self.settings.own_addresses.iter().any(|own| canonical(*own) == address)
            || self.settings.listeners.iter().any(|own| canonical(own.ip()) == address)
            || address.is_loopback()
            || address.is_unspecified()
            || (self.settings.is_local)(address)
    }

    /// Whether one of our own listeners answers there.
    #[must_use]
    pub fn is_listener(&self, target: SocketAddr) -> bool {
        let address = canonical(target.ip());
        self.settings.listeners.iter().any(|own| {
            let ip = canonical(own.ip());
            let covers =
                ip.is_unspecified() && (ip.is_ipv6() || address.is_ipv4()) && self.is_address(address);
            own.port() == target.port() && (ip == address || covers)
        })
    }
}

/// Whether an interface of this machine has the address: only then can a socket be bound to it. Nothing is sent.
///
/// Where the kernel lets anybody bind anything (`ip_nonlocal_bind`, as failover pairs set it), an address for
/// documentation can be bound too, and the answer is worth nothing.
#[must_use]
pub fn is_local_address(address: IpAddr) -> bool {
    let documentation = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfffe)),
    };
    can_bind(address) && !can_bind(documentation)
}

fn can_bind(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use restante_types::DomainMap;

    use super::*;

    fn settings(listeners: &[&str]) -> DeliverySettings {
        DeliverySettings {
            hostname: "mx2.example.net".parse().unwrap(),
            own_addresses: vec!["203.0.113.7".parse().unwrap()],
            listeners: listeners.iter().map(|text| text.parse().unwrap()).collect(),
            source_addresses: Vec::new(),
            is_local: |_| false,
            notices: crate::notice::NoticeSettings::default(),
            domains: DomainMap::default(),
        }
    }

    #[test]
    fn we_know_our_addresses() {
        let settings = settings(&["198.51.100.1:25"]);
        let us = Ourselves::new(&settings);
        for own in
            ["203.0.113.7", "::ffff:203.0.113.7", "198.51.100.1", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0"]
        {
            assert!(us.is_address(own.parse().unwrap()), "{own}");
        }
        assert!(!us.is_address("192.0.2.1".parse().unwrap()));
        assert!(!us.is_address("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn the_machine_is_asked_for_its_addresses() {
        assert!(is_local_address("127.0.0.1".parse().unwrap()));
        // Reserved, so no interface has it (RFC 1112 4).
        assert!(!is_local_address("240.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_wildcard_listener_answers_on_every_address_of_ours() {
        let settings = settings(&["[::]:2525"]);
        let us = Ourselves::new(&settings);
        assert!(us.is_listener("127.0.0.1:2525".parse().unwrap()));
        assert!(us.is_listener("203.0.113.7:2525".parse().unwrap()));
        assert!(!us.is_listener("127.0.0.1:2526".parse().unwrap()));
        assert!(!us.is_listener("192.0.2.1:2525".parse().unwrap()));
    }
}
