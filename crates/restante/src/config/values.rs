//! The types of values, as people write them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use restante_delivery::{ForwardClient, Mode, NextHop, Notices, On5xx, RetryList, TlsPolicy};
use restante_server::{ListenTls, Service};
use restante_turn::{EtrnFrom, EtrnReply, Fingerprint};
use restante_types::{Domain, Mailbox};
use toml::de::DeValue;

use super::fields::{Setting, Wrong};
use super::nearest::nearest;

/// A text as TOML.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(crate) fn text<'v>(value: &'v DeValue<'_>, meant: &str) -> Result<&'v str, Wrong> {
    value.as_str().ok_or_else(|| Wrong::new(format!("a text is wanted, not {}", kind(value)), meant))
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => format!("the number {number}"),
        other => format!("a value of type {}", other.type_str()),
    }
}

impl Setting for bool {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        value.as_bool().ok_or_else(|| {
            Wrong::new(
                format!("{} is neither true nor false", kind(value)),
                "write true or false, without quotes",
            )
        })
    }
    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for String {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text(value, "write it in quotes").map(ToOwned::to_owned)
    }
    fn write(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Setting for PathBuf {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value, "write the path in quotes")?;
        if text.is_empty() {
            return Err(Wrong::new("the path is empty", "leave the key out to have the default"));
        }
        Ok(text.into())
    }
    fn write(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl Setting for usize {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number =
            value.as_integer().and_then(|number| usize::from_str_radix(number.as_str(), number.radix()).ok());
        number.ok_or_else(|| {
            Wrong::new(
                format!("{} is no whole number from 0 up", kind(value)),
                "write digits, without quotes",
            )
        })
    }
    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        T::read(value).map(Some)
    }
    fn write(&self) -> Option<String> {
        self.as_ref().and_then(Setting::write)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let items = value.as_array().ok_or_else(|| {
            Wrong::new(format!("a list is wanted, not {}", kind(value)), "put it in brackets: [ … ]")
        })?;
        items
            .iter()
            .map(|item| T::read(item.get_ref()).map_err(|wrong| Wrong { at: Some(item.span()), ..wrong }))
            .collect()
    }
    fn write(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(Setting::write).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// Types that are read from a text by their own grammar.
macro_rules! parsed {
    ($($type:ty, $what:literal, $meant:literal;)*) => { $(
        impl Setting for $type {
            fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
                let text = text(value, $meant)?;
                text.parse().map_err(|_| Wrong::new(format!("\"{text}\" is no {}", $what), $meant))
            }
            fn write(&self) -> Option<String> {
                Some(quoted(&self.to_string()))
            }
        }
    )* };
}

pub(crate) use parsed;

parsed! {
    Domain, "domain name", "write a name like \"example.org\"";
    Mailbox, "address", "write an address like \"postmaster@example.org\"";
    IpAddr, "address", "write an address like \"192.0.2.1\" or \"2001:db8::1\"";
    SocketAddr, "address with a port", "write an address like \"192.0.2.1:25\" or \"[::]:25\"";
    NextHop, "primary", "write \"mx\", \"host\", \"host:port\", \"[192.0.2.1]:2525\" or \"[2001:db8::1]:25\"";
    EtrnFrom, "asker", "write \"primary\", \"any\", \"auth\", or a network like \"192.0.2.7\" or \"2001:db8::/32\"";
    Fingerprint, "fingerprint", "write \"sha256:\" and 64 hexadecimal digits, as openssl x509 -fingerprint -sha256 prints them";
    Span, "span of time", "write a number with a unit, like \"30s\", \"5m\", \"1h30m\", \"14d\"";
    Size, "size", "write a number with a unit, like \"500 kB\", \"50 MB\", \"2 GiB\"";
}

