//! The client machine: greeting, EHLO, perhaps STARTTLS, then transactions or ETRN, then QUIT.
//!
//! ```text
//! Greeting ▶ Hello ▶ Open ─start_tls▶ Upgrading ─220▶ spent (the driver upgrades and builds a NEW machine)
//!                    Open ─send▶ … ▶ Finished ▶ Open        Open ─etrn▶ Open
//!                    Open ─authenticate▶ … ▶ Open            Open ─atrn|turn─250▶ turned (spent)
//!                    Open ─quit▶ Quitting ▶ ended
//! ```
//!
//! The caller drains `poll_event` after each mutation, sends what `poll_transmit` hands out while it goes on
//! reading, and hands over content when `wants_content` says so, in pieces of any size: nothing but those pieces
//! is ever held here.

mod auth;
pub(crate) mod commands;
pub(crate) mod dots;
mod event;
mod introduce;
mod job;
pub mod limits;
mod pipeline;
mod relay;
#[cfg(test)]
mod tests;
mod timeouts;
mod transaction;
mod transcript;
mod window;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use restante_types::{Domain, Reply, Severity};

pub use event::{ClientEvent, End, Fate, Finished, ProtocolError, Stage, TransactionId};
pub use job::{MailJob, Room, Unsendable};
pub use relay::Step;
pub use transcript::{Speaker, Transcript};

use crate::capabilities::Capabilities;
use crate::reply_parser::ReplyParser;
use crate::sasl::client::Exchange;
use crate::server::EtrnTarget;
use dots::DotStuffer;
use pipeline::Pipeline;
use wire::Wire;

/// Who we are, as a client.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Our name in EHLO (RFC 5321 4.1.1.1).
    pub hostname: Domain,
    /// Names that are us: a server that calls itself one of them is not talked to. Empty switches the check off.
    pub own_names: Vec<Domain>,
}

/// Where the conversation stands.
#[derive(Debug)]
enum Phase {
    /// Until EHLO or HELO is answered.
    Hello,
    /// Transactions and ETRN.
    Open(Pipeline),
    /// STARTTLS is out.
    Upgrading(Pipeline),
    /// Inside AUTH.
    Authenticating(Pipeline, Exchange),
    /// 220 to STARTTLS came; nothing may come any more.
    Spent,
    /// 250 to ATRN or TURN came; nothing may come any more.
    Turned,
    /// XCLIENT is out; where it is granted, EHLO comes again with this name.
    Introducing(Pipeline, String),
    /// QUIT is out; then it ends as it says.
    Quitting(End),
    /// Over.
    Ended,
}

/// One side of an SMTP connection: the client's.
///
/// No input makes it panic, nothing it holds grows with what the server sends, and a recipient is reported as
/// delivered only after 2yz to MAIL, to its RCPT and to the content, in this transaction.
#[derive(Debug)]
pub struct ClientSession {
    config: Arc<ClientConfig>,
    parser: ReplyParser,
    phase: Phase,
    server: Capabilities,
    wire: Wire,
    events: VecDeque<ClientEvent>,
    /// When something was last said or heard: what deadlines count from.
    activity: Instant,
    /// The server speaks LMTP.
    lmtp: bool,
    /// Content that is handed on as it comes, see [`Step`].
    relayed: Option<DotStuffer>,
}

