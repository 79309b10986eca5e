//! The face of the machine.

use std::sync::Arc;
use std::time::Instant;

use restante_types::{ClientFacts, Reply};

use super::config::ServerConfig;
use super::deadline::Deadlines;
use super::event::{ContentSink, Event, Events, Transaction};
use super::question::{Question, QueuedAs};
use super::replies;
use super::state::{Asked, State};
use crate::ask::Ask;
use crate::framing::line::LineReader;
use crate::framing::meter::Void;
use crate::limits::{KEPT_TRANSMIT_BUFFER, MAX_BAD_COMMANDS, MAX_WAITING_EVENTS, MAX_WAITING_REPLIES};
use crate::sasl::Channel;

/// Where content goes in; re-exported name for drivers.
pub type Content<'a> = &'a mut dyn ContentSink;

/// What the client called itself by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    Nothing,
    Helo,
    Ehlo,
}

/// One side of an SMTP connection: ours, the server's. `R` is the proof of durability.
#[derive(Debug)]
pub struct ServerSession<R> {
    pub(super) config: Arc<ServerConfig>,
    pub(super) client: ClientFacts,
    pub(super) state: State,
    pub(super) hello: Hello,
    pub(super) lines: LineReader,
    pub(super) out: Vec<u8>,
    pub(super) events: Events<R>,
    pub(super) deadlines: Deadlines,
    /// The last command was DATA, and it was refused.
    pub(super) data_refused: bool,
    /// For channel binding and fresh nonces; without it SCRAM and CRAM-MD5 are not offered.
    pub(super) channel: Option<Box<Channel>>,
    pub(super) auth_failures: u8,
    bad_commands: u8,
    shutting_down: bool,
    eof: bool,
}

