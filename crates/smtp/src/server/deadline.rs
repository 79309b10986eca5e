//! When a session has waited long enough, RFC 5321 4.5.3.2.

use std::time::Instant;

use crate::limits::{COMMAND_WAIT, CONTENT_PROGRESS, CONTENT_WAIT, CONTENT_WORTH, NOTHING_DONE};

/// The deadlines of a session. Nothing here reads a clock.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When waiting for the next command, or the next piece of content, ends.
    wait: Instant,
    /// When a session that gets nothing done ends.
    done: Instant,
    /// The latest time that is known.
    now: Instant,
    /// Octets of content since the wait began.
    octets: u64,
    /// Octets of content since something was last done.
    worth: u64,
    /// The wait began at a time that is not known; it is set when the clock is seen next.
    restart: bool,
}

impl Deadlines {
    pub(super) fn new(now: Instant) -> Self {
        Self { wait: now + COMMAND_WAIT, done: now + NOTHING_DONE, now, octets: 0, worth: 0, restart: false }
    }

    /// The caller says what time it is.
    pub(super) fn seen(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if std::mem::take(&mut self.restart) {
            self.command();
        }
    }

    /// [5321-4.5.3.2.7] a command came; the wait for the next begins.
    pub(super) fn command(&mut self) {
        self.wait = self.now + COMMAND_WAIT;
        self.octets = 0;
    }

    /// [5321-4.5.3.2.5] content came.
    pub(super) fn content(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets as u64);
        if self.octets >= CONTENT_PROGRESS {
            self.octets = 0;
            self.wait = self.now + CONTENT_WAIT;
        }
        self.worth = self.worth.saturating_add(octets as u64);
        if self.worth >= CONTENT_WORTH {
            self.done_something();
        }
    }

    /// Something was achieved: a message was taken, a queue was started. The time since the last look at the clock went
    /// into a question, so the waits begin when it is seen next.
    pub(super) fn achieved(&mut self) {
        self.done_something();
        self.restart = true;
    }

    fn done_something(&mut self) {
        self.done = self.now + NOTHING_DONE;
        self.worth = 0;
    }

    /// A question was answered; the client's time begins now, whenever that is.
    pub(super) const fn answered(&mut self) {
        self.restart = true;
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Instant {
        self.wait.min(self.done)
    }

    /// Whether a deadline passed.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.seen(now);
        self.next() <= self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_command_has_five_minutes_5321_4_5_3_2_7() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        assert_eq!(deadlines.next(), start + COMMAND_WAIT);
        deadlines.seen(start + Duration::from_secs(200));
        deadlines.command();
        assert!(!deadlines.is_over(start + COMMAND_WAIT));
        assert!(deadlines.is_over(start + Duration::from_secs(500)));
    }

    #[test]
    fn trickling_content_is_no_progress_5321_4_5_3_2_5() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        for second in 0..300 {
            deadlines.seen(start + Duration::from_secs(second));
            deadlines.content(1);
        }
        assert!(deadlines.is_over(start + CONTENT_WAIT));
        deadlines.content(512);
        assert!(!deadlines.is_over(start + CONTENT_WAIT));
    }

    #[test]
    fn content_that_would_take_days_is_nothing_done() {
        let start = Instant::now();
        let ends = |octets_a_minute: usize| {
            let mut deadlines = Deadlines::new(start);
            (0..120_u64).find(|minute| {
                let over = deadlines.is_over(start + Duration::from_secs(60 * minute));
                deadlines.content(octets_a_minute);
                over
            })
        };
        assert_eq!(ends(512), Some(30));
        // 200 octets a second, less than what a satellite telephone has.
        assert_eq!(ends(12_000), None);
    }

    #[test]
    fn a_session_that_gets_nothing_done_ends() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        for minute in 0..30 {
            deadlines.seen(start + Duration::from_secs(60 * minute));
            deadlines.command();
        }
        assert!(deadlines.is_over(start + NOTHING_DONE));
    }

    #[test]
    fn an_answer_that_took_long_is_not_the_clients_fault() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        deadlines.answered();
        assert!(!deadlines.is_over(start + COMMAND_WAIT));
        assert!(deadlines.is_over(start + COMMAND_WAIT + COMMAND_WAIT));
    }
}
