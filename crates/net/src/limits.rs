//! Bounds of this crate, each with its clause or its reason.

use std::time::Duration;

/// Octets of one read. A typical message with its commands fits, and a large one keeps the system calls few.
pub const READ_BUFFER: usize = 32 * 1024;
/// Octets of content from which its octets are acknowledged as they come. Less comes in a few packets, which our next answer
/// acknowledges.
pub const LONG_CONTENT: u64 = 64 * 1024;

/// Read buffers kept for reuse; more than this many sessions are seldom in the middle of a read at one moment.
pub const SPARE_BUFFERS: usize = 64;
/// Octets of answers that are written even though more commands are waiting to be read.
pub const TRANSMIT_FLUSH: usize = 16 * 1024;
/// Octets of transmit buffer that an idle session keeps.
pub const TRANSMIT_KEPT: usize = 512;
/// [5321-4.5.3.2.7] For writing one batch of answers: what a server waits for a client that does nothing.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
/// For a TLS handshake; a few round trips and one signature.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection that we end is read on, so that the last answer is not lost to a reset.
pub const LINGER: Duration = Duration::from_secs(1);
/// Octets thrown away meanwhile.
pub const LINGER_OCTETS: usize = 256 * 1024;
/// Connections that wait to be accepted (the kernel's `somaxconn` may lower it).
pub const BACKLOG: i32 = 1024;
/// A silent connection is probed after this long (a customer's dead dial-up line must not hold a drain).
pub const KEEPALIVE: Duration = Duration::from_secs(60);
/// Between two probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Probes without an answer until the connection counts as broken.
pub const KEEPALIVE_PROBES: u32 = 4;
/// Octets that were sent are acknowledged within this time, or the connection counts as broken.
pub const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Octets of a certificate or key file.
pub const PEM_FILE: u64 = 1024 * 1024;
/// Octets of one read by a client: replies are short.
pub const CLIENT_READ: usize = 4 * 1024;
/// Octets that a client has ready to send; with one piece of content beyond it, this is all that it holds of one.
pub const TRANSMIT_AHEAD: usize = 64 * 1024;
/// For the end of TLS and of the connection, when everything that matters was said.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Names looked at in one client certificate; one would do.
pub const NAMES_OF_A_CERTIFICATE: usize = 64;
/// Certificates behind its own that a server shows and that are looked at; real chains have three or four.
pub const CHAIN: usize = 16;
/// Names that a certificate is compared with for one server (RFC 7672 3.2.2 has three).
pub const DANE_NAMES: usize = 8;
/// Client configurations kept: one for each kind of trust, and one for each set of TLSA records.
pub const TRUSTS: usize = 256;
/// After this long one is built anew, so that new authorities of the system are seen.
pub const TRUST_AGE: Duration = Duration::from_secs(3600);
