//! What the client machine tells.

use std::fmt;

use restante_types::{Domain, Reply};

use crate::reply_parser::ReplyError;
use crate::sasl::AuthError;

/// What a reply was, or is, waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The greeting.
    Greeting,
    /// EHLO
    Ehlo,
    /// HELO, after EHLO was not understood.
    Helo,
    /// STARTTLS
    StartTls,
    /// RSET
    Reset,
    /// MAIL
    Mail,
    /// RCPT
    Recipient,
    /// DATA, until 354.
    Data,
    /// The end of content: the final dot, or BDAT LAST.
    Content,
    /// ETRN
    Etrn,
    /// AUTH, and each line inside it
    Auth,
    /// ATRN
    Atrn,
    /// TURN
    Turn,
    /// XCLIENT
    Introduction,
    /// XFORWARD
    Forward,
    /// QUIT
    Quit,
    /// Nothing: the line is idle, or it is our turn to talk.
    Idle,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Reset => "RSET",
            Self::Mail => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the content",
            Self::Etrn => "ETRN",
            Self::Auth => "AUTH",
            Self::Atrn => "ATRN",
            Self::Turn => "TURN",
            Self::Introduction => "XCLIENT",
            Self::Forward => "XFORWARD",
            Self::Quit => "QUIT",
            Self::Idle => "an idle line",
        })
    }
}

/// How the other side broke the protocol. The connection is closed; what was not answered stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// What came is no reply.
    #[error("{0}")]
    NoReply(#[from] ReplyError),
    /// A reply to something that was never sent, or sent only after it.
    #[error("an answer to nothing: {0}")]
    Unasked(Reply),
    /// A reply of a class that cannot answer this: 354 to MAIL, 250 to DATA.
    #[error("no answer to {0}: {1}")]
    OutOfPlace(Stage, Reply),
    /// Octets behind the 220 to STARTTLS, which could pretend to come from inside TLS (RFC 3207 4.2).
    #[error("octets between the answer to STARTTLS and the start of TLS")]
    Early,
    /// Octets behind the 250 to ATRN or TURN, where we greet first ([2645-5.3-client]).
    #[error("octets between the 250 that turned the roles and our greeting")]
    EarlyTurn,
    /// Authentication was broken off.
    #[error("AUTH was broken off: {0}")]
    Auth(#[from] AuthError),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// We said QUIT.
    Quit,
    /// 421 to anything; or 4yz or 5yz to the greeting, or to EHLO and HELO.
    Refused {
        /// To what.
        stage: Stage,
        /// What was said.
        reply: Reply,
    },
    /// The server greets with, or answers EHLO with, a name of our own.
    LoopsToSelf(Domain),
    /// The connection broke, or was closed without a word.
    Lost(Stage),
    /// No answer in the time of RFC 5321 4.5.3.2.
    TimedOut(Stage),
    /// What came was not the protocol.
    Protocol(ProtocolError),
    /// We gave up: the content of a message could not be read to its end.
    Abandoned,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quit => f.write_str("finished"),
            Self::Refused { stage, reply } => write!(f, "refused at {stage}: {reply}"),
            Self::LoopsToSelf(name) => write!(f, "the next hop calls itself {name}, which is us"),
            Self::Lost(stage) => write!(f, "connection lost at {stage}"),
            Self::TimedOut(stage) => write!(f, "no answer in time to {stage}"),
            Self::Protocol(error) => write!(f, "protocol broken: {error}"),
            Self::Abandoned => f.write_str("given up in the middle of a message"),
        }
    }
}

/// Names a transaction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub(super) u64);

/// What became of one recipient in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The recipient was accepted, and the content after it: the server took responsibility.
    Delivered,
    /// Stays, with what was said.
    Deferred(Reply),
    /// Refused for good, with what was said.
    Failed(Reply),
    /// Was one too many for this transaction, which was delivered to others: to be sent in another one at once.
    AnotherTransaction,
}

/// A transaction that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub id: TransactionId,
    /// One per recipient, in the order in which they were given.
    pub fates: Vec<Fate>,
    /// The reply to its content, where it came so far.
    pub reply: Option<Reply>,
}

/// What the machine tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The greeting and EHLO (or HELO) are over; see [`capabilities`](super::ClientSession::capabilities).
    Ready,
    /// STARTTLS was granted and the machine is spent: check that nothing came early, upgrade the stream, go on with
    /// [`ClientSession::after_tls`](super::ClientSession::after_tls).
    TlsGranted,
    /// STARTTLS was refused; the connection goes on in clear if the caller wants that.
    TlsRefused(Reply),
    /// XCLIENT was refused; the session goes on as our own.
    IntroductionRefused(Reply),
    /// A transaction is over.
    Finished(Finished),
    /// ETRN was answered; judged by the caller.
    Etrn(Reply),
    /// AUTH succeeded, and by SCRAM the server proved that it knows the account.
    Authenticated,
    /// AUTH was refused; the connection goes on without it if the caller wants that.
    AuthRefused(Reply),
    /// ATRN or TURN was granted and the machine is spent: check that nothing came early, then greet as a server.
    Turned,
    /// ATRN was refused: 453 is success, nothing is held.
    Atrn(Reply),
    /// TURN was refused.
    Turn(Reply),
    /// A step was answered, see [`Step`](super::Step).
    Stepped(Stage, Reply),
    /// Over: close. Transactions that were not finished stay as they were.
    Ended(End),
}
