//! Entries for the systemd journal, over its native protocol (systemd.io, "Native Journal Protocol").
//!
//! An entry's `MESSAGE` is the line that people would see, since our events hardly ever have a message of their own;
//! the fields stand beside it as `RESTANTE_…`, to be selected with `journalctl RESTANTE_EVENT=etrn_refused`.

use std::fmt::{self, Write};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::human::line;

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Octets of one entry's text at most, so that it fits into a datagram.
const LONGEST: usize = 32 * 1024;

/// The journal as a log.
pub(super) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// The journal, if systemd connected our standard output or standard error to it (`JOURNAL_STREAM`).
    pub(super) fn of_this_process() -> Option<Self> {
        let said = std::env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = said.split_once(':')?;
        let wanted: (u64, u64) = (device.parse().ok()?, inode.parse().ok()?);
        let ours = [identity(std::io::stdout().as_fd()), identity(std::io::stderr().as_fd())];
        ours.into_iter().flatten().any(|id| id == wanted).then_some(())?;
        Self::at(SOCKET)
    }

    fn at(path: &str) -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        Some(Self { socket })
    }
}

fn identity(fd: std::os::fd::BorrowedFd<'_>) -> Option<(u64, u64)> {
    let metadata = File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::default();
        entry.field("MESSAGE", &line(event));
        entry.field("PRIORITY", priority(*event.metadata().level()));
        entry.field("SYSLOG_IDENTIFIER", "restante");
        event.record(&mut entry);
        // A journal that does not take entries cannot be told of in the log.
        let _ = self.socket.send(&entry.octets);
    }
}

const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

#[derive(Default)]
struct Entry {
    octets: Vec<u8>,
}

impl Entry {
    /// `NAME`, LF, length as 64 bits little endian, value, LF: the form that takes any value.
    fn field(&mut self, name: &str, value: &str) {
        let room = LONGEST.saturating_sub(self.octets.len());
        let value = &value.as_bytes()[..value.floor_char_boundary(room)];
        self.octets.extend_from_slice(name.as_bytes());
        self.octets.push(b'\n');
        self.octets.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.octets.extend_from_slice(value);
        self.octets.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != "message" {
            self.field(
                &format!("RESTANTE_{}", field.name().to_ascii_uppercase().replace(['.', '-'], "_")),
                value,
            );
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A `Debug` that fails leaves what it wrote.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn entries_have_a_line_and_their_fields() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(path.to_str().unwrap()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), || {
            tracing::warn!(event = "etrn_refused", client = %"192.0.2.1", "event=etrn_refused");
        });
        let mut octets = [0; 4096];
        let length = journald.recv(&mut octets).unwrap();
        let field = |name: &str, value: &str| {
            let length = (value.len() as u64).to_le_bytes();
            [name.as_bytes(), b"\n", &length, value.as_bytes(), b"\n"].concat()
        };
        let expected = [
            field("MESSAGE", "event=etrn_refused client=192.0.2.1"),
            field("PRIORITY", "4"),
            field("SYSLOG_IDENTIFIER", "restante"),
            field("RESTANTE_EVENT", "etrn_refused"),
            field("RESTANTE_CLIENT", "192.0.2.1"),
        ];
        let found = &octets[..length];
        assert_eq!(found.len(), expected.concat().len());
        for one in expected {
            assert!(
                found.windows(one.len()).any(|window| window == one),
                "{}",
                String::from_utf8_lossy(&one)
            );
        }
    }

    #[test]
    fn a_huge_value_is_cut() {
        let mut entry = Entry::default();
        entry.field("A", &"ü".repeat(LONGEST));
        entry.field("B", "b");
        assert!(entry.octets.len() < LONGEST + 64);
    }
}
