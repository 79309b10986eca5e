//! Where results go.

use std::io::{self, BufWriter, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use restante_api::write_json;
use serde::Serialize;

use super::failure::Failure;
use super::human::Clock;

/// Standard output, with what the reader wants of it. Progress goes to standard error.
pub(crate) struct Output {
    /// One JSON object per line instead of tables.
    pub(crate) json: bool,
    /// A person looks at it.
    pub(crate) terminal: bool,
    /// For times.
    pub(crate) clock: Clock,
    to: Box<dyn Write>,
}

impl Output {
    /// The process's own.
    pub(crate) fn standard(json: bool) -> Self {
        let stdout = io::stdout();
        Self {
            json,
            terminal: stdout.is_terminal(),
            clock: Clock { now: Timestamp::now(), zone: TimeZone::system() },
            to: Box::new(BufWriter::new(stdout)),
        }
    }

    /// One that a test reads, at a time of its own.
    #[cfg(test)]
    pub(crate) fn to(to: impl Write + 'static, json: bool, now: Timestamp) -> Self {
        Self { json, terminal: false, clock: Clock { now, zone: TimeZone::UTC }, to: Box::new(to) }
    }

    /// One object on a line.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        Ok(write_json(&mut self.to, value)?)
    }

    /// One line of text, which must be safe to show.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.to, "{line}")?)
    }

    /// Octets as they are.
    pub(crate) fn octets(&mut self, octets: &[u8]) -> Result<(), Failure> {
        Ok(self.to.write_all(octets)?)
    }

    /// Lets the reader see what is there.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }
}

/// Tells something beside the result, on standard error.
pub(crate) fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What a test reads.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Shared {
    /// What was written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Shared {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
