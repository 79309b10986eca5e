//! Octets to be sent, and the replies that are owed for them.

use std::collections::VecDeque;
use std::fmt;

use restante_types::Reply;

use super::event::Stage;
use super::transcript::Transcript;

/// What goes out, and in which order it must be answered (RFC 2920 3.1).
#[derive(Default)]
pub(super) struct Wire {
    out: Vec<u8>,
    owed: VecDeque<Stage>,
    /// How many of `owed`, at its end, have not been handed out yet: nobody can have answered those.
    unsent: usize,
    transcript: Option<Transcript>,
}

/// What goes out may be a password, so it is not shown.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Wire");
        shown.field("out", &self.out.len()).field("owed", &self.owed).field("unsent", &self.unsent).finish()
    }
}

impl Wire {
    /// Queues a command line that is answered with one reply.
    pub(super) fn say(&mut self, stage: Stage, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        if let Some(transcript) = &self.transcript {
            transcript.sent(stage, line);
        }
        self.owe(stage);
    }

    /// From now on what is said is kept, behind what is in it already.
    pub(super) fn record(&mut self, transcript: Transcript) {
        self.transcript = Some(transcript);
    }

    /// The server said this to that.
    pub(super) fn heard(&self, stage: Option<Stage>, reply: &Reply) {
        if let Some(transcript) = &self.transcript {
            transcript.heard(stage, reply);
        }
    }

    /// A reply is owed for what was queued last.
    pub(super) fn owe(&mut self, stage: Stage) {
        if stage == Stage::Content
            && let Some(transcript) = &self.transcript
        {
            transcript.content();
        }
        self.owed.push_back(stage);
        self.unsent += 1;
    }

    /// The server talks first.
    pub(super) fn expect_greeting(&mut self) {
        self.owed.push_back(Stage::Greeting);
    }

    /// Where octets go that nobody answers by themselves.
    pub(super) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// [2920-3.1-client]: replies are matched by counting, never by their code or text; `None` for a reply to nothing.
    pub(super) fn next_answered(&mut self) -> Option<Stage> {
        if self.owed.len() == self.unsent { None } else { self.owed.pop_front() }
    }

    /// What the next reply is for.
    pub(super) fn awaited(&self) -> Option<Stage> {
        self.owed.front().copied()
    }

    /// Whether everything was answered.
    pub(super) fn is_idle(&self) -> bool {
        self.owed.is_empty()
    }

    /// Hands out what is to be sent.
    pub(super) fn transmit(&mut self, out: &mut Vec<u8>) -> bool {
        self.unsent = 0;
        if self.out.is_empty() {
            return false;
        }
        if out.is_empty() {
            std::mem::swap(out, &mut self.out);
        } else {
            out.append(&mut self.out);
        }
        true
    }

    /// Forgets everything: the connection is over.
    pub(super) fn clear(&mut self) {
        *self = Self { transcript: self.transcript.take(), ..Self::default() };
    }
}
