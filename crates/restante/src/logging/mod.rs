//! Where log events go: for people on a terminal, to the journal under systemd, as JSON lines otherwise.
//!
//! Events carry their name in the field `event` and hardly ever a message. Times are UTC. `RESTANTE_LOG` filters.

#[cfg(test)]
mod fail2ban;
mod human;
mod journal;
mod json;
mod paced;

use std::io::{self, IsTerminal};

use jiff::Timestamp;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use human::{KeyValue, Lines};
use journal::Journal;
use json::Objects;
use paced::{Paced, Rest};

/// What is logged unless `RESTANTE_LOG` says otherwise.
const USUAL: &str = "info,sled=warn,hickory_resolver=warn,hickory_net=warn,hickory_proto=error,rustls=warn,h2=warn,hyper=warn";

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// The filter is no filter.
    #[error("RESTANTE_LOG: {0}")]
    Filter(String),
    /// Lines have no thread to write them.
    #[error("logging: {0}")]
    Thread(#[from] io::Error),
    /// There is a log already.
    #[error("logging is already set up")]
    Twice,
}

/// Times as the log shows them: `2026-01-31T12:00:00.123Z`.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", Timestamp::now())
    }
}

/// Starts logging for this process, on standard output or into the journal. What is returned is to be kept until the end.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn start() -> Result<Rest, LoggingError> {
    let filter = match std::env::var("RESTANTE_LOG") {
        Ok(text) if !text.trim().is_empty() => {
            EnvFilter::try_new(text).map_err(|error| LoggingError::Filter(error.to_string()))?
        }
        _ => EnvFilter::new(USUAL),
    };
    let mut rest = Rest::none();
    let layer = match Journal::of_this_process() {
        Some(journal) => journal.boxed(),
        None if io::stdout().is_terminal() => {
            let colours = std::env::var_os("NO_COLOR").is_none();
            tracing_subscriber::fmt::layer()
                .event_format(Lines)
                .fmt_fields(KeyValue)
                .with_ansi(colours)
                .with_writer(io::stdout)
                .boxed()
        }
        None => {
            let paced = Paced::new(io::stdout())?;
            rest = Rest::of(paced.clone());
            tracing_subscriber::fmt::layer().event_format(Objects::default()).with_writer(paced).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(layer).try_init().map_err(|_| LoggingError::Twice)?;
    Ok(rest)
}
