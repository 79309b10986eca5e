//! Deadlines of RFC 5321 4.5.3.2. They count from when something was last said or heard: content that still moves
//! over a slow line is no silence.

use std::time::{Duration, Instant};

use super::event::{End, Stage};
use super::limits::{
    BLOCK_TIMEOUT, COMMAND_TIMEOUT, CONTENT_TIMEOUT, DATA_TIMEOUT, GREETING_TIMEOUT, MAIL_TIMEOUT,
    QUIT_TIMEOUT, RCPT_TIMEOUT, TURN_TIMEOUT,
};
use super::{ClientSession, Phase};

impl ClientSession {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` while the line is idle.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let span = match (&self.phase, self.wire.awaited()) {
            (Phase::Ended | Phase::Spent | Phase::Turned, _) => None,
            (_, Some(stage)) => Some(patience(stage)),
            (_, None) => self.wants_content().map(|_| BLOCK_TIMEOUT),
        };
        span.and_then(|span| self.activity.checked_add(span))
    }

    /// Ends the conversation if its deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            let stage = self.stage();
            self.end(End::TimedOut(stage));
        }
    }
}

/// [5321-4.5.3.2-client]
const fn patience(stage: Stage) -> Duration {
    match stage {
        Stage::Greeting => GREETING_TIMEOUT,
        Stage::Mail => MAIL_TIMEOUT,
        Stage::Recipient => RCPT_TIMEOUT,
        Stage::Data => DATA_TIMEOUT,
        Stage::Content => CONTENT_TIMEOUT,
        // [2645-5.2.1-timeout]
        Stage::Atrn | Stage::Turn => TURN_TIMEOUT,
        Stage::Quit => QUIT_TIMEOUT,
        Stage::Ehlo
        | Stage::Helo
        | Stage::StartTls
        | Stage::Reset
        | Stage::Etrn
        | Stage::Auth
        | Stage::Introduction
        | Stage::Forward
        | Stage::Idle => COMMAND_TIMEOUT,
    }
}
