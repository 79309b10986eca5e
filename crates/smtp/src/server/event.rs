//! What the machine wants or tells, and the nouns of its questions.

use std::collections::VecDeque;

use restante_types::{Body, Domain, Envelope, ForwardPath, Notify, Reply, Ret, ReversePath, Xtext};

use super::question::{Atrn, Auth, Begin, Etrn, Mail, Queued, Rcpt, StartTls, Turn};
use crate::ask::Ask;
use crate::sasl::{Evidence, ScramKeys};

/// The success replies of RFC 1985 5.1 that this server gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtrnAnswer {
    /// 250: started, the count is not told.
    Started,
    /// 251: nothing is waiting.
    NothingWaiting,
    /// 252: pending messages started, count withheld.
    Pending,
    /// 253: this many messages pending.
    PendingCount(u64),
}

/// What ETRN asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtrnTarget {
    /// `example.org`
    Node(Domain),
    /// `@example.org`: it and every name below; at least two labels.
    Subtree(Domain),
    /// `#name`: a group of the configuration; at most 64 characters, compared without case.
    Group(String),
}

/// MAIL with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailCommand {
    /// Who from.
    pub sender: ReversePath,
    /// `SIZE=`, already checked against the limit.
    pub size: Option<u64>,
    /// `BODY=`
    pub body: Body,
    /// `SMTPUTF8`
    pub smtputf8: bool,
    /// `RET=`
    pub ret: Option<Ret>,
    /// `ENVID=`
    pub envid: Option<Xtext>,
}

/// RCPT with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcptCommand {
    /// Who to, without its source route.
    pub path: ForwardPath,
    /// `NOTIFY=`
    pub notify: Option<Notify>,
    /// `ORCPT=`
    pub original: Option<Xtext>,
}

/// What the machine knows of the transaction that is open.
#[derive(Debug)]
pub struct Transaction {
    /// Sender, parameters and the recipients granted so far.
    pub envelope: Envelope,
    /// `SIZE=` of MAIL.
    pub declared_size: Option<u64>,
}

/// What was seen of the content while it went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentFacts {
    /// Octets handed to the sink.
    pub size: u64,
    /// Bare LF or bare CR was normalised.
    pub normalised: bool,
}

/// Where content goes, in order, canonical (CRLF only, dots unstuffed).
pub trait ContentSink {
    /// Some octets; called many times.
    fn content(&mut self, octets: &[u8]);
}

/// What the machine wants or tells.
#[derive(Debug)]
pub enum Event<R> {
    /// HELO or EHLO was accepted (again); the name is one word of at most 255 octets without controls, as it came.
    Hello(String),
    /// MAIL
    Mail(Ask<Mail>, MailCommand),
    /// RCPT
    Rcpt(Ask<Rcpt>, RcptCommand),
    /// DATA, or the first BDAT of a transaction; see
    /// [`ServerSession::transaction`](super::ServerSession::transaction).
    Begin(Ask<Begin>),
    /// All content went into the sink.
    ContentEnds(Ask<Queued<R>>, Envelope, ContentFacts),
    /// What went into the sink is void: too large, RSET between chunks, QUIT, a new EHLO, a broken chunk, strict, a
    /// closed connection. Content that the caller made void itself is not reported.
    ContentVoid,
    /// STARTTLS
    StartTls(Ask<StartTls>),
    /// ETRN with a well-formed argument
    Etrn(Ask<Etrn>, EtrnTarget),
    /// AUTH by SCRAM needs the keys of this account (its name is prepared by SASLprep). Who is not known gets keys that
    /// are not genuine, not a refusal.
    ScramKeys(Ask<ScramKeys>, String),
    /// AUTH came to what the client shows for itself.
    Auth(Ask<Auth>, Evidence),
    /// ATRN for these domains, each once; none: all that the identity has. The client is authenticated.
    Atrn(Ask<Atrn>, Vec<Domain>),
    /// TURN. The client is authenticated or showed a certificate.
    Turn(Ask<Turn>),
    /// A reply of the machine's own to something wrong, for the log (the command's verb at most, never its text).
    BadCommand(Reply),
    /// Nothing more will be read: transmit what is left, then close.
    Close,
}

/// Events in order. One place is inside, so that a session that is drained after every command allocates nothing; the
/// rest is bounded, for the machine reads nothing while many wait.
#[derive(Debug)]
pub(super) struct Events<R> {
    first: Option<Event<R>>,
    more: VecDeque<Event<R>>,
}

impl<R> Events<R> {
    pub(super) const fn new() -> Self {
        Self { first: None, more: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    pub(super) fn push(&mut self, event: Event<R>) {
        let last = self.more.back_mut().or(self.first.as_mut());
        match (last, event) {
            (Some(Event::Hello(before)), Event::Hello(name)) => *before = name,
            (None, event) => self.first = Some(event),
            (Some(_), event) => self.more.push_back(event),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event<R>> {
        let event = self.first.take().or_else(|| self.more.pop_front());
        if self.more.is_empty() {
            self.more = VecDeque::new();
        }
        event
    }
}
