//! RSET, VRFY, QUIT: RFC 5321 4.1.1.5 to 4.1.1.10.

use crate::grammar::Fault;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;

impl<R: QueuedAs> ServerSession<R> {
    /// [5321-4.1.1.5] the transaction is forgotten, whatever its state. [3030-2e] Between chunks it clears those that came.
    pub(in crate::server) fn rset(&mut self, arguments: &str) {
        if !arguments.is_empty() {
            return self.reject_bad(replies::fault(Fault::Argument, "RSET"));
        }
        self.abandon();
        self.say(replies::RSET);
    }

    /// [5321-3.5.3] 252: nobody here knows the primary's mailboxes.
    pub(in crate::server) fn vrfy(&mut self, arguments: &str) {
        if arguments.is_empty() {
            self.reject_bad(replies::fault(Fault::Argument, "VRFY"));
        } else {
            self.say(replies::VRFY);
        }
    }

    /// [5321-4.1.1.10] whatever was under way is dropped.
    pub(in crate::server) fn quit(&mut self, arguments: &str) {
        if !arguments.is_empty() {
            return self.reject_bad(replies::fault(Fault::Argument, "QUIT"));
        }
        self.abandon();
        replies::quit(&mut self.out, &self.config.hostname);
        self.close();
    }
}
