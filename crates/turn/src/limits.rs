//! Bounds of this crate, each with its reason.

use std::time::Duration;

/// Pairs of queue and asking network whose last request is remembered. When it is full the older half is forgotten,
/// so a flood can only make us more lenient, never refuse an owner.
pub const MAX_INTERVALS: usize = 10_000;

/// Queues of the store looked at to answer one `@` or `#`: the answer must come at once (RFC 1985 5.1), and a look
/// at this many takes milliseconds. What lies beyond is not started and the log says so.
pub const MAX_QUEUES_LOOKED_AT: usize = 20_000;

/// For how long a network that was refused an `@` or `#` gets the same answer without a look at the store: looking costs
/// milliseconds, and its time would tell a stranger what is held here.
pub(crate) const REFUSED_LOOK: Duration = Duration::from_secs(15);

/// Queues fetched from the store in one step.
pub(crate) const PAGE: usize = 1_000;