/// Types that are one of a few words.
macro_rules! words {
    ($($type:ty, $what:literal { $($word:literal => $value:path,)* })*) => { $(
        impl Setting for $type {
            fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
                let all = [$(concat!("\"", $word, "\"")),*].join(", ");
                match text(value, &format!("write one of {all}"))? {
                    $($word => Ok($value),)*
                    other => Err(Wrong::new(format!("\"{other}\" is no {}", $what), match nearest(other, [$($word),*]) {
                        Some(word) => format!("did you mean \"{word}\"? one of {all}"),
                        None => format!("write one of {all}"),
                    })),
                }
            }
            fn write(&self) -> Option<String> {
                match self { $($value => Some(quoted($word)),)* }
            }
        }
    )* };
}

pub(crate) use words;

words! {
    Service, "service" { "smtp" => Service::Smtp, "odmr" => Service::Odmr, }
    ListenTls, "way of TLS" {
        "none" => ListenTls::None,
        "starttls" => ListenTls::StartTls,
        "required" => ListenTls::Required,
        "implicit" => ListenTls::Implicit,
    }
    Mode, "mode" { "on-demand" => Mode::OnDemand, "push" => Mode::Push, }
    TlsPolicy, "TLS policy" {
        "opportunistic" => TlsPolicy::Opportunistic,
        "require" => TlsPolicy::Require,
        "verify" => TlsPolicy::Verify,
        "dane" => TlsPolicy::Dane,
        "mta-sts" => TlsPolicy::MtaSts,
    }
    EtrnReply, "way of answering" {
        "auto" => EtrnReply::Auto,
        "truthful" => EtrnReply::Truthful,
        "uncounted" => EtrnReply::Uncounted,
        "plain" => EtrnReply::Plain,
    }
    Notices, "rule for notices" { "all" => Notices::All, "verified" => Notices::Verified, "none" => Notices::None, }
    On5xx, "way with refusals" { "notice" => On5xx::Notice, "hold" => On5xx::Hold, }
    ForwardClient, "way to tell of the client" {
        "off" => ForwardClient::Off,
        "xclient" => ForwardClient::Xclient,
        "xforward" => ForwardClient::Xforward,
    }
    DeliverTo, "way to the next hop" { "primary" => DeliverTo::Primary, "requester" => DeliverTo::Requester, }
}

/// `deliver-to`: where a drain connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliverTo {
    /// The primary on file.
    Primary,
    /// The address that asked.
    Requester,
}

/// A span of time, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// Units with their milliseconds, the longest first.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Span {
    /// So many seconds.
    pub(crate) const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }
}

/// A text that is no span, size or mark.
#[derive(Debug)]
pub(crate) struct Unreadable;

impl FromStr for Span {
    type Err = Unreadable;
    /// `1h30m`: numbers with units, each unit once, the longer ones first; a lone `0` is zero.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (mut rest, mut millis, mut last) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(Unreadable)?;
            let (number, behind) = rest.split_at(digits);
            let unit_length = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
            let (unit, behind) = behind.split_at(unit_length);
            let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(Unreadable)?;
            if size >= last {
                return Err(Unreadable);
            }
            let part =
                number.parse::<u64>().ok().and_then(|number| number.checked_mul(size)).ok_or(Unreadable)?;
            millis = millis.checked_add(part).ok_or(Unreadable)?;
            (rest, last) = (behind, size);
        }
        let longest = 1000 * UNITS[1].1 * 365;
        if text.is_empty() || millis > longest {
            Err(Unreadable)
        } else {
            Ok(Self(Duration::from_millis(millis)))
        }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        // Weeks are read but not written: 14d says more than 2w.
        for (unit, size) in UNITS.into_iter().skip(1).filter(|(_, size)| *size > 0) {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

/// A span, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanOrOff(pub(crate) Option<Span>);

impl Setting for SpanOrOff {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_str() == Some("off") {
            return Ok(Self(None));
        }
        Span::read(value)
            .map(|span| Self(Some(span)))
            .map_err(|wrong| Wrong { meant: "write \"off\", or a span like \"4h\"".into(), ..wrong })
    }
    fn write(&self) -> Option<String> {
        self.0.map_or_else(|| Some(quoted("off")), |span| span.write())
    }
}

