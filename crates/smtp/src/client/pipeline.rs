//! Transactions under way: what may be sent before what was answered.
//!
//! | server offers | goes out together |
//! |---|---|
//! | nothing | one command |
//! | PIPELINING | the end of one content, and MAIL, RCPT, DATA of the next message |
//! | CHUNKING | one command; the content with its BDAT |
//! | both, nothing accepted yet | MAIL, RCPT; then BDAT LAST |
//! | both, one message accepted | RSET, MAIL, RCPT, BDAT LAST of many messages |

use std::collections::VecDeque;
use std::time::Instant;

use restante_types::{Reply, Severity};

use super::commands;
use super::dots::DotStuffer;
use super::event::{Fate, Finished, ProtocolError, Stage, TransactionId};
use super::job::{MailJob, Room, Unsendable};
use super::transaction::Transaction;
use super::window::Window;
use super::wire::Wire;
use crate::capabilities::Capabilities;

/// What the newest transaction waits for, as long as its content is not handed over whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The answer to RSET (one command at a time).
    Reset,
    /// The answers to XFORWARD, so many still (one command at a time).
    Forward { left: usize },
    /// The answer to MAIL (one command at a time).
    Mail,
    /// The answers to RCPT.
    Recipients,
    /// 354.
    Data,
    /// Content from the caller; dots where it goes by DATA.
    Content { left: u64, dots: Option<DotStuffer> },
}

/// What is said before MAIL about where a message came from.
fn forwarding(job: &MailJob, server: Capabilities) -> Vec<String> {
    job.origin.as_ref().map(|origin| origin.xforward(server.xforward)).unwrap_or_default()
}

/// The transactions of one connection.
#[derive(Debug)]
pub(super) struct Pipeline {
    server: Capabilities,
    flight: VecDeque<Transaction>,
    window: Window,
    /// When something was begun or heard last.
    now: Instant,
    step: Option<Step>,
    /// Whole transactions may go out in one go: one was accepted, and nobody complained since.
    proven: bool,
    complained: bool,
    reset_due: bool,
    next_id: u64,
}

