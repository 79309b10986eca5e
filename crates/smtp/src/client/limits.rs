//! Bounds of the client machine, each with its clause or reason.

use std::time::Duration;

/// Until the greeting, RFC 5321 4.5.3.2.1.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(300);
/// Until the answer to EHLO, HELO, STARTTLS, RSET or ETRN. RFC 5321 names none for them; as MAIL.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// Until the answer to MAIL, RFC 5321 4.5.3.2.2.
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(300);
/// Until the answer to RCPT, RFC 5321 4.5.3.2.3.
pub const RCPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Until the 354 to DATA, RFC 5321 4.5.3.2.4.
pub const DATA_TIMEOUT: Duration = Duration::from_secs(120);
/// Until the connection takes the next block of content, RFC 5321 4.5.3.2.5.
pub const BLOCK_TIMEOUT: Duration = Duration::from_secs(180);
/// Until the answer to the whole content, RFC 5321 4.5.3.2.6.
pub const CONTENT_TIMEOUT: Duration = Duration::from_secs(600);
/// Until the 221. Everything is settled by then, so nobody is made to wait long for a courtesy.
pub const QUIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Until the answer to ATRN: at least ten minutes, [2645-5.2.1-timeout]. TURN likewise.
pub const TURN_TIMEOUT: Duration = Duration::from_secs(600);
/// Iterations of SCRAM at least, [7677-4-client]: with fewer, who pretends to be the server gets a cheap puzzle.
pub const MIN_ITERATIONS: u32 = 4096;
/// Iterations of SCRAM at most: about a second of work, which a server cannot raise.
pub const MAX_ITERATIONS: u32 = 2_000_000;
/// Octets of AUTH with its initial response and its line end, RFC 5321 4.5.3.1.4; a longer response comes on a line of its own.
pub const MAX_AUTH_COMMAND: usize = 512;
/// Octets of an ATRN command with its line end, as much as our own server takes.
pub const MAX_ATRN_LINE: usize = 12_288;

/// Lines of a conversation that are kept from its beginning: greeting, EHLO, STARTTLS, EHLO again.
pub const TRANSCRIPT_FIRST: usize = 16;
/// Lines that are kept from its end.
pub const TRANSCRIPT_LAST: usize = 40;
/// Lines that are kept behind the first refusal of mail.
pub const TRANSCRIPT_BEHIND: usize = 7;
/// Octets that are kept of a line: a reply with as much text as is kept for a recipient.
pub const TRANSCRIPT_LINE: usize = MAX_KEPT_TEXT;

/// Recipients of one transaction: what every server must take, RFC 5321 4.5.3.1.8.
pub const MAX_RECIPIENTS: usize = 100;
/// Messages under way at once on a connection that took fewer so far. TCP's first window carries less of usual mail, so
/// that a slow line is not waited for; a line that is cut delivers no more of them twice.
pub const WINDOW_START: usize = 32;
/// Messages under way at once at most, whose envelopes are in memory; of 4 KiB each, as many as [`WINDOW_OCTETS`] lets go.
pub const WINDOW_MESSAGES: usize = 1024;
/// Messages taken that one refused outweighs. Where a fifth is refused, which is what stops a domain by default, the window
/// does not grow any more.
pub const WINDOW_REFUSAL: usize = 4;
/// A message that was taken after so many times the least time that one took was held up by those before it: the server is
/// busy, or the line is full. TCP in slow start holds them up for twice as long.
pub const WINDOW_PATIENCE: u32 = 3;
/// Octets of content under way at once on a connection that took fewer so far, unless a single message is larger.
pub const WINDOW_OCTETS_START: u64 = 1024 * 1024;
/// Octets of content under way at once at most, unless a single message is larger: what the kernel buffers for a connection
/// by default (`tcp_wmem`), so that more would not be faster.
pub const WINDOW_OCTETS: u64 = 4 * 1024 * 1024;
/// Recipients under way at once: two for each message. Bounds the memory of what was not answered.
pub const WINDOW_RECIPIENTS: usize = 2 * WINDOW_MESSAGES;
/// Octets of a reply's text that are kept for a recipient; as much as the queue stores of it.
pub const MAX_KEPT_TEXT: usize = 512;

/// Octets of one reply line, its end included. RFC 5321 4.5.3.1.5 says 512; servers with long banners and long
/// reasons send more, and nothing is lost by hearing them out.
pub const MAX_REPLY_LINE: usize = 2048;
/// Lines of one reply. No RFC bounds them; the longest EHLO answers seen have about thirty.
pub const MAX_REPLY_LINES: usize = 100;
/// Octets of text that are kept of one reply; what is beyond is read and forgotten, so that memory stays fixed.
pub const MAX_REPLY_TEXT: usize = 8192;
