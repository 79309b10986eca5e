//! The verb table: where a verb is legal, whether it ends a pipelined group, how long its line may be.

use crate::grammar::verb::Verb;
use crate::limits::{MAX_AUTH_LINE, MAX_COMMAND_LINE};

/// Where in the dialogue a command comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Greeted; no HELO or EHLO yet.
    Greeted,
    /// HELO or EHLO was said; no transaction.
    Ready,
    /// After MAIL.
    Transaction,
    /// Between the chunks of a message.
    Chunks,
    /// A chunk failed; RSET or the last chunk ends it.
    Failed,
}

impl Phase {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

const ALWAYS: u8 = 0b1_1111;
const NO_TRANSACTION: u8 = Phase::Greeted.bit() | Phase::Ready.bit();

/// What is known of a verb.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The phases in which it is legal, one bit each; elsewhere it gets 503 5.5.1.
    legal: u8,
    /// [2920-3.1] It is the last of a pipelined group; its reply goes out at once.
    pub(crate) ends_group: bool,
    /// [3207-4] Legal before TLS where TLS is required; others get 530 5.7.0.
    pub(crate) before_tls: bool,
    /// Octets of its line at most, the end included.
    pub(crate) max_line: usize,
}

impl Row {
    pub(crate) const fn is_legal(&self, phase: Phase) -> bool {
        self.legal & phase.bit() != 0
    }
}

/// The row of a verb.
pub(crate) const fn row(verb: Verb) -> Row {
    let (legal, ends_group, before_tls) = match verb {
        Verb::Ehlo | Verb::Noop | Verb::Quit => (ALWAYS, true, true),
        Verb::Helo | Verb::Vrfy | Verb::Expn | Verb::Help => (ALWAYS, true, false),
        Verb::Rset => (ALWAYS, false, false),
        Verb::Mail => (Phase::Ready.bit(), false, false),
        Verb::Rcpt => (Phase::Transaction.bit(), false, false),
        Verb::Data => (Phase::Transaction.bit(), true, false),
        Verb::Bdat => (Phase::Transaction.bit() | Phase::Chunks.bit(), false, false),
        Verb::StartTls => (NO_TRANSACTION, true, true),
        // [1985-5] not between MAIL and the end of content.
        Verb::Etrn => (NO_TRANSACTION, true, false),
        // [4954-4-sequence] [2645-5.2.1-sequence]
        Verb::Auth | Verb::Atrn | Verb::Turn => (Phase::Ready.bit(), true, false),
    };
    let max_line = match verb {
        Verb::Auth | Verb::Atrn => MAX_AUTH_LINE,
        _ => MAX_COMMAND_LINE,
    };
    Row { legal, ends_group, before_tls, max_line }
}
