//! Bounds of the agent, each with its clause or reason.

use std::time::Duration;

/// For a connection to the server to stand, each of its addresses.
pub const CONNECT: Duration = Duration::from_secs(60);
/// For a connection to the mail server here: it is near, or it is not there.
pub const CONNECT_LOCAL: Duration = Duration::from_secs(15);
/// Addresses of one host that are tried.
pub const ADDRESSES: usize = 8;
/// For the name of a host to be looked up.
pub const LOOK_UP: Duration = Duration::from_secs(30);
/// RFC 5321 4.5.3.2.5: until the mail server here takes the next block of content.
pub const BLOCK: Duration = Duration::from_secs(180);
/// Octets of one message, where the mail server here names no limit.
pub const MESSAGE: u64 = 1 << 40;
/// Recipients of one transaction; the mail server here may want fewer and says so itself.
pub const RECIPIENTS: usize = 1000;
/// Domains of one server: one ATRN command holds no more.
pub const DOMAINS: usize = 1000;
/// The first wait after a failure; it doubles with each one that follows.
pub const BACK_OFF: Duration = Duration::from_secs(60);
/// The longest wait after failures.
pub const BACK_OFF_MOST: Duration = Duration::from_secs(30 * 60);
/// The clock is looked at this often: a machine that slept does not oversleep.
pub const LOOK: Duration = Duration::from_secs(30);
/// Octets of a secret's file.
pub const SECRET_FILE: u64 = 4096;
/// Octets of the state file.
pub const STATE_FILE: u64 = 4 << 20;
/// Octets of a text of the other side that the state file keeps.
pub const KEPT_TEXT: usize = 500;
/// For another process to be done with the state file.
pub const STATE_WAIT: Duration = Duration::from_secs(10);
/// How often progress is shown at most.
pub const SHOWN: u64 = 64 * 1024;
