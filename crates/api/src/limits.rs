//! Bounds of what goes over the admin socket, each with its reason.

use std::time::Duration;

/// Octets of one line of a stream: an entry with 1000 recipients, each with an address of 320 octets and a last reply
/// of 512, and room for JSON's escapes.
pub const MAX_LINE: usize = 4 * 1024 * 1024;
/// Octets of an answer that is one object: `show` of a message in many domains.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Messages that one filter may name: a line of a shell holds about as many.
pub const MAX_IDS: usize = 5000;
/// Domains that one filter may name.
pub const MAX_FILTER_DOMAINS: usize = 1000;
/// Octets of each text of a filter.
pub const MAX_FILTER_TEXT: usize = 1024;
/// How long a local server may take to answer a connection.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may be silent: it says something every few seconds while it works.
pub const SILENCE: Duration = Duration::from_secs(60);
/// How long a connection is kept for the next question; the server closes those that want nothing a little later.
pub const REUSE: Duration = Duration::from_secs(5);
