//! Addresses and networks of clients.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network in CIDR notation; a lone address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not `address` or `address/length`.
    #[error("a network is an address, or an address and a prefix length, like 192.0.2.0/24 or 2001:db8::/32")]
    Malformed,
    /// Bits are set behind the prefix, so one of the two is a slip.
    #[error("the address has bits set behind its prefix length")]
    HostBits,
}

/// `::ffff:a.b.c.d` is `a.b.c.d`: applied before policy, limits and logs.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl Network {
    /// The network of the first `prefix` bits of `address`; a longer prefix than the address has means all of it.
    #[must_use]
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        let address = canonical(address);
        let (bits, width) = bits_of(address);
        let prefix = prefix.min(width);
        let base = match address {
            IpAddr::V4(_) => IpAddr::V4(((bits & mask(prefix, width)) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6((bits & mask(prefix, width)).into()),
        };
        Self { base, prefix }
    }

    /// What limits count: an IPv4 address, or an IPv6 /64.
    #[must_use]
    pub fn of_client(address: IpAddr) -> Self {
        match canonical(address) {
            address @ IpAddr::V4(_) => Self::of(address, 32),
            address @ IpAddr::V6(_) => Self::of(address, 64),
        }
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        address.is_ipv4() == self.base.is_ipv4() && Self::of(address, self.prefix) == *self
    }
}

fn bits_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

fn mask(prefix: u8, width: u8) -> u128 {
    let ones = |count: u8| if count >= 128 { u128::MAX } else { (1_u128 << count) - 1 };
    ones(width) & !ones(width - prefix)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Network {
    type Err = NetworkError;
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        let address = canonical(address);
        let width = bits_of(address).1;
        let prefix = match length {
            None => width,
            Some(length) => length.parse().map_err(|_| NetworkError::Malformed)?,
        };
        if prefix > width {
            return Err(NetworkError::Malformed);
        }
        let network = Self::of(address, prefix);
        if network.base == address { Ok(network) } else { Err(NetworkError::HostBits) }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;
    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_should() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.7"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
    }

    #[test]
    fn slips_are_refused() {
        for text in ["", "a", "192.0.2.0/33", "192.0.2.1/24", "192.0.2.0/-1", "::/129", "192.0.2.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn clients_count_by_address_or_64() {
        let of = |text: &str| Network::of_client(text.parse().unwrap()).to_string();
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7/32");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }
}
