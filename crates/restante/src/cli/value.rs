//! Values as people type them.

use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, civil};

/// A point in time: fixed, or a span back from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// `3d`: this long ago.
    Ago(Duration),
    /// A date, or a date and time; local unless it says otherwise.
    At(Timestamp),
}

impl Moment {
    /// The point in time it means at `now`; saturates.
    pub(crate) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse::<Span>() {
            let span = span.to_duration(SpanRelativeTo::days_are_24_hours());
            return span.ok().and_then(|span| Duration::try_from(span).ok()).map(Self::Ago).ok_or_else(
                || "a span counts weeks, days, hours, minutes or seconds, like 2w, 3d or 12h".to_owned(),
            );
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time));
        }
        text.parse::<civil::DateTime>()
            .ok()
            .and_then(|time| TimeZone::system().to_timestamp(time).ok())
            .map(Self::At)
            .ok_or_else(|| {
                "not a span like 3d or 12h, nor a time like 2026-01-31 or 2026-01-31T12:00:00Z".to_owned()
            })
    }
}

/// A point in time to come: fixed, or a span from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Until(Moment);

impl Until {
    /// The point in time it means at `now`; none where that has passed.
    pub(crate) fn at(self, now: Timestamp) -> Option<Timestamp> {
        let time = match self.0 {
            Moment::At(time) => time,
            Moment::Ago(span) => now.checked_add(span).unwrap_or(Timestamp::MAX),
        };
        Some(time).filter(|time| *time > now)
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// A number of octets; `kB`, `MB`, `GB` count in thousands, `KiB`, `MiB`, `GiB` in 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| "not a size like 4096, 500kB, 10MB or 1GiB".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spans_or_times() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Moment>().unwrap().at(now).to_string();
        assert_eq!(at("90m"), "2026-01-31T10:30:00Z");
        assert_eq!(at("12h"), "2026-01-31T00:00:00Z");
        assert_eq!(at("3d"), "2026-01-28T12:00:00Z");
        assert_eq!(at("2w"), "2026-01-17T12:00:00Z");
        assert_eq!(at("2026-01-01T00:00:00+01:00"), "2025-12-31T23:00:00Z");
        assert!("2026-01-01".parse::<Moment>().is_ok());
        for text in ["", "d", "3", "-3d", "1 month", "yesterday", "2026-13-01", "99999999999d"] {
            assert!(text.parse::<Moment>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ends_are_to_come() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Until>().unwrap().at(now).map(|time| time.to_string());
        assert_eq!(at("2h").as_deref(), Some("2026-01-31T14:00:00Z"));
        assert_eq!(at("2026-02-01T08:00:00Z").as_deref(), Some("2026-02-01T08:00:00Z"));
        assert_eq!((at("2026-01-31T12:00:00Z"), at("0s")), (None, None));
        assert!("tomorrow".parse::<Until>().is_err());
    }

    #[test]
    fn sizes_count_as_they_are_written() {
        let octets = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(octets("4096"), Ok(4096));
        assert_eq!(octets("10MB"), Ok(10_000_000));
        assert_eq!(octets("50 MB"), Ok(50_000_000));
        assert_eq!(octets("1GiB"), Ok(1 << 30));
        assert!(octets("much").is_err() && octets("-1").is_err());
    }
}
