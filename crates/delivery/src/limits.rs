//! Bounds of delivery, each with its clause or reason.

use std::time::Duration;

/// Entries of the first page of a drain: few, so that the first message leaves at once.
pub const FIRST_PAGE: usize = 32;
/// Entries of every further page; a page is read while the one before it is being sent.
pub const PAGE: usize = 128;
/// With fewer entries than this at hand the next page is fetched.
pub const LOW_PAGE: usize = 64;
/// Outcomes on their way to the store, per drain; couriers wait when the store is this far behind.
pub const OUTCOMES_AHEAD: usize = 512;
/// Outcomes settled together: one disk flush is shared by as many messages.
pub const SETTLE_BATCH: usize = 128;
/// How long the first outcome of a batch waits for company; a crash within it repeats these messages.
pub const SETTLE_LINGER: Duration = Duration::from_millis(4);
/// How often a batch of outcomes is offered to a store that is unavailable before the drain gives up.
pub const SETTLE_TRIES: u32 = 8;
/// The first pause between those tries; it doubles.
pub const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// How often one drain looks from the beginning because somebody asked again; then the lease is given back and the
/// request stands in line like every other.
pub const PASSES: u32 = 32;
/// Entries at the head of a queue that show why their domain could not be reached. The cost of an unreachable
/// primary must not grow with its queue.
pub const HEAD: usize = 4;
/// MX records looked at, best first (a response may hold thousands).
pub const MX_RECORDS: usize = 50;
/// Addresses tried for one drain.
pub const ADDRESSES: usize = 50;
/// Names resolved at the same time for one route.
pub const LOOKUPS_AT_ONCE: usize = 8;
/// For one DNS question with its retries; longer than the resolver's own patience.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// For a TCP connection to the last address that is left (RFC 5321 4.5.3.2 names no time for it).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// For a TCP connection when other addresses are left, so that a dead IPv6 path costs seconds, not minutes.
pub const CONNECT_TIMEOUT_SHORT: Duration = Duration::from_secs(8);
