//! Bounds of the server machine and of framing and grammar, each with its clause or reason.

use std::time::Duration;

/// [5321-4.5.3.1.4] octets of a command line with its line end. It asks for 512, extensions add to it (SIZE 26,
/// BODY 17, SMTPUTF8 10, DSN 500 + 100 and more); four times the base holds all of them.
pub(crate) const MAX_COMMAND_LINE: usize = 2048;
/// [4954-4-line] octets of a line inside AUTH, and of AUTH itself, with its line end: RFC 4954 4 finds 12288 sufficient for
/// every mechanism. ATRN's list of domains may be as long.
pub(crate) const MAX_AUTH_LINE: usize = 12_288;
/// Octets of the name of an account, or of who to act as: what RFC 4616 4 wants at least.
pub(crate) const MAX_AUTH_NAME: usize = 255;
/// Failed authentications after which the session is closed; RFC 4954 9 wants three at least, and a client that goes
/// through its mechanisms from the strongest down makes four.
pub(crate) const MAX_AUTH_FAILURES: u8 = 5;
/// Characters of the value of AUTH at MAIL, RFC 4954 3 (5).
pub(crate) const MAX_AUTH_PARAMETER: usize = 500;
/// Octets that a line buffer may keep between two lines; what is larger is given back.
pub(crate) const KEPT_LINE_BUFFER: usize = 256;
/// Octets that the transmit buffer may keep between two drains.
pub(crate) const KEPT_TRANSMIT_BUFFER: usize = 512;
/// Octets of replies that may wait; at or above it nothing more is read until the caller has taken them.
pub(crate) const MAX_WAITING_REPLIES: usize = 16 * 1024;
/// Events that may wait; at or above it nothing more is read until the caller has taken them.
pub(crate) const MAX_WAITING_EVENTS: usize = 32;
/// Bad commands since the last success after which the session is closed (RFC 5321 4.3.2 leaves it to the server; a
/// browser or a script that was pointed at us gives up no other way).
pub(crate) const MAX_BAD_COMMANDS: u8 = 10;
/// Octets of the name in HELO and EHLO, RFC 5321 4.5.3.1.2.
pub(crate) const MAX_HELLO: usize = 255;
/// Characters of the value of ENVID, RFC 3461 4.4.
pub(crate) const MAX_ENVID: usize = 100;
/// Characters of the value of ORCPT, RFC 3461 4.2.
pub(crate) const MAX_ORCPT: usize = 500;
/// Characters of the value of NOTIFY, RFC 3461 4.1.
pub(crate) const MAX_NOTIFY: usize = 28;
/// Digits of SIZE, RFC 1870 3.
pub(crate) const MAX_SIZE_DIGITS: usize = 20;
/// Characters of the name of a group in `ETRN #name`.
pub(crate) const MAX_GROUP: usize = 64;
/// Octets of void content that are swallowed politely, until its end gets the reply; then the connection is closed,
/// for a sender that ignores SIZE may go on for ever.
pub(crate) const MAX_SWALLOWED: u64 = 1 << 30;

/// How long the next command is awaited, RFC 5321 4.5.3.2.7.
pub(crate) const COMMAND_WAIT: Duration = Duration::from_secs(5 * 60);
/// How long the next [`CONTENT_PROGRESS`] octets of content are awaited; RFC 5321 4.5.3.2.5 lets a client spend three
/// minutes on a block, 4.5.3.2.7 lets the server wait five.
pub(crate) const CONTENT_WAIT: Duration = Duration::from_secs(5 * 60);
/// Octets of content (or its end) that count as progress, so that one octet a minute keeps no session alive.
pub(crate) const CONTENT_PROGRESS: u64 = 512;
/// Octets of content that count as something done; [`NOTHING_DONE`] asks for no more than 145 of them a second. Less would
/// let a few clients hold all places of a listener for days with messages that never end.
pub(crate) const CONTENT_WORTH: u64 = 256 * 1024;
/// How long a session may go on without an accepted message, a started queue or [`CONTENT_WORTH`], however many commands
/// it sends.
pub(crate) const NOTHING_DONE: Duration = Duration::from_secs(30 * 60);
