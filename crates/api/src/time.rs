//! The queue's milliseconds as RFC 3339, and back.

use jiff::Timestamp;
use restante_types::UnixMillis;

/// The point in time; what lies beyond the calendar becomes its end.
#[must_use]
pub fn timestamp(time: UnixMillis) -> Timestamp {
    i64::try_from(time.0)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The point in time in the queue's terms; what lies before 1970 becomes its beginning.
#[must_use]
pub fn unix_millis(time: Timestamp) -> UnixMillis {
    UnixMillis(u64::try_from(time.as_millisecond()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_and_saturate() {
        let time = UnixMillis(1_769_860_800_123);
        assert_eq!(timestamp(time).to_string(), "2026-01-31T12:00:00.123Z");
        assert_eq!(unix_millis(timestamp(time)), time);
        assert_eq!(timestamp(UnixMillis::MAX), Timestamp::MAX);
        assert_eq!(unix_millis(Timestamp::MIN), UnixMillis::EPOCH);
    }
}