impl ClientSession {
    /// A machine that waits for the greeting: of a server we connected to, or, after ATRN, of the customer.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>, now: Instant) -> Self {
        let mut wire = Wire::default();
        wire.expect_greeting();
        Self::begin(config, wire, now)
    }

    /// A machine that goes on inside TLS after STARTTLS: no greeting, EHLO again, everything forgotten ([3207-4.2-client]).
    #[must_use]
    pub fn after_tls(config: Arc<ClientConfig>, now: Instant) -> Self {
        let mut wire = Wire::default();
        wire.say(Stage::Ehlo, &format!("EHLO {}", config.hostname));
        Self::begin(config, wire, now)
    }

    fn begin(config: Arc<ClientConfig>, wire: Wire, now: Instant) -> Self {
        Self {
            config,
            parser: ReplyParser::default(),
            phase: Phase::Hello,
            server: Capabilities::default(),
            wire,
            events: VecDeque::new(),
            activity: now,
            lmtp: false,
            relayed: None,
        }
    }

    /// What the server offers; nothing before [`ClientEvent::Ready`].
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.server
    }

    /// Takes octets of the server, all of them.
    pub fn handle_bytes(&mut self, now: Instant, mut octets: &[u8]) {
        while !octets.is_empty() {
            match self.phase {
                Phase::Ended => return,
                Phase::Spent => return self.end_early(ProtocolError::Early),
                Phase::Turned => return self.end_early(ProtocolError::EarlyTurn),
                _ => {}
            }
            match self.parser.handle_bytes(octets) {
                Err(error) => return self.end(End::Protocol(error.into())),
                Ok((taken, reply)) => {
                    octets = &octets[taken..];
                    if let Some(reply) = reply {
                        self.handle_reply(now, reply);
                    }
                }
            }
        }
    }

    /// The server closed its side, or the connection broke.
    pub fn handle_eof(&mut self) {
        if !matches!(self.phase, Phase::Ended) {
            let stage = self.stage();
            self.end(End::Lost(stage));
        }
    }

    /// The next event; drain after each mutation.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Whether [`poll_event`](Self::poll_event) has something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Moves what is to be sent to the end of `out`; true if anything was. Call it when what it gave before is on
    /// its way: deadlines assume so.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        self.wire.transmit(out)
    }

    /// Asks for TLS. False, and nothing happens, where it is not offered or something is under way.
    pub fn start_tls(&mut self, now: Instant) -> bool {
        if !self.server.starttls || !self.is_idle() {
            return false;
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Open(pipeline) => Phase::Upgrading(pipeline),
            other => other,
        };
        self.activity = now;
        self.wire.say(Stage::StartTls, "STARTTLS");
        true
    }

    /// Asks for a queue to be started, RFC 1985. False, and nothing happens, while something is under way. Whether
    /// ETRN is offered is for the caller to weigh: servers know it that do not say so.
    pub fn etrn(&mut self, now: Instant, target: &EtrnTarget) -> bool {
        if !self.is_idle() {
            return false;
        }
        self.activity = now;
        self.wire.say(Stage::Etrn, &commands::etrn(target));
        true
    }

    /// What [`send`](Self::send) would take now.
    #[must_use]
    pub fn room(&self) -> Room {
        match &self.phase {
            // ETRN, ATRN and TURN may not share a group with what follows them (RFC 2920 3.1).
            Phase::Open(_) if self.wire.awaited().is_some_and(ends_group) || self.relayed.is_some() => {
                Room::NONE
            }
            Phase::Open(pipeline) => pipeline.room(),
            _ => Room::NONE,
        }
    }

    /// Whether the server could take this at all, room or no room.
    ///
    /// # Errors
    /// [`Unsendable`], but never [`Unsendable::NoRoom`].
    pub fn check(&self, job: &MailJob) -> Result<(), Unsendable> {
        job.check(&self.server)
    }

    /// Begins a transaction. Its content is wanted later, see [`wants_content`](Self::wants_content); its end comes
    /// as [`ClientEvent::Finished`].
    ///
    /// # Errors
    /// [`Unsendable`] says why it was not taken; nothing was sent then.
    pub fn send(&mut self, now: Instant, job: MailJob) -> Result<TransactionId, Unsendable> {
        if self.room().is_none() {
            return Err(Unsendable::NoRoom);
        }
        let Phase::Open(pipeline) = &mut self.phase else { return Err(Unsendable::NoRoom) };
        let id = pipeline.start(now, job, &mut self.wire)?;
        self.activity = now;
        Ok(id)
    }

    /// Whose content is wanted now, and how many octets of it are still to come (never zero).
    #[must_use]
    pub fn wants_content(&self) -> Option<(TransactionId, u64)> {
        match &self.phase {
            Phase::Open(pipeline) => pipeline.wants_content(),
            _ => None,
        }
    }

    /// Takes the next octets of the content that is wanted; returns how many, fewer than given only at its end.
    pub fn content(&mut self, now: Instant, octets: &[u8]) -> usize {
        let Phase::Open(pipeline) = &mut self.phase else { return 0 };
        self.activity = now;
        pipeline.take_content(octets, &mut self.wire)
    }

    /// The oldest transaction that is not finished: the one that the server is at.
    #[must_use]
    pub fn oldest(&self) -> Option<TransactionId> {
        match &self.phase {
            Phase::Open(pipeline) => pipeline.oldest(),
            _ => None,
        }
    }

    /// Whether EHLO is over and everything that was asked is answered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(&self.phase, Phase::Open(pipeline) if pipeline.is_empty())
            && self.relayed.is_none()
            && self.wire.is_idle()
    }

    /// Says QUIT; while something is under way this breaks it off, as [`abandon`](Self::abandon) does.
    pub fn quit(&mut self, now: Instant) {
        if self.is_idle() { self.say_quit(now, End::Quit) } else { self.abandon() }
    }

    /// Ends without a word, because the rest of a content cannot be had: what is under way was not delivered, since
    /// neither the final dot nor the announced number of octets went out.
    pub fn abandon(&mut self) {
        if !matches!(self.phase, Phase::Ended | Phase::Quitting(_)) {
            self.end(End::Abandoned);
        }
    }

    fn handle_reply(&mut self, now: Instant, reply: Reply) {
        let stage = self.wire.next_answered();
        self.wire.heard(stage, &reply);
        let Some(stage) = stage else { return self.handle_unasked(reply) };
        self.activity = now;
        if let Phase::Quitting(end) = &self.phase {
            let end = end.clone();
            return self.end(end);
        }
        // [5321-3.8-client]: 421 means that the server closes, whatever it is the answer to.
        if reply.code.get() == 421 {
            return self.handle_421(stage, reply);
        }
        match stage {
            Stage::Greeting => self.handle_greeting(now, reply),
            Stage::Ehlo | Stage::Helo => self.handle_hello(now, stage, reply),
            Stage::StartTls => self.handle_start_tls(reply),
            Stage::Introduction => self.handle_introduction(reply),
            Stage::Etrn => self.events.push_back(ClientEvent::Etrn(reply)),
            Stage::Auth => self.handle_auth(reply),
            Stage::Atrn | Stage::Turn => self.handle_turn(stage, reply),
            _ => self.handle_mail_reply(now, stage, reply),
        }
    }

    fn handle_mail_reply(&mut self, now: Instant, stage: Stage, reply: Reply) {
        let Phase::Open(pipeline) = &mut self.phase else {
            return self.end(End::Protocol(ProtocolError::Unasked(reply)));
        };
        // Without a transaction of the pipeline's it was one step that is answered.
        if pipeline.is_empty() {
            return self.handle_step(stage, reply);
        }
        match pipeline.handle_reply(now, stage, reply, &mut self.wire) {
            Ok(finished) => self.events.extend(finished.map(ClientEvent::Finished)),
            Err(error) => self.end(End::Protocol(error)),
        }
    }

    /// A reply that answers nothing. 421 is legal at any time; a refusal in the middle of content counts for it.
    fn handle_unasked(&mut self, reply: Reply) {
        if let Phase::Quitting(end) = &self.phase {
            let end = end.clone();
            return self.end(end);
        }
        let stage = self.stage();
        if reply.code.get() == 421 {
            return self.handle_421(stage, reply);
        }
        if let Phase::Open(pipeline) = &mut self.phase {
            self.events.extend(pipeline.refuse_early(&reply).map(ClientEvent::Finished));
        }
        self.end(End::Protocol(ProtocolError::Unasked(reply)));
    }

    fn handle_421(&mut self, stage: Stage, reply: Reply) {
        if let Phase::Open(pipeline) = &mut self.phase {
            self.events.extend(pipeline.interrupt(&reply).map(ClientEvent::Finished));
        }
        self.end(End::Refused { stage, reply });
    }

    fn handle_greeting(&mut self, now: Instant, reply: Reply) {
        match reply.severity() {
            Severity::Completed => {}
            Severity::Intermediate => {
                return self.end(End::Protocol(ProtocolError::OutOfPlace(Stage::Greeting, reply)));
            }
            // [5321-3.1]: after 554 (or 4yz) nothing but QUIT is said.
            _ => return self.say_quit(now, End::Refused { stage: Stage::Greeting, reply }),
        }
        if let Some(name) = self.own_name(&reply) {
            return self.say_quit(now, End::LoopsToSelf(name));
        }
        // [2033-4.1] LHLO where EHLO would stand, and nothing else instead.
        let hello = if self.lmtp { "LHLO" } else { "EHLO" };
        self.wire.say(Stage::Ehlo, &format!("{hello} {}", self.config.hostname));
    }

    fn handle_hello(&mut self, now: Instant, stage: Stage, reply: Reply) {
        match reply.severity() {
            Severity::Completed => {}
            Severity::Intermediate => {
                return self.end(End::Protocol(ProtocolError::OutOfPlace(stage, reply)));
            }
            // [5321-3.2]: who does not know EHLO gets HELO.
            Severity::Permanent if stage == Stage::Ehlo && !self.lmtp => {
                return self.wire.say(Stage::Helo, &format!("HELO {}", self.config.hostname));
            }
            _ => return self.say_quit(now, End::Refused { stage, reply }),
        }
        if let Some(name) = self.own_name(&reply) {
            return self.say_quit(now, End::LoopsToSelf(name));
        }
        if stage == Stage::Ehlo {
            self.server = Capabilities::parse(&reply.text);
        }
        self.phase = Phase::Open(Pipeline::new(self.server, now));
        self.events.push_back(ClientEvent::Ready);
    }

    fn handle_start_tls(&mut self, reply: Reply) {
        match (reply.severity(), std::mem::replace(&mut self.phase, Phase::Ended)) {
            (Severity::Completed, _) => {
                self.phase = Phase::Spent;
                self.events.push_back(ClientEvent::TlsGranted);
            }
            (Severity::Transient | Severity::Permanent, Phase::Upgrading(pipeline)) => {
                self.phase = Phase::Open(pipeline);
                self.events.push_back(ClientEvent::TlsRefused(reply));
            }
            (_, phase) => {
                self.phase = phase;
                self.end(End::Protocol(ProtocolError::OutOfPlace(Stage::StartTls, reply)));
            }
        }
    }

    /// A name of ours, if the server calls itself that: the first word of its greeting and of its answer to EHLO.
    fn own_name(&self, reply: &Reply) -> Option<Domain> {
        let word = reply.text.split_ascii_whitespace().next()?;
        let name = Domain::parse(word).ok()?;
        self.config.own_names.contains(&name).then_some(name)
    }

    fn stage(&self) -> Stage {
        let relayed = self.relayed.map(|_| Stage::Content);
        let content = || self.wants_content().map(|_| Stage::Content).or(relayed);
        self.wire.awaited().or_else(content).unwrap_or(Stage::Idle)
    }

    /// [5321-4.1.1.10-client]: no connection is closed on purpose without QUIT, and its answer is waited for.
    fn say_quit(&mut self, now: Instant, end: End) {
        self.activity = now;
        self.wire.say(Stage::Quit, "QUIT");
        self.phase = Phase::Quitting(end);
    }

    /// [3207-4.2-client] [2645-early-client]: what stands behind the 220, or the 250 that turns, may have been put there by
    /// somebody in between, and answers nothing.
    fn end_early(&mut self, error: ProtocolError) {
        self.events.retain(|event| !matches!(event, ClientEvent::TlsGranted | ClientEvent::Turned));
        self.end(End::Protocol(error));
    }

    fn end(&mut self, end: End) {
        // An end that was decided before QUIT stands, however QUIT went.
        let end = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Quitting(decided) => decided,
            _ => end,
        };
        self.wire.clear();
        self.events.push_back(ClientEvent::Ended(end));
    }
}

const fn ends_group(stage: Stage) -> bool {
    matches!(stage, Stage::Etrn | Stage::Atrn | Stage::Turn)
}
