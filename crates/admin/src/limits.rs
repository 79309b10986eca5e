//! Bounds of the admin interface, each with its reason.

use std::time::Duration;

/// Connections at a time: a few people, a monitor and a web page. More wait in the kernel's backlog.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// A connection that wants nothing is closed after this long, so that a forgotten one gives its slot back. Streams say
/// something every [`HEARTBEAT`].
pub(crate) const IDLE: Duration = Duration::from_secs(15);
/// The same while a request is worked on; the client's own patience is shorter.
pub(crate) const IDLE_IN_REQUEST: Duration = Duration::from_secs(75);
/// The same while the client does not read what it asked for: somebody pages through a list.
pub(crate) const IDLE_IN_ANSWER: Duration = Duration::from_secs(600);
/// Octets of a request body: a filter with the most ids it may name.
pub(crate) const MAX_REQUEST: usize = 256 * 1024;
/// Entries or domains that are asked of the store at once.
pub(crate) const PAGE: usize = 500;
/// Entries that one mutation hands to the store at once.
pub(crate) const BATCH: usize = 500;
/// Octets of finished lines that are collected before they go out as one chunk.
pub(crate) const CHUNK: usize = 32 * 1024;
/// Chunks that wait for a slow client; the handler stands still behind them.
pub(crate) const CHUNKS_AHEAD: usize = 4;
/// How often a drain's counters are looked at while somebody watches it; reading them is a look-up in memory.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// A silent stream says something after this long, so that a client can tell a slow server from a dead one.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
/// A drain that was asked for and shows no sign of life for this long is reported as `queued`.
pub(crate) const DRAIN_PATIENCE: Duration = Duration::from_secs(30);
/// How long open streams may take to end once the server stops.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// For the look-ups of a route; the client's patience is longer.
pub(crate) const ROUTE_PATIENCE: Duration = Duration::from_secs(45);
/// Octets of an address or a name in a question: more than a path may have (RFC 5321 4.5.3.1.3).
pub(crate) const EXPLAIN_TEXT: usize = 1024;
/// Octets of an operator's reason.
pub(crate) const MAX_REASON: usize = 512;
/// Domains that one request may name.
pub(crate) const MAX_DOMAINS: usize = 1000;
/// Octets of content that are read to find the end of the header section.
pub(crate) const MAX_HEADERS: usize = 64 * 1024;
/// Entries that `show` collects of one message: one per recipient at most, and an envelope holds 1000.
pub(crate) const MAX_MESSAGE_ENTRIES: usize = 2000;
/// Entries shown by a preview.
pub(crate) const PREVIEW: usize = 10;
/// Names listed in an error or a health report.
pub(crate) const MAX_NAMES: usize = 20;
/// How long to wait when the system has no descriptor left.
pub(crate) const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Connections of monitors over TCP at a time.
pub(crate) const HTTP_CONNECTIONS: usize = 16;
/// A monitor's connection on which nothing moved for this long is closed.
pub(crate) const HTTP_IDLE: Duration = Duration::from_secs(90);
/// Octets of a token at least: 64 bits and more, however it is written.
pub(crate) const MIN_TOKEN: usize = 16;