impl Pipeline {
    pub(super) fn new(server: Capabilities, now: Instant) -> Self {
        Self {
            server,
            flight: VecDeque::new(),
            window: Window::default(),
            now,
            step: None,
            proven: false,
            complained: false,
            reset_due: false,
            next_id: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flight.is_empty()
    }

    /// The oldest transaction that is under way.
    pub(super) fn oldest(&self) -> Option<TransactionId> {
        self.flight.front().map(Transaction::id)
    }

    /// [3030-deviation]: on a connection on which a message was accepted, BDAT does not wait for the answers to RCPT.
    fn bursts(&self) -> bool {
        self.server.pipelining && self.server.chunking && self.proven && !self.complained
    }

    pub(super) fn room(&self) -> Room {
        if self.step.is_some() {
            return Room::NONE;
        }
        let room = self.window.room();
        // [2920-3.1-client]: the end of one content and the next MAIL, RCPT, DATA may share a group.
        let messages = match (self.bursts(), self.server.pipelining && !self.server.chunking) {
            (true, _) => usize::MAX,
            (false, true) => 2_usize.saturating_sub(self.flight.len()),
            (false, false) => 1_usize.saturating_sub(self.flight.len()),
        };
        Room { messages: room.messages.min(messages), ..room }
    }

    pub(super) fn start(
        &mut self,
        now: Instant,
        job: MailJob,
        wire: &mut Wire,
    ) -> Result<TransactionId, Unsendable> {
        job.check(&self.server)?;
        if !self.room().takes(job.size, job.recipients.len()) {
            return Err(Unsendable::NoRoom);
        }
        let id = TransactionId(self.next_id);
        self.next_id += 1;
        // [3030-2]: after a BDAT that failed, only RSET makes the state known; in a burst that is known too late.
        let reset = self.reset_due || (self.bursts() && !self.flight.is_empty());
        self.reset_due = false;
        self.now = now;
        let transaction = Transaction::new(id, job, now);
        self.window.begin(transaction.load());
        self.flight.push_back(transaction);
        if reset {
            wire.say(Stage::Reset, "RSET");
        }
        if self.server.pipelining {
            self.say_group(wire);
        } else if reset {
            self.step = Some(Step::Reset);
        } else {
            self.begin(wire);
        }
        Ok(id)
    }

    /// One command at a time: XFORWARD where it is wanted, then MAIL.
    fn begin(&mut self, wire: &mut Wire) {
        let lines =
            self.flight.back().map(|newest| forwarding(newest.job(), self.server)).unwrap_or_default();
        self.forward(lines.len(), wire);
    }

    fn forward(&mut self, left: usize, wire: &mut Wire) {
        let lines =
            self.flight.back().map(|newest| forwarding(newest.job(), self.server)).unwrap_or_default();
        match lines.len().checked_sub(left).and_then(|next| lines.get(next)) {
            Some(line) => {
                wire.say(Stage::Forward, line);
                self.step = Some(Step::Forward { left: left - 1 });
            }
            None => self.say_mail(wire),
        }
    }

    fn say_mail(&mut self, wire: &mut Wire) {
        if let Some(newest) = self.flight.back() {
            wire.say(Stage::Mail, &commands::mail(newest.job(), &self.server));
            self.step = Some(Step::Mail);
        }
    }

    fn say_group(&mut self, wire: &mut Wire) {
        let Some(newest) = self.flight.back() else { return };
        for line in forwarding(newest.job(), self.server) {
            wire.say(Stage::Forward, &line);
        }
        wire.say(Stage::Mail, &commands::mail(newest.job(), &self.server));
        for recipient in newest.job().addressees() {
            wire.say(Stage::Recipient, &commands::rcpt(recipient, &self.server));
        }
        if !self.server.chunking {
            wire.say(Stage::Data, "DATA");
            self.step = Some(Step::Data);
        } else if self.bursts() {
            self.open_content(wire);
        } else {
            self.step = Some(Step::Recipients);
        }
    }

    /// BDAT with all of the content as its last chunk, or what follows 354.
    fn open_content(&mut self, wire: &mut Wire) {
        let Some(newest) = self.flight.back() else { return };
        let left = newest.job().size;
        let dots = (!self.server.chunking).then(DotStuffer::new);
        if dots.is_none() {
            wire.out().extend_from_slice(format!("BDAT {left} LAST\r\n").as_bytes());
        }
        self.step = Some(Step::Content { left, dots });
        self.take_content(&[], wire);
    }

    pub(super) fn wants_content(&self) -> Option<(TransactionId, u64)> {
        match (&self.step, self.flight.back()) {
            (Some(Step::Content { left, .. }), Some(newest)) => Some((newest.id(), *left)),
            _ => None,
        }
    }

    pub(super) fn take_content(&mut self, octets: &[u8], wire: &mut Wire) -> usize {
        let Some(Step::Content { left, dots }) = &mut self.step else { return 0 };
        let take = usize::try_from(*left).unwrap_or(usize::MAX).min(octets.len());
        *left -= take as u64;
        match dots {
            Some(dots) => dots.stuff(&octets[..take], wire.out()),
            None => wire.out().extend_from_slice(&octets[..take]),
        }
        if *left == 0 {
            if let Some(dots) = dots {
                dots.finish(wire.out());
            }
            wire.owe(Stage::Content);
            self.step = None;
        }
        take
    }

    /// A reply to one of the oldest transaction's commands. Whatever is waited for is waited for by the newest one
    /// only, so `step` moves only where they are the same.
    pub(super) fn handle_reply(
        &mut self,
        now: Instant,
        stage: Stage,
        reply: Reply,
        wire: &mut Wire,
    ) -> Result<Option<Finished>, ProtocolError> {
        self.now = now;
        let alone = self.flight.len() == 1;
        let Some(oldest) = self.flight.front_mut() else { return Err(ProtocolError::Unasked(reply)) };
        match stage {
            // Whatever RSET was answered: if it did not work, MAIL will say so.
            Stage::Reset if alone && self.step == Some(Step::Reset) => self.begin(wire),
            // [xforward-refused] Whatever XFORWARD was answered: it is for the log only.
            Stage::Forward if alone && let Some(Step::Forward { left }) = self.step => {
                self.forward(left, wire)
            }
            Stage::Reset | Stage::Forward => {}
            Stage::Mail => {
                self.complained |= reply.code.get() == 503;
                oldest.handle_mail(reply)?;
                return Ok(self.after_mail(wire));
            }
            Stage::Recipient => {
                oldest.handle_rcpt(reply)?;
                return Ok(self.after_rcpt(wire));
            }
            Stage::Data => return self.handle_data(reply, wire),
            Stage::Content => return self.handle_end(reply),
            _ => return Err(ProtocolError::OutOfPlace(stage, reply)),
        }
        Ok(None)
    }

    fn after_mail(&mut self, wire: &mut Wire) -> Option<Finished> {
        if self.step != Some(Step::Mail) {
            return None;
        }
        if !self.flight.front()?.is_open() {
            return self.finish(None, false);
        }
        self.step = Some(Step::Recipients);
        self.say_next_rcpt(wire);
        None
    }

    fn after_rcpt(&mut self, wire: &mut Wire) -> Option<Finished> {
        if self.step != Some(Step::Recipients) {
            return None;
        }
        let oldest = self.flight.front()?;
        if !oldest.all_answered() {
            if !self.server.pipelining {
                self.say_next_rcpt(wire);
            }
            return None;
        }
        if !oldest.is_wanted() {
            return self.finish(None, false);
        }
        if self.server.chunking {
            // [3030-2]: MAIL and RCPT are answered before the first BDAT goes.
            self.open_content(wire);
        } else {
            wire.say(Stage::Data, "DATA");
            self.step = Some(Step::Data);
        }
        None
    }

    fn say_next_rcpt(&self, wire: &mut Wire) {
        let Some(newest) = self.flight.back() else { return };
        if let Some(recipient) = newest.job().addressees().nth(newest.answered()) {
            wire.say(Stage::Recipient, &commands::rcpt(recipient, &self.server));
        }
    }

    fn handle_data(&mut self, reply: Reply, wire: &mut Wire) -> Result<Option<Finished>, ProtocolError> {
        match reply.severity() {
            Severity::Completed => Err(ProtocolError::OutOfPlace(Stage::Data, reply)),
            Severity::Transient | Severity::Permanent => {
                self.flight.front_mut().map(Transaction::refuse_data);
                Ok(self.finish(Some(reply), false))
            }
            Severity::Intermediate => {
                if self.flight.front().is_some_and(Transaction::is_wanted) {
                    self.open_content(wire);
                } else {
                    // [2920-3.1-client]: 354 although nobody was accepted; a single dot ends it without content.
                    DotStuffer::new().finish(wire.out());
                    wire.owe(Stage::Content);
                    self.step = None;
                }
                Ok(None)
            }
        }
    }

    fn handle_end(&mut self, reply: Reply) -> Result<Option<Finished>, ProtocolError> {
        if reply.severity() == Severity::Intermediate {
            return Err(ProtocolError::OutOfPlace(Stage::Content, reply));
        }
        let taken = reply.severity() == Severity::Completed;
        let wanted = self.flight.front().is_some_and(Transaction::is_wanted);
        self.proven |= taken && wanted;
        self.complained |= wanted && reply.code.get() == 503;
        // The end of DATA closes a transaction either way, a BDAT that failed does not.
        let closed = taken || !self.server.chunking;
        Ok(self.finish(Some(reply), closed))
    }

    /// A refusal of content that is still being sent: the rest of it cannot be taken back, so the connection ends
    /// after this.
    pub(super) fn refuse_early(&mut self, reply: &Reply) -> Option<Finished> {
        let refusal = matches!(reply.severity(), Severity::Transient | Severity::Permanent);
        let sending = matches!(self.step, Some(Step::Content { .. })) && self.flight.len() == 1;
        if refusal && sending { self.finish(Some(reply.clone()), false) } else { None }
    }

    /// 421 to one of the oldest transaction's commands.
    pub(super) fn interrupt(&mut self, reply: &Reply) -> Option<Finished> {
        self.take_oldest(|oldest| oldest.interrupt(reply.clone()))
    }

    fn take_oldest(&mut self, end: impl FnOnce(Transaction) -> Finished) -> Option<Finished> {
        let oldest = self.flight.pop_front()?;
        let (load, after) = (oldest.load(), self.now.saturating_duration_since(oldest.begun()));
        let finished = end(oldest);
        if finished.fates.contains(&Fate::Delivered) {
            self.window.taken(load, after);
        } else {
            self.window.refused(load);
        }
        Some(finished)
    }

    /// `closed`: the server has nothing open any more. What was sent behind it in a burst began with RSET anyway.
    fn finish(&mut self, last: Option<Reply>, closed: bool) -> Option<Finished> {
        let open = self.flight.front()?.is_open();
        let finished = self.take_oldest(|oldest| oldest.finish(last));
        if self.flight.is_empty() {
            self.step = None;
            self.reset_due = open && !closed;
        }
        finished
    }
}
