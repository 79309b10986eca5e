//! RCPT, RFC 5321 4.1.1.3.

use crate::ask::Ask;
use crate::grammar::{Fault, rcpt};
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::{Asked, State};

impl<R: QueuedAs> ServerSession<R> {
    /// [5321-4.5.3.1.10] too many recipients are refused for now, never for ever; those taken stay.
    pub(in crate::server) fn rcpt(&mut self, arguments: &str) {
        let State::Open(transaction) = &self.state else { return };
        let envelope = &transaction.envelope;
        let full = envelope.recipients.len() >= self.config.recipients;
        match rcpt::parse(arguments, envelope.smtputf8) {
            Ok(command)
                if !self.config.offers_dsn() && (command.notify.is_some() || command.original.is_some()) =>
            {
                self.reject(replies::fault(Fault::UnknownParameter, "RCPT"));
            }
            Ok(_) if full => self.reject(replies::too_many_recipients()),
            Ok(command) => {
                let State::Open(transaction) = std::mem::replace(&mut self.state, State::Idle) else {
                    return;
                };
                self.ask(Asked::Rcpt(transaction), Event::Rcpt(Ask::new(), command));
            }
            Err(fault) => self.reject(replies::fault(fault, "RCPT")),
        }
    }
}
