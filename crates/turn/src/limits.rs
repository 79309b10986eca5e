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

/// Iterations of PBKDF2 for a new password: some tens of milliseconds, once per login. RFC 7677 4 wants 4096 at least.
pub const DEFAULT_ITERATIONS: u32 = 60_000;

/// RFC 7677 4.
pub const MIN_ITERATIONS: u32 = 4096;

/// Half a second of work for one attempt; more in a file is a slip.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// Octets of a salt in the accounts file.
pub(crate) const MAX_SALT: usize = 64;

/// Octets of a password: more than fits into one line of AUTH is of no use (RFC 4616 2 has 255 characters in mind).
pub const MAX_PASSWORD: usize = 1024;

/// Octets of an account's name.
pub const MAX_ACCOUNT_NAME: usize = 64;

/// Failed attempts of one network at one account, after which it has to wait.
pub(crate) const FAILURES_PER_ACCOUNT: u32 = 10;

/// Failed attempts of one network at any accounts, after which it has to wait.
pub(crate) const FAILURES_PER_NETWORK: u32 = 100;

/// How long failures count, from the first of them on.
pub(crate) const FAILURE_SPAN: Duration = Duration::from_secs(15 * 60);

/// Networks, and pairs of network and account, whose failures are counted. When it is full the older half is forgotten.
pub(crate) const MAX_FAILURES: usize = 20_000;

/// How long the address of a requester may be used (`deliver-to = "requester"`): it is a dynamic one.
pub const REQUESTER_LIFE: Duration = Duration::from_secs(5 * 60);

/// Domains with a requester's address at one time; each lives for [`REQUESTER_LIFE`] at most.
pub(crate) const MAX_REQUESTERS: usize = 10_000;

/// Domains of one ATRN: what one command line can name (RFC 5321 4.5.3.1.4), with room.
pub const MAX_ATRN_DOMAINS: usize = 1_000;

/// Domains that one line of the log names.
pub(crate) const NAMES_IN_A_LINE: usize = 16;

/// Events of one kind that strangers cause and that are all told; a day's few are told one by one, a flood is not.
pub const TOLD_AT_ONCE: u32 = 100;

/// One more in this time: a flood that lasts for a day makes some 30 MB of log.
pub const TOLD_EVERY: Duration = Duration::from_secs(1);

/// And the first of each network in this time.
pub const NETWORK_TOLD_EVERY: Duration = Duration::from_secs(60);
