//! Where a server is, and where mail goes here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use restante_net::ServerName;
use restante_types::Domain;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::limits::{ADDRESSES, LOOK_UP};

/// A host and a port: `mx2.example.net:366`, `192.0.2.1:366`, `[2001:db8::1]:366`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name in A-labels, or an address without brackets.
    host: String,
    /// The port.
    port: u16,
}

/// A text that is no host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write host:port, like mx2.example.net:366, 192.0.2.1:366 or [2001:db8::1]:366")]
pub struct NoAddress;

impl FromStr for HostPort {
    type Err = NoAddress;
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let (host, port) = text.rsplit_once(':').ok_or(NoAddress)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(NoAddress)?;
        let host = Domain::parse(host).map_err(|_| NoAddress)?;
        Ok(Self { host: host.as_str().to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    /// What the server's certificate must name.
    ///
    /// # Errors
    /// Where no certificate could name it.
    pub fn server_name(&self) -> Result<ServerName<'static>, NoAddress> {
        ServerName::try_from(self.host.clone()).map_err(|_| NoAddress)
    }

    /// Whether it is this machine, by its address.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Its addresses, by the system's resolver; at most [`ADDRESSES`].
    ///
    /// # Errors
    /// What the resolver says; no address at all is one, too.
    pub(crate) async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let slow = || std::io::Error::new(std::io::ErrorKind::TimedOut, "the resolver does not answer");
        let found =
            timeout(LOOK_UP, lookup_host((self.host.as_str(), self.port))).await.map_err(|_| slow())??;
        let found: Vec<SocketAddr> = found.take(ADDRESSES).collect();
        if found.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

/// Where an LMTP server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lmtp {
    /// `lmtp:host:port`
    Tcp(HostPort),
    /// `lmtp:/path/to/socket`
    Unix(PathBuf),
}

/// Where collected mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// `host:port`: a mail server, by SMTP.
    Smtp(HostPort),
    /// `lmtp:…`: a mail store, by LMTP (RFC 2033).
    Lmtp(Lmtp),
    /// `maildir:/path`: one Maildir for everything.
    Maildir(PathBuf),
}

/// A text that is no local side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write host:port, lmtp:host:port, lmtp:/path/to/socket or maildir:/path")]
pub struct LocalError;

impl FromStr for Local {
    type Err = LocalError;
    fn from_str(text: &str) -> Result<Self, LocalError> {
        if let Some(path) = text.strip_prefix("maildir:") {
            return if path.is_empty() { Err(LocalError) } else { Ok(Self::Maildir(path.into())) };
        }
        let address = |text: &str| text.parse::<HostPort>().map_err(|_| LocalError);
        match text.strip_prefix("lmtp:") {
            Some(path) if path.contains('/') => Ok(Self::Lmtp(Lmtp::Unix(path.into()))),
            Some(rest) => address(rest).map(Lmtp::Tcp).map(Self::Lmtp),
            None => address(text).map(Self::Smtp),
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(address) => address.fmt(f),
            Self::Lmtp(Lmtp::Tcp(address)) => write!(f, "lmtp:{address}"),
            Self::Lmtp(Lmtp::Unix(path)) => write!(f, "lmtp:{}", path.display()),
            Self::Maildir(path) => write!(f, "maildir:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, shown) in [
            ("mx2.example.net:366", "mx2.example.net:366"),
            ("MX2.Example.net.:366", "mx2.example.net:366"),
            ("localhost:25", "localhost:25"),
            ("192.0.2.1:366", "192.0.2.1:366"),
            ("[2001:db8::1]:366", "[2001:db8::1]:366"),
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "mx2.example.net",
            "mx2.example.net:",
            "mx2.example.net:0",
            ":366",
            "2001:db8::1:366",
            "a b:1",
            "a:99999",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_local_side_has_four_forms() {
        for text in ["127.0.0.1:25", "lmtp:127.0.0.1:24", "lmtp:/run/dovecot/lmtp", "maildir:/var/mail/x"] {
            assert_eq!(text.parse::<Local>().unwrap().to_string(), text);
        }
        for text in ["", "maildir:", "lmtp:", "lmtp:host", "/var/mail", "smtp:127.0.0.1:25"] {
            assert!(text.parse::<Local>().is_err(), "{text}");
        }
    }
}
