//! Numbers, times and text as people read them.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use restante_types::Printable;

/// What nothing looks like in a table.
pub(crate) const NOTHING: &str = "-";

/// A size in powers of 1000, as the configuration writes them.
pub(crate) fn size(octets: u64) -> String {
    ByteSize::b(octets).display().si().to_string()
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 message`, `2 messages`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A span in its largest unit.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Text from the network, safe to show.
pub(crate) fn safe(text: &str) -> String {
    Printable::from(text).to_string()
}

/// A reason behind what it is for, if there is one.
pub(crate) fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {}", safe(reason)) }
}

/// Where and when the reader is.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// Now.
    pub(crate) now: Timestamp,
    /// The reader's time zone.
    pub(crate) zone: TimeZone,
}

impl Clock {
    /// `3h ago`, `in 5m`, `now`.
    pub(crate) fn relative(&self, time: Timestamp) -> String {
        let distance = time.duration_since(self.now);
        if distance.as_secs() == 0 {
            return "now".to_owned();
        }
        let far = span(distance.unsigned_abs());
        if distance.is_positive() { format!("in {far}") } else { format!("{far} ago") }
    }

    /// `2026-01-31 12:00`, in the reader's time zone.
    pub(crate) fn minute(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// `2026-01-31 12:00 (3h ago)`
    pub(crate) fn both(&self, time: Timestamp) -> String {
        format!("{} ({})", self.minute(time), self.relative(time))
    }

    /// `2026-01-31 12:00:00 +01:00 (3h ago)`
    pub(crate) fn exact(&self, time: Timestamp) -> String {
        let zoned = time.to_zoned(self.zone.clone());
        format!("{} ({})", zoned.strftime("%Y-%m-%d %H:%M:%S %:z"), self.relative(time))
    }
}

/// What is there, or a dash.
pub(crate) fn or_nothing(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOTHING.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_for_people() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1_234_567), "1.2 MB");
        assert_eq!(counted(1, "message", "messages"), "1 message");
        assert_eq!(counted(1000, "message", "messages"), "1,000 messages");
    }

    #[test]
    fn times_are_absolute_and_relative() {
        let clock = Clock { now: "2026-01-31T12:00:00Z".parse().unwrap(), zone: TimeZone::UTC };
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(clock.both(time("2026-01-31T09:00:00Z")), "2026-01-31 09:00 (3h ago)");
        assert_eq!(clock.relative(time("2026-01-31T12:05:00Z")), "in 5m");
        assert_eq!(clock.relative(time("2026-01-31T12:00:00Z")), "now");
        assert_eq!(clock.relative(time("2026-01-31T12:00:00.9Z")), "now");
        assert_eq!(clock.relative(time("2026-01-01T12:00:00Z")), "30d ago");
        assert_eq!(clock.exact(time("2026-01-31T11:59:01Z")), "2026-01-31 11:59:01 +00:00 (59s ago)");
        assert_eq!(clock.relative(Timestamp::MAX).split(' ').next(), Some("in"));
    }
}
