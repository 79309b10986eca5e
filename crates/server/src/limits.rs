//! Bounds of this crate, each with its clause or its reason. Those that a site may set are in
//! [`ServerLimits`](crate::ServerLimits).

use std::time::Duration;

/// How long accepting rests after the process ran out of files or memory; trying at once would only spin.
pub const ACCEPT_REST: Duration = Duration::from_millis(250);
/// How often the files of the certificate are looked at.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(15);
/// At most one event in this time for connections that are turned away, with the number of those not told.
pub const REFUSED_EVENT_EVERY: Duration = Duration::from_secs(1);
/// How old the count of the queues below domains may get before it is taken again.
pub const SUBTREE_AGE: Duration = Duration::from_secs(10);
/// A count that took long is kept this many times as long, so that counting never costs more than a hundredth.
pub const SUBTREE_AGE_FACTOR: u32 = 100;
/// Queues looked at in one go while counting.
pub const SUBTREE_PAGE: usize = 1000;
/// After the grace of a shutdown, for tasks to notice that they are to end now.
pub const LAST_GRACE: Duration = Duration::from_secs(2);
/// Octets of a HELO name that are shown in the Received line (RFC 5321 4.5.3.1.2).
pub const HELO_SHOWN: usize = 255;
/// Recipients named in the event of an accepted message.
pub const RECIPIENTS_SHOWN: usize = 10;
/// Derivations of keys at one time: each takes a processor for some tens of milliseconds.
pub const DERIVATIONS: usize = 2;
/// Derivations that wait for a turn; a second or two of work. Beyond it: 454 4.7.0.
pub const DERIVATIONS_WAITING: usize = 64;
/// How long a customer that calls again waits for its earlier drain to let go. RFC 2645 5.2.1 lets it take ten minutes.
pub const GIVE_WAY: Duration = Duration::from_secs(10);
/// Queues drained over one turned connection, those with the oldest mail; the customer may call again for the rest.
pub const QUEUES_OF_A_CALL: usize = 1000;
