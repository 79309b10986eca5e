//! ATRN, RFC 2645 5.2.1.

use crate::ask::Ask;
use crate::grammar::atrn;
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::Asked;

impl<R: QueuedAs> ServerSession<R> {
    /// [2645-5.2.1-domains] 501 for a list that is none; whether the domains are the identity's is the caller's to say.
    pub(in crate::server) fn atrn(&mut self, arguments: &str) {
        match atrn::parse(arguments) {
            Ok(domains) => self.ask(Asked::Atrn, Event::Atrn(Ask::new(), domains)),
            Err(fault) => self.reject_bad(replies::fault(fault, "ATRN")),
        }
    }
}
