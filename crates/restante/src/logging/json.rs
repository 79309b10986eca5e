//! `{"timestamp":"2026-01-31T12:00:00.123Z","level":"INFO","event":"accepted","id":"…","size":1234}`
//!
//! Written in one pass, without anything in between: a busy server says a line per message.

use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// One object per line.
#[derive(Default)]
pub(super) struct Objects {
    /// The last second that was written, and how: most lines share theirs with others.
    second: Mutex<(i64, String)>,
}

impl Objects {
    fn time(&self, out: &mut Writer<'_>, now: Timestamp) -> fmt::Result {
        let (second, millis) = (now.as_second(), now.subsec_millisecond());
        let mut last = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != second || last.1.is_empty() {
            let text = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            *last = (second, text);
        }
        out.write_str(&last.1)?;
        write!(out, ".{millis:03}Z")
    }
}

impl<S, N> FormatEvent<S, N> for Objects
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        out.write_str("{\"timestamp\":\"")?;
        self.time(&mut out, Timestamp::now())?;
        out.write_str("\",\"level\":\"")?;
        out.write_str(event.metadata().level().as_str())?;
        out.write_str("\"")?;
        let mut fields = Fields { out, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        fields.out.write_str("}\n")
    }
}

struct Fields<'w> {
    out: Writer<'w>,
    result: fmt::Result,
}

impl Fields<'_> {
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        // What the bridge from the `log` crate adds says where a line of code stands.
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        self.result = self.name(field).and_then(|()| value(&mut self.out));
    }

    fn name(&mut self, field: &Field) -> fmt::Result {
        self.out.write_str(",\"")?;
        self.out.write_str(field.name())?;
        self.out.write_str("\":")
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, |out| {
            out.write_char('"')?;
            Escaped(out).write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |out| write!(out, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |out| write!(out, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other numbers.
        self.field(
            field,
            |out| if value.is_finite() { write!(out, "{value:?}") } else { out.write_str("null") },
        );
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }
}

/// What goes through it can stand between quotes (RFC 8259 7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while let Some(at) = text.bytes().position(|octet| octet < 0x20 || octet == b'"' || octet == b'\\') {
            self.0.write_str(&text[..at])?;
            match text.as_bytes()[at] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                b'\r' => self.0.write_str("\\r")?,
                b'\t' => self.0.write_str("\\t")?,
                other => write!(self.0, "\\u{other:04x}")?,
            }
            text = &text[at + 1..];
        }
        self.0.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::cli::output::Shared;

    fn logged(log: impl FnOnce()) -> Vec<String> {
        let shared = Shared::default();
        let to = shared.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(Objects::default());
        let layer = layer.with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        shared.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_line_is_an_object_that_reads_back() {
        let odd = "\u{0}\u{1f} \"quoted\" \\ \r\n\t ü \u{7f} \u{2028}";
        let lines = logged(|| {
            tracing::info!(event = "accepted", id = %"01890a5d", size = 5_u64, left = -1_i64, tls = false);
            tracing::warn!(event = odd, reason = %odd, rate = 0.5, never = f64::NAN, list = ?["a", odd], "in words");
        });
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let (first, second) = (read(&lines[0]), read(&lines[1]));
        let time = first["timestamp"].as_str().unwrap();
        assert!(time.parse::<Timestamp>().is_ok() && time.len() == 24 && time.ends_with('Z'), "{time}");
        let rest = ["level", "event", "id"].map(|name| first[name].as_str().unwrap().to_owned());
        assert_eq!(rest, ["INFO", "accepted", "01890a5d"]);
        assert_eq!((&first["size"], &first["left"], &first["tls"]), (&5.into(), &(-1).into(), &false.into()));
        assert_eq!((second["level"].as_str(), second["event"].as_str()), (Some("WARN"), Some(odd)));
        assert_eq!((second["reason"].as_str(), second["rate"].as_f64()), (Some(odd), Some(0.5)));
        assert!(second["never"].is_null() && second["message"] == "in words");
        assert_eq!(second["list"], format!("{:?}", ["a", odd]));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_new_second_is_written_anew() {
        let objects = Objects::default();
        let written = |millis| {
            let mut text = String::new();
            objects.time(&mut Writer::new(&mut text), Timestamp::from_millisecond(millis).unwrap()).unwrap();
            text
        };
        assert_eq!(written(7), "1970-01-01T00:00:00.007Z");
        assert_eq!(written(1_769_860_800_123), "2026-01-31T12:00:00.123Z");
        assert_eq!(written(1_769_860_800_999), "2026-01-31T12:00:00.999Z");
        assert_eq!(written(1_769_860_801_000), "2026-01-31T12:00:01.000Z");
    }
}
