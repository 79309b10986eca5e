//! Octets become commands and content.

use restante_types::Reply;

use super::event::{ContentSink, Event};
use super::question::QueuedAs;
use super::replies;
use super::session::{Content, Hello, ServerSession};
use super::state::{AfterSwallow, Asked, Early, Intake, State};
use super::table::{self, Phase, Row};
use crate::ask::Ask;
use crate::framing::chunk::Chunk;
use crate::framing::line::LineFault;
use crate::framing::meter::Void;
use crate::grammar::verb::{self, Verb};
use crate::limits::MAX_COMMAND_LINE;

/// What became of some octets.
pub(super) struct Read {
    pub(super) taken: usize,
    /// The caller gets its turn before more is read.
    pub(super) pause: bool,
}

/// Content that goes nowhere.
pub(super) struct Nowhere;
impl ContentSink for Nowhere {
    fn content(&mut self, _: &[u8]) {}
}

impl<R: QueuedAs> ServerSession<R> {
    /// Reads one command, or content as far as it goes; `octets` are not empty.
    pub(super) fn read(&mut self, octets: &[u8], content: Content<'_>) -> Read {
        match self.state {
            State::Idle | State::Open(_) | State::BetweenChunks(_) | State::Failed => {
                self.read_line(octets, content)
            }
            State::Authenticating(_) => self.read_auth_line(octets),
            State::Data(..) => self.read_data(octets, content),
            State::Chunk(..) => self.read_chunk(octets, content),
            State::Swallow(..) => self.read_swallowed(octets),
            // [smuggling-i]
            State::Silent => {
                self.talked_early();
                Read { taken: 0, pause: true }
            }
            State::Asked(_) | State::Spent | State::Closed => Read { taken: 0, pause: true },
        }
    }

    fn read_line(&mut self, octets: &[u8], content: Content<'_>) -> Read {
        let mut lines = std::mem::take(&mut self.lines);
        let (taken, line) = lines.feed(octets, self.config.strict, max_line);
        let mut pause = false;
        if let Some(line) = line {
            self.deadlines.command();
            let early = if taken < octets.len() { Early::Yes } else { Early::No };
            pause = self.line(line, early, content);
            lines.release();
        }
        self.lines = lines;
        Read { taken, pause }
    }

    /// Does what a line says; true when its reply wants to go out at once.
    fn line(&mut self, line: Result<&[u8], LineFault>, early: Early, content: Content<'_>) -> bool {
        let data_refused = std::mem::take(&mut self.data_refused);
        let (verb, arguments) = match parse(line) {
            Ok(parsed) => parsed,
            Err(_) if data_refused => {
                self.talked_early();
                return true;
            }
            Err(reply) => {
                self.reject_bad(reply);
                return true;
            }
        };
        let row = table::row(verb);
        let refusal = self.refusal(verb, row);
        match (verb, refusal) {
            (Verb::Bdat, refusal) => self.bdat(arguments, refusal, content),
            (Verb::Data, Some(reply)) => self.refuse_data(reply, early),
            (_, Some(reply)) if reply.code.get() == 502 => self.reject_bad(reply),
            (_, Some(reply)) => self.reject(reply),
            (_, None) => self.command(verb, arguments, early),
        }
        row.ends_group
    }

    fn command(&mut self, verb: Verb, arguments: &str, early: Early) {
        match verb {
            Verb::Helo => self.hello(Hello::Helo, arguments),
            Verb::Ehlo => self.hello(Hello::Ehlo, arguments),
            Verb::Mail => self.mail(arguments),
            Verb::Rcpt => self.rcpt(arguments),
            Verb::Data => self.data(arguments, early),
            Verb::Rset => self.rset(arguments),
            Verb::Noop => self.say(replies::NOOP),
            Verb::Vrfy => self.vrfy(arguments),
            Verb::Help => self.say(replies::HELP),
            Verb::Quit => self.quit(arguments),
            Verb::StartTls => self.starttls(arguments),
            Verb::Etrn => self.etrn(arguments),
            Verb::Auth => self.auth(arguments),
            Verb::Atrn => self.atrn(arguments),
            Verb::Turn => self.turn(arguments),
            // `line` and `refusal` have answered these.
            Verb::Bdat | Verb::Expn => {}
        }
    }