/// Octets; `kB`, `MB`, `GB` count in thousands, `KiB`, `MiB`, `GiB` in 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// Units of sizes, the largest first.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = Unreadable;
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(Unreadable)?;
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        let (_, size) =
            SIZES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(Unreadable)?;
        let octets = number.parse::<u64>().ok().and_then(|number| number.checked_mul(size));
        octets.map(Self).ok_or(Unreadable)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fits = SIZES.into_iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        let (unit, size) = fits.unwrap_or(("B", 1));
        write!(f, "{} {unit}", self.0 / size)
    }
}

/// A size, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota(pub(crate) Option<Size>);

impl Setting for Quota {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_str() == Some("unlimited") {
            return Ok(Self(None));
        }
        Size::read(value)
            .map(|size| Self(Some(size)))
            .map_err(|wrong| Wrong { meant: "write \"unlimited\", or a size like \"2 GB\"".into(), ..wrong })
    }
    fn write(&self) -> Option<String> {
        self.0.map_or_else(|| Some(quoted("unlimited")), |size| size.write())
    }
}

/// `disk-low-water`: a share of the file system (with 512 MiB as the least), or a fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskMark {
    /// Percent of octets and of inodes.
    Share(u8),
    /// Octets.
    Fixed(Size),
}

impl Setting for DiskMark {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let meant = "write a share from \"1%\" to \"99%\", or a size like \"2 GB\"";
        let text = text(value, meant)?;
        if let Some(share) = text.strip_suffix('%') {
            let share = share.trim_end().parse().ok().filter(|share| (1..=99).contains(share));
            return share
                .map(Self::Share)
                .ok_or_else(|| Wrong::new(format!("\"{text}\" is no share"), meant));
        }
        Size::read(value).map(Self::Fixed).map_err(|wrong| Wrong { meant: meant.into(), ..wrong })
    }
    fn write(&self) -> Option<String> {
        match self {
            Self::Share(percent) => Some(quoted(&format!("{percent}%"))),
            Self::Fixed(size) => size.write(),
        }
    }
}

impl Setting for RetryList {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let steps: Vec<Span> = Setting::read(value)?;
        Self::new(steps.into_iter().map(|span| span.0).collect())
            .map_err(|error| Wrong::new(error.to_string(), "write spans like [\"5m\", \"10m\", \"1h\"]"))
    }
    fn write(&self) -> Option<String> {
        self.steps().iter().map(|step| Span(*step)).collect::<Vec<Span>>().write()
    }
}

/// `worker-threads`: a number, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workers(pub(crate) Option<usize>);

impl Setting for Workers {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_str() == Some("auto") {
            return Ok(Self(None));
        }
        let meant = "write \"auto\", or a number from 1 to 256, without quotes";
        let count = usize::read(value).map_err(|wrong| Wrong { meant: meant.into(), ..wrong })?;
        if (1..=256).contains(&count) {
            Ok(Self(Some(count)))
        } else {
            Err(Wrong::new(format!("{count} threads"), meant))
        }
    }
    fn write(&self) -> Option<String> {
        self.0.map_or_else(|| Some(quoted("auto")), |count| count.write())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back() {
        for (text, seconds) in
            [("30s", 30), ("5m", 300), ("1h30m", 5400), ("14d", 1_209_600), ("2w", 1_209_600), ("0", 0)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span::seconds(seconds), "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
        assert_eq!(Span::seconds(1_209_600).to_string(), "14d");
        assert_eq!(Span(Duration::from_millis(1500)).to_string(), "1s500ms");
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "5m5m",
            "5s5m",
            "5x",
            "1e3s",
            "99999999999999999999s",
            "9999999999d",
            "5M",
            "1.5h",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_read_back() {
        for (text, octets) in [
            ("50 MB", 50_000_000),
            ("50MB", 50_000_000),
            ("1 GiB", 1 << 30),
            ("4096 B", 4096),
            ("0 B", 0),
            ("64 kb", 64_000),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size, Size(octets), "{text}");
            assert_eq!(size.to_string().parse::<Size>().unwrap(), size, "{text}");
        }
        for text in ["", "50", "MB", "-1 MB", "1.5 MB", "99999999999 TB", "5 %"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
