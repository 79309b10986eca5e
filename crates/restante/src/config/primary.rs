//! The types of what is said about primaries, and about those who are told.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;

use restante_delivery::{Circuit, Share};
use toml::de::DeValue;

use super::fields::{Setting, Wrong};
use super::values::{Unreadable, quoted, text};
use crate::limits::{DNS_PORT, MAX_CIRCUIT_SAMPLE, MAX_WEBHOOK};

/// A DNS server: an address, with port 53 where none is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DnsServer(pub(crate) SocketAddr);

impl Setting for DnsServer {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let meant =
            "write an address like \"192.0.2.53\", \"2001:db8::53\", \"127.0.0.1:5353\" or \"[::1]:5353\"";
        let text = text(value, meant)?;
        let alone = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
        let server = alone.or_else(|_| text.parse::<SocketAddr>());
        let reachable = server.ok().filter(|server| server.port() != 0 && !server.ip().is_unspecified());
        reachable.map(Self).ok_or_else(|| Wrong::new(format!("\"{text}\" is no address of a server"), meant))
    }
    fn write(&self) -> Option<String> {
        let port = self.0.port();
        Some(quoted(&if port == DNS_PORT { self.0.ip().to_string() } else { self.0.to_string() }))
    }
}

/// `rate`: messages per minute, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) Option<NonZeroU32>);

impl Setting for Rate {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let meant = "write \"unlimited\", or messages per minute like \"60/m\"";
        let text = text(value, meant)?;
        if text == "unlimited" {
            return Ok(Self(None));
        }
        let number = text.strip_suffix("/m").and_then(|number| number.parse::<u32>().ok());
        let Some(number) = number else {
            return Err(Wrong::new(format!("\"{text}\" is no rate"), meant));
        };
        let stops =
            || Wrong::new(format!("with rate {text} nothing leaves"), "to stop a domain, use restante hold");
        NonZeroU32::new(number).map(|number| Self(Some(number))).ok_or_else(stops)
    }
    fn write(&self) -> Option<String> {
        Some(quoted(&self.0.map_or_else(|| "unlimited".to_owned(), |number| format!("{number}/m"))))
    }
}

/// One share of [`Circuit`]: `5/10`, or `off`.
struct Part(Option<Share>);

impl FromStr for Part {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text == "off" {
            return Ok(Self(None));
        }
        let (refused, of) = text.split_once('/').ok_or(Unreadable)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| Unreadable);
        Ok(Self(Some(Share { refused: number(refused)?, of: number(of)? })))
    }
}

impl Setting for Part {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let meant = "write recipients refused of recipients answered, like \"5/10\", or \"off\"";
        let text = text(value, meant)?;
        let part: Self =
            text.parse().map_err(|Unreadable| Wrong::new(format!("\"{text}\" is no share"), meant))?;
        let Some(share) = part.0 else { return Ok(part) };
        let says = |what: &str| Err(Wrong::new(format!("\"{text}\" {what}"), meant));
        if share.refused == 0 {
            return says("stops the domain before anything is refused");
        }
        if share.refused > share.of {
            return says("can never be reached");
        }
        if share.of > MAX_CIRCUIT_SAMPLE {
            return says(&format!("looks at more than {MAX_CIRCUIT_SAMPLE} recipients at a time"));
        }
        Ok(part)
    }
    fn write(&self) -> Option<String> {
        let share = self.0.map(|share| format!("{}/{}", share.refused, share.of));
        Some(quoted(&share.unwrap_or_else(|| "off".to_owned())))
    }
}

impl Setting for Circuit {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let parts: Vec<Part> = Setting::read(value)?;
        if parts.len() > 2 {
            let meant = "write one for the first recipients after an outage, and one for all after them";
            return Err(Wrong::new(format!("{} shares", parts.len()), meant));
        }
        let mut shares = parts.into_iter().map(|part| part.0);
        Ok(Self { first: shares.next().flatten(), steady: shares.next().flatten() })
    }
    fn write(&self) -> Option<String> {
        let parts = match (self.first, self.steady) {
            (None, None) => Vec::new(),
            (first, None) => vec![Part(first)],
            (first, steady) => vec![Part(first), Part(steady)],
        };
        parts.write()
    }
}

/// `webhook`: a URL that a stranger on the way cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook(pub(crate) String);

impl FromStr for Webhook {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_WEBHOOK || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("is no URL");
        }
        let (scheme, rest) = text.split_once("://").ok_or("is no URL")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("has a password in it; use secret-file");
        }
        let host = match authority.strip_prefix('[') {
            Some(literal) => literal.split_once(']').ok_or("is no URL")?.0,
            None => authority.split_once(':').map_or(authority, |(host, _)| host),
        };
        if host.is_empty() {
            return Err("names no host");
        }
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match scheme {
            "https" => Ok(Self(text.to_owned())),
            "http" if here => Ok(Self(text.to_owned())),
            "http" => Err("sends what happens here readable over the net"),
            _ => Err("is neither https nor http"),
        }
    }
}

impl Setting for Webhook {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let meant = "write a URL like \"https://example.org/restante\"; http only to this machine";
        let text = text(value, meant)?;
        text.parse().map_err(|what| Wrong::new(format!("\"{text}\" {what}"), meant))
    }
    fn write(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_https_or_stay_here() {
        for text in [
            "https://example.org/hook?x=1",
            "http://127.0.0.1:8080/",
            "http://localhost/x",
            "http://[::1]:1/x",
            "https://[2001:db8::1]/",
        ] {
            assert_eq!(text.parse::<Webhook>(), Ok(Webhook(text.to_owned())), "{text}");
        }
        for text in [
            "http://example.org/",
            "http://127.0.0.1.example.org/",
            "http://localhost.example.org/",
            "https://",
            "https:///path",
            "ftp://example.org/",
            "example.org/x",
            "https://user:secret@example.org/",
            "https://[::1/",
            "https://example.org/a b",
            "",
        ] {
            assert!(text.parse::<Webhook>().is_err(), "{text:?}");
        }
        assert!(format!("https://example.org/{}", "x".repeat(MAX_WEBHOOK)).parse::<Webhook>().is_err());
    }
}
