//! TURN, RFC 821 3.8 and 4.1.1: only where it is switched on, and only for who is known.

use crate::ask::Ask;
use crate::grammar::Fault;
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::Asked;

impl<R: QueuedAs> ServerSession<R> {
    /// [821-turn] it has no parameters.
    pub(in crate::server) fn turn(&mut self, arguments: &str) {
        if arguments.is_empty() {
            self.ask(Asked::Turn, Event::Turn(Ask::new()));
        } else {
            self.reject_bad(replies::fault(Fault::Argument, "TURN"));
        }
    }
}
