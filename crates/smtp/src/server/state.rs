//! The states, each with what is legal in it and nothing else.

use restante_types::{Envelope, Reply};

use super::event::{EtrnTarget, MailCommand, Transaction};
use crate::framing::chunk::Chunk;
use crate::framing::dot::DotReader;
use crate::framing::meter::Meter;
use crate::sasl::server::Exchange;

/// Where the session is.
#[derive(Debug)]
pub(super) enum State {
    /// Not greeted yet; whoever talks now is no SMTP client.
    Silent,
    /// No transaction; commands are read.
    Idle,
    /// After MAIL; commands are read.
    Open(Box<Transaction>),
    /// DATA's content is read.
    Data(Box<Intake>, DotReader),
    /// A chunk's content is read.
    Chunk(Box<Intake>, Chunk),
    /// Between two chunks; commands are read.
    BetweenChunks(Box<Intake>),
    /// A refused chunk is swallowed; its reply comes behind it.
    Swallow(Chunk, Box<Reply>, AfterSwallow),
    /// A chunk failed; commands are read.
    Failed,
    /// Inside AUTH; lines are read.
    Authenticating(Box<Exchange>),
    /// A question is out; nothing is read.
    Asked(Asked),
    /// TLS starts, or the roles turn; nothing is read any more.
    Spent,
    /// 221, 421 or the end of the stream; nothing is read any more.
    Closed,
}

/// The question that is out.
#[derive(Debug)]
pub(super) enum Asked {
    Mail(Box<Transaction>),
    Rcpt(Box<Transaction>),
    Data(Box<Transaction>, Early),
    FirstChunk(Box<Transaction>, Chunk),
    Queued,
    StartTls,
    Etrn(EtrnTarget),
    ScramKeys(Box<Exchange>),
    Auth(Box<Exchange>),
    Atrn,
    Turn,
}

/// Whether octets already stood behind DATA, which must not be read as commands when it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    No,
    Yes,
}

/// Where a swallowed chunk leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterSwallow {
    Idle,
    Failed,
}

impl AfterSwallow {
    /// [3030-2d] the last chunk ends the transaction, whatever became of it.
    pub(super) const fn of(chunk: Chunk) -> Self {
        if chunk.last { Self::Idle } else { Self::Failed }
    }
}

/// A message that is coming in.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) transaction: Transaction,
    pub(super) meter: Meter,
}

impl State {
    /// The transaction that is open.
    pub(super) fn transaction(&self) -> Option<&Transaction> {
        match self {
            Self::Open(transaction)
            | Self::Asked(
                Asked::Rcpt(transaction) | Asked::Data(transaction, _) | Asked::FirstChunk(transaction, _),
            ) => Some(transaction),
            Self::Data(intake, _) | Self::Chunk(intake, _) | Self::BetweenChunks(intake) => {
                Some(&intake.transaction)
            }
            _ => None,
        }
    }

    /// The message that is coming in.
    pub(super) fn intake(&mut self) -> Option<&mut Intake> {
        match self {
            Self::Data(intake, _) | Self::Chunk(intake, _) | Self::BetweenChunks(intake) => Some(intake),
            _ => None,
        }
    }
}

impl From<MailCommand> for Transaction {
    fn from(mail: MailCommand) -> Self {
        let MailCommand { sender, size, body, smtputf8, ret, envid } = mail;
        let envelope = Envelope { sender, recipients: Vec::new(), body, smtputf8, ret, envid };
        Self { envelope, declared_size: size }
    }
}
