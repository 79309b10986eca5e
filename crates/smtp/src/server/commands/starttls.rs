//! STARTTLS, RFC 3207 4.

use crate::ask::Ask;
use crate::grammar::Fault;
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::Asked;

impl<R: QueuedAs> ServerSession<R> {
    /// [3207-4] it has no parameters.
    pub(in crate::server) fn starttls(&mut self, arguments: &str) {
        if arguments.is_empty() {
            self.ask(Asked::StartTls, Event::StartTls(Ask::new()));
        } else {
            self.reject_bad(replies::fault(Fault::Argument, "STARTTLS"));
        }
    }
}
