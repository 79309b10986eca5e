//! ETRN, RFC 1985 5.

use crate::ask::Ask;
use crate::grammar::etrn;
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::Asked;

impl<R: QueuedAs> ServerSession<R> {
    /// [1985-5.1] 500 without an argument, 501 for one that is no fully qualified name.
    pub(in crate::server) fn etrn(&mut self, argument: &str) {
        if argument.is_empty() {
            return self.reject_bad(replies::etrn_without_node());
        }
        match etrn::parse(argument) {
            Ok(target) => self.ask(Asked::Etrn(target.clone()), Event::Etrn(Ask::new(), target)),
            Err(fault) => self.reject_bad(replies::fault(fault, "ETRN")),
        }
    }
}
