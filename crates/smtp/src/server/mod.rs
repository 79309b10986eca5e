//! The server machine. SEAM: signatures that the drivers are written against; bodies to be filled in.

use std::sync::Arc;
use std::time::Instant;

use restante_types::{
    Body, ClientFacts, Domain, Envelope, ForwardPath, Notify, QueueId, Recipient, Reply, Ret, ReversePath, Xtext,
};

use crate::ask::Ask;

/// What a listener offers and bounds. One per listener and reload, shared by its sessions.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Our name in the greeting, in EHLO's answer and in 221 and 421.
    pub hostname: Domain,
    /// STARTTLS is offered (never inside TLS).
    pub starttls: bool,
    /// MAIL and ETRN want TLS first: 530 5.7.0.
    pub tls_required: bool,
    /// ETRN is offered; otherwise 502.
    pub etrn: bool,
    /// SMTPUTF8 is offered.
    pub smtputf8: bool,
    /// Bare LF or CR is refused instead of normalised.
    pub strict: bool,
    /// SIZE: octets of content at most.
    pub message_size: u64,
    /// Recipients of one transaction at most (at least 100, RFC 5321 4.5.3.1.8).
    pub recipients: usize,
}

/// A kind of question, with the proof that grants it.
pub trait Question {
    /// What the caller must hand over to say yes.
    type Proof;
}

/// May this sender send? Refusal: any 4yz or 5yz.
#[derive(Debug)]
pub enum Mail {}
impl Question for Mail {
    type Proof = ();
}

/// May this recipient get mail? The proof is the recipient as it will be stored (`Postmaster` has a domain by then).
#[derive(Debug)]
pub enum Rcpt {}
impl Question for Rcpt {
    type Proof = Recipient;
}

/// May content come now (`354`, or the first BDAT)? After the grant content flows into the sink.
#[derive(Debug)]
pub enum Begin {}
impl Question for Begin {
    type Proof = ();
}

/// Is the message durable? The proof says so and names it.
#[derive(Debug)]
pub enum Queued<R> {
    /// Never built.
    #[doc(hidden)]
    Never(std::convert::Infallible, std::marker::PhantomData<R>),
}
impl<R: QueuedAs> Question for Queued<R> {
    type Proof = R;
}

/// May TLS start? After the grant the machine is spent: the driver sends what is to be transmitted, checks that
/// nothing came early, upgrades the stream and builds a new machine with [`ServerSession::after_tls`].
#[derive(Debug)]
pub enum StartTls {}
impl Question for StartTls {
    type Proof = ();
}

/// May this node's queue flow? RFC 1985.
#[derive(Debug)]
pub enum Etrn {}
impl Question for Etrn {
    type Proof = EtrnAnswer;
}

/// A proof of durability that can name the message.
pub trait QueuedAs {
    /// For `250 2.0.0 queued as …`.
    fn queue_id(&self) -> QueueId;
}

/// The success replies of RFC 1985 5.3 that this server gives.
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
    /// HELO or EHLO was accepted (again); the name is at most 255 octets, as it came.
    Hello(String),
    /// MAIL
    Mail(Ask<Mail>, MailCommand),
    /// RCPT
    Rcpt(Ask<Rcpt>, RcptCommand),
    /// DATA, or the first BDAT of a transaction; see [`ServerSession::transaction`].
    Begin(Ask<Begin>),
    /// All content went into the sink.
    ContentEnds(Ask<Queued<R>>, Envelope, ContentFacts),
    /// What went into the sink is void: too large, RSET between chunks, QUIT, a new EHLO, a broken chunk, strict.
    ContentVoid,
    /// STARTTLS
    StartTls(Ask<StartTls>),
    /// ETRN with a well-formed argument
    Etrn(Ask<Etrn>, EtrnTarget),
    /// A reply of the machine's own to something wrong, for the log (the command's verb at most, never its text).
    BadCommand(Reply),
    /// Nothing more will be read: transmit what is left, then close.
    Close,
}

/// Where content goes in; re-exported name for drivers.
pub type Content<'a> = &'a mut dyn ContentSink;

/// One side of an SMTP connection: ours, the server's. `R` is the proof of durability.
#[derive(Debug)]
pub struct ServerSession<R> {
    _todo: std::marker::PhantomData<R>,
}

impl<R: QueuedAs> ServerSession<R> {
    /// A machine that is about to greet. `client.tls` is set on implicit TLS listeners.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, client: ClientFacts, now: Instant) -> Self {
        let _ = (config, client, now);
        Self { _todo: std::marker::PhantomData }
    }

    /// A machine that goes on inside TLS after STARTTLS: no greeting, EHLO again, everything forgotten.
    #[must_use]
    pub fn after_tls(config: Arc<ServerConfig>, client: ClientFacts, now: Instant) -> Self {
        Self::new(config, client, now)
    }

    /// Greets with 220. The driver has checked, right before, that the client has not talked early.
    pub fn greet(&mut self) {}

    /// Greets with a refusal (554, 421) and closes.
    pub fn turn_away(&mut self, reply: &Reply) {
        let _ = reply;
    }

    /// Takes octets until a question comes up or all are taken; returns how many were taken. Call again with the
    /// rest after the question is answered.
    pub fn handle_bytes(&mut self, now: Instant, octets: &[u8], content: Content<'_>) -> usize {
        let _ = (now, content);
        octets.len()
    }

    /// The client closed its side, or the connection broke.
    pub fn handle_eof(&mut self) {}

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// A deadline passed: 421 4.4.2 and close.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// We are shutting down: 421 4.3.2 as soon as nothing is in flight, at once if nothing is.
    pub fn shut_down(&mut self) {}

    /// The next event; drain after each mutation.
    pub fn poll_event(&mut self) -> Option<Event<R>> {
        None
    }

    /// Moves what is to be sent to the end of `out`; true if anything was.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        false
    }

    /// Says yes.
    pub fn grant<Q: Question>(&mut self, ask: Ask<Q>, proof: Q::Proof) {
        let _ = (ask, proof);
    }

    /// Says no, with this reply.
    pub fn refuse<Q: Question>(&mut self, ask: Ask<Q>, reply: Reply) {
        let _ = (ask, reply);
    }

    /// The content that is coming cannot be kept (disk full, too many hops): swallow the rest, then answer this.
    pub fn void_content(&mut self, reply: Reply) {
        let _ = reply;
    }

    /// The transaction that is open.
    #[must_use]
    pub fn transaction(&self) -> Option<&Transaction> {
        None
    }

    /// Who the client is, with its HELO name.
    #[must_use]
    pub fn client(&self) -> &ClientFacts {
        unimplemented!()
    }

    /// Whether it was ESMTP (`EHLO`), for the Received line's `with`.
    #[must_use]
    pub fn is_esmtp(&self) -> bool {
        true
    }
}