impl<R: QueuedAs> ServerSession<R> {
    /// A machine that is about to greet. `client.tls` is set on implicit TLS listeners.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, client: ClientFacts, now: Instant) -> Self {
        Self {
            config,
            client,
            state: State::Silent,
            hello: Hello::Nothing,
            lines: LineReader::default(),
            out: Vec::new(),
            events: Events::new(),
            deadlines: Deadlines::new(now),
            data_refused: false,
            channel: None,
            auth_failures: 0,
            bad_commands: 0,
            shutting_down: false,
            eof: false,
        }
    }

    /// A machine that goes on inside TLS after STARTTLS: no greeting, EHLO again, everything forgotten ([3207-4.2]).
    #[must_use]
    pub fn after_tls(config: Arc<ServerConfig>, client: ClientFacts, now: Instant) -> Self {
        let client = ClientFacts { helo: String::new(), ..client };
        Self { state: State::Idle, ..Self::new(config, client, now) }
    }

    /// Says what the connection lends to authentication; without it SCRAM and CRAM-MD5 are not offered. Called right after
    /// the machine was built, by [`new`](Self::new) and by [`after_tls`](Self::after_tls).
    pub fn set_channel(&mut self, channel: Channel) {
        self.channel = Some(Box::new(channel));
    }

    /// Greets with 220. The driver has checked, right before, that the client has not talked early.
    pub fn greet(&mut self) {
        if !matches!(self.state, State::Silent) {
            return;
        }
        self.state = State::Idle;
        if !self.shutting_down {
            replies::greeting(&mut self.out, &self.config.hostname);
        }
        self.deadlines.answered();
        self.settle();
    }

    /// Greets with a refusal (554, 421) and closes.
    pub fn turn_away(&mut self, reply: &Reply) {
        if matches!(self.state, State::Silent) {
            reply.write(&mut self.out);
            self.close();
        }
    }

    /// [smuggling-d] [smuggling-i] The driver found octets where none may be: before the greeting, or behind STARTTLS. 554 5.5.0 and close; they
    /// are never processed.
    pub fn talked_early(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.reject(replies::too_early());
            self.close();
        }
    }

    /// Takes octets until a question comes up, a reply wants to go out at once, replies or events pile up, or all are taken;
    /// returns how many were taken. Drain events and replies, answer the question if there is one, then call again
    /// with the rest. 0 for a non-empty slice means: a question is out, replies or events wait, or nothing more is read (after
    /// STARTTLS was granted, after [`Event::Close`]).
    pub fn handle_bytes(&mut self, now: Instant, octets: &[u8], content: Content<'_>) -> usize {
        self.deadlines.seen(now);
        let mut taken = 0;
        while taken < octets.len()
            && self.out.len() < MAX_WAITING_REPLIES
            && self.events.len() < MAX_WAITING_EVENTS
        {
            let read = self.read(&octets[taken..], content);
            taken += read.taken;
            self.settle();
            if read.pause {
                break;
            }
        }
        taken
    }

    /// The client closed its side, or the connection broke; call it once everything that was read has been taken.
    pub fn handle_eof(&mut self) {
        self.eof = true;
        self.settle();
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; none while a question is out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.is_waiting_for_client().then(|| self.deadlines.next())
    }

    /// A deadline passed: 421 4.4.2 and close. Does nothing when called too early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_waiting_for_client() && self.deadlines.is_over(now) {
            replies::timeout(&self.config.hostname).write(&mut self.out);
            self.close();
        }
    }

    /// We are shutting down: 421 4.3.2 as soon as nothing is in flight, at once if nothing is. A transaction counts
    /// from MAIL to its end.
    pub fn shut_down(&mut self) {
        self.shutting_down = true;
        self.settle();
    }

    /// The next event; drain after each mutation.
    pub fn poll_event(&mut self) -> Option<Event<R>> {
        self.events.pop()
    }

    /// Moves what is to be sent to the end of `out`; true if anything was.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        let any = !self.out.is_empty();
        out.append(&mut self.out);
        self.out.shrink_to(KEPT_TRANSMIT_BUFFER);
        any
    }

    /// Says yes.
    pub fn grant<Q: Question>(&mut self, ask: Ask<Q>, proof: Q::Proof) {
        ask.spend();
        self.granted(Q::granted(proof));
        self.settle();
    }

    /// Says no, with this reply. A 421 closes as well.
    pub fn refuse<Q: Question>(&mut self, ask: Ask<Q>, reply: Reply) {
        ask.spend();
        self.refused(reply);
        self.settle();
    }

    /// The content that is coming cannot be kept (disk full, too many hops): swallow the rest, then answer this. No
    /// [`Event::ContentVoid`] follows, and no [`Event::ContentEnds`].
    pub fn void_content(&mut self, reply: Reply) {
        if let Some(intake) = self.state.intake() {
            intake.meter.spoil(Void::Refused(reply));
        }
    }

    /// The transaction that is open.
    #[must_use]
    pub fn transaction(&self) -> Option<&Transaction> {
        self.state.transaction()
    }

    /// Octets so far of the content that is coming; 0 while none is.
    #[must_use]
    pub fn content_so_far(&self) -> u64 {
        match &self.state {
            State::Data(intake, _) | State::Chunk(intake, _) => intake.meter.facts().size,
            _ => 0,
        }
    }

    /// Who the client is, with its HELO name.
    #[must_use]
    pub const fn client(&self) -> &ClientFacts {
        &self.client
    }

    /// Whether it was ESMTP (`EHLO`), for the Received line's `with`.
    #[must_use]
    pub fn is_esmtp(&self) -> bool {
        self.hello == Hello::Ehlo
    }

    const fn is_waiting_for_client(&self) -> bool {
        !matches!(self.state, State::Asked(_) | State::Spent | State::Closed)
    }

    /// Ends the session where there is a reason to and nothing is in flight.
    fn settle(&mut self) {
        if !self.is_waiting_for_client() {
            return;
        }
        if self.eof {
            self.close();
        } else if self.shutting_down
            && matches!(self.state, State::Idle | State::Failed | State::Authenticating(_))
        {
            replies::shutting_down(&self.config.hostname).write(&mut self.out);
            self.close();
        }
    }

    /// Whatever was in flight is void.
    pub(super) fn abandon(&mut self) {
        if self.state.intake().is_some_and(|intake| intake.meter.void().is_none()) {
            self.events.push(Event::ContentVoid);
        }
        self.state = State::Idle;
    }

    /// Ends the session, once.
    pub(super) fn close(&mut self) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.abandon();
        self.state = State::Closed;
        self.events.push(Event::Close);
    }

    pub(super) fn ask(&mut self, asked: Asked, event: Event<R>) {
        self.state = State::Asked(asked);
        self.events.push(event);
    }

    pub(super) fn say(&mut self, wire: &[u8]) {
        self.out.extend_from_slice(wire);
    }

    /// A reply to something wrong.
    pub(super) fn reject(&mut self, reply: Reply) {
        reply.write(&mut self.out);
        self.events.push(Event::BadCommand(reply));
    }

    /// A reply to what no mail client sends; ten of them end the session.
    pub(super) fn reject_bad(&mut self, reply: Reply) {
        self.reject(reply);
        self.bad_commands += 1;
        if self.bad_commands >= MAX_BAD_COMMANDS {
            replies::too_many_bad_commands(&self.config.hostname).write(&mut self.out);
            self.close();
        }
    }

    /// Something was achieved: the client means well.
    pub(super) fn achieved(&mut self) {
        self.bad_commands = 0;
        self.deadlines.achieved();
    }
}