    /// Why a verb is not taken here and now, whatever its arguments.
    fn refusal(&self, verb: Verb, row: Row) -> Option<Reply> {
        let tls = self.client.tls.is_some();
        if !self.config.takes(verb, tls) {
            return Some(replies::not_implemented());
        }
        // [4954-4-cleartext] RFC 4954 6 gives 530 to what wants TLS first, as RFC 3207 does.
        let in_clear = !matches!(verb, Verb::Auth | Verb::Atrn | Verb::Turn) || self.config.auth.cleartext;
        if !tls && !row.before_tls && (self.config.tls_required || !in_clear) {
            return Some(replies::tls_first());
        }
        if verb == Verb::StartTls && tls {
            return Some(replies::bad_sequence("TLS is already active"));
        }
        let phase = self.phase();
        if !row.is_legal(phase) {
            return Some(replies::bad_sequence(out_of_place(verb, phase)));
        }
        let known = self.client.identity.is_some();
        let shown = self.client.tls.as_ref().is_some_and(|tls| tls.peer_fingerprint.is_some());
        match verb {
            // [4954-4-once]
            Verb::Auth if known => Some(replies::bad_sequence("Already authenticated")),
            // [2645-5.2.1-530]
            Verb::Atrn if !known => Some(replies::authenticate_first()),
            // [821-turn-who]
            Verb::Turn if !known && !shown => Some(replies::authenticate_first()),
            _ => None,
        }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Open(_) => Phase::Transaction,
            State::BetweenChunks(_) => Phase::Chunks,
            State::Failed => Phase::Failed,
            _ if self.hello == Hello::Nothing => Phase::Greeted,
            _ => Phase::Ready,
        }
    }

    fn read_data(&mut self, octets: &[u8], content: Content<'_>) -> Read {
        let State::Data(intake, dots) = &mut self.state else { return Read { taken: 0, pause: true } };
        let was_void = intake.meter.void().is_some();
        let (taken, ended) = dots.feed(octets, &mut |piece| intake.meter.feed(piece, content));
        if ended {
            intake.meter.finish(content);
        }
        if self.content_came(taken, was_void) && ended {
            self.end_of_content();
        }
        Read { taken, pause: false }
    }

    fn read_chunk(&mut self, octets: &[u8], content: Content<'_>) -> Read {
        let State::Chunk(intake, chunk) = &mut self.state else { return Read { taken: 0, pause: true } };
        let was_void = intake.meter.void().is_some();
        let piece = chunk.take(octets);
        intake.meter.feed(piece, content);
        let complete = chunk.is_complete();
        if self.content_came(piece.len(), was_void) && complete {
            self.end_of_chunk(content);
        }
        Read { taken: piece.len(), pause: false }
    }

    /// Tells once that content became void; false when so much was swallowed that the session was closed.
    fn content_came(&mut self, octets: usize, was_void: bool) -> bool {
        self.deadlines.content(octets);
        let Some(intake) = self.state.intake() else { return true };
        let glutted = intake.meter.is_glutted();
        if !was_void && intake.meter.void().is_some() {
            self.events.push(Event::ContentVoid);
        }
        if glutted {
            self.reject(replies::too_large());
            self.close();
        }
        !glutted
    }

    /// A chunk is complete. [3030-2b] each gets a reply once its octets are in.
    pub(super) fn end_of_chunk(&mut self, content: Content<'_>) {
        let State::Chunk(intake, chunk) = &mut self.state else { return };
        if chunk.last {
            let was_void = intake.meter.void().is_some();
            intake.meter.finish(content);
            self.content_came(0, was_void);
            self.end_of_content();
            return;
        }
        let size = chunk.size;
        let State::Chunk(intake, _) = std::mem::replace(&mut self.state, State::Failed) else { return };
        match intake.meter.void() {
            Some(void) => self.refuse_content(void.clone()),
            None => {
                replies::chunk(&mut self.out, size);
                self.state = State::BetweenChunks(intake);
            }
        }
    }

    /// All content is in. [5321-4.1.1.4] the transaction ends here, whatever the answer will be.
    fn end_of_content(&mut self) {
        self.deadlines.command();
        let state = std::mem::replace(&mut self.state, State::Idle);
        let (State::Data(intake, _) | State::Chunk(intake, _)) = state else { return };
        let Intake { transaction, meter } = *intake;
        match meter.void() {
            Some(void) => self.refuse_content(void.clone()),
            None => {
                let event = Event::ContentEnds(Ask::new(), transaction.envelope, meter.facts());
                self.ask(Asked::Queued, event);
            }
        }
    }

    fn refuse_content(&mut self, void: Void) {
        match void {
            Void::TooLarge => self.reject(replies::too_large()),
            Void::Bare => self.reject(replies::bare_line_end()),
            Void::Refused(reply) => self.refuse_with(&reply),
        }
    }

    /// [3030-2c] the octets of a refused chunk are swallowed before its reply.
    pub(super) fn swallow(&mut self, chunk: Chunk, reply: Reply, after: AfterSwallow) {
        self.state = State::Swallow(chunk, Box::new(reply), after);
        self.end_of_swallowing();
    }

    fn read_swallowed(&mut self, octets: &[u8]) -> Read {
        let State::Swallow(chunk, ..) = &mut self.state else { return Read { taken: 0, pause: true } };
        let taken = chunk.take(octets).len();
        self.deadlines.content(taken);
        self.end_of_swallowing();
        Read { taken, pause: false }
    }

    fn end_of_swallowing(&mut self) {
        let State::Swallow(chunk, reply, after) = &self.state else { return };
        if !chunk.is_complete() {
            return;
        }
        let (reply, after) = (reply.clone(), *after);
        self.deadlines.command();
        self.state = if after == AfterSwallow::Idle { State::Idle } else { State::Failed };
        self.refuse_with(&reply);
    }
}

/// The verb and its arguments, or why the line has none.
fn parse(line: Result<&[u8], LineFault>) -> Result<(Verb, &str), Reply> {
    let line = line.map_err(replies::line_fault)?;
    let text = str::from_utf8(line).map_err(|_| replies::not_utf8())?;
    verb::split(text).ok_or_else(replies::unknown_verb)
}

/// Octets of a line at most, by what has come of it.
fn max_line(start: &[u8]) -> usize {
    verb::of(start).map_or(MAX_COMMAND_LINE, |verb| table::row(verb).max_line)
}

/// [3030-2f] DATA and BDAT do not go together.
fn out_of_place(verb: Verb, phase: Phase) -> &'static str {
    match (phase, verb) {
        (Phase::Failed, _) => "A chunk failed, send RSET",
        (Phase::Greeted, _) => "Send EHLO first",
        (Phase::Ready, _) => "Need MAIL command",
        (Phase::Chunks, Verb::Data) => "DATA does not go with BDAT",
        (_, Verb::Mail) => "Nested MAIL command",
        _ => "Not inside a transaction",
    }
}
