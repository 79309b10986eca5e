//! `2026-01-31T12:00:00.123Z INFO event=accepted id=… size=1234`

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Utc;

/// One line per event: time, level, fields.
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        Utc.format_time(&mut writer)?;
        let level = *event.metadata().level();
        if writer.has_ansi_escapes() {
            let colour = match level {
                Level::ERROR => "31",
                Level::WARN => "33",
                Level::INFO => "32",
                _ => "2",
            };
            write!(writer, " \x1b[{colour}m{level:>5}\x1b[0m ")?;
        } else {
            write!(writer, " {level:>5} ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Fields as `key=value`, quoted only where that is needed to find their end.
pub(super) struct KeyValue;

impl<'w> FormatFields<'w> for KeyValue {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut pairs = Pairs { out: writer, first: true, result: Ok(()) };
        fields.record(&mut pairs);
        pairs.result
    }
}

/// The same as a text.
pub(super) fn line(fields: &impl RecordFields) -> String {
    let mut text = String::new();
    let mut pairs = Pairs { out: Writer::new(&mut text), first: true, result: Ok(()) };
    fields.record(&mut pairs);
    text
}

struct Pairs<'w> {
    out: Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl Pairs<'_> {
    fn pair(&mut self, field: &Field, value: &str) {
        // `message` says in words what `event` says already, where it repeats it.
        if self.result.is_err() || (field.name() == "message" && value.starts_with("event=")) {
            return;
        }
        let space = if std::mem::take(&mut self.first) { "" } else { " " };
        self.result = match field.name() {
            "message" => write!(self.out, "{space}{}", Plain(value)),
            name if is_word(value) => write!(self.out, "{space}{name}={value}"),
            name => write!(self.out, "{space}{name}=\"{}\"", Plain(value)),
        };
    }
}

impl Visit for Pairs<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.pair(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A `Debug` that fails leaves what it wrote.
        let _ = write!(text, "{value:?}");
        self.pair(field, &text);
    }
}

fn is_word(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=')
}

/// Whatever an event holds, it stays one line and cannot end its own quotes.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("\\\""),
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::cli::output::Shared;

    fn logged(log: impl FnOnce()) -> String {
        let shared = Shared::default();
        let to = shared.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Lines)
            .fmt_fields(KeyValue)
            .with_ansi(false)
            .with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = shared.text();
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
        rest.to_owned()
    }

    #[test]
    fn events_are_words_where_they_can_be() {
        let id = "01890a5d";
        assert_eq!(
            logged(|| tracing::info!(event = "accepted", id = %id, size = 5)),
            " INFO event=accepted id=01890a5d size=5\n"
        );
        assert_eq!(
            logged(|| tracing::warn!(event = "x", reason = "two words")),
            " WARN event=x reason=\"two words\"\n"
        );
    }

    #[test]
    fn nothing_forges_a_line_or_a_field() {
        let line = logged(|| tracing::info!(event = "x", helo = "a\nevent=fake", name = "b\" id=1"));
        assert_eq!(line, " INFO event=x helo=\"a\\nevent=fake\" name=\"b\\\" id=1\"\n");
    }

    #[test]
    fn a_message_that_repeats_the_event_is_left_out() {
        assert_eq!(logged(|| tracing::info!(event = "ready", "event=ready")), " INFO event=ready\n");
        assert_eq!(logged(|| tracing::info!("in words")), " INFO in words\n");
    }
}
