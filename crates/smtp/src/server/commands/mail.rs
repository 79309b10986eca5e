//! MAIL, RFC 5321 4.1.1.2.

use crate::ask::Ask;
use crate::grammar::mail::{self, Offered};
use crate::server::event::{Event, Transaction};
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::Asked;

impl<R: QueuedAs> ServerSession<R> {
    /// [1870-6.1] a declared size over the limit is refused here, before the content.
    pub(in crate::server) fn mail(&mut self, arguments: &str) {
        let offered = Offered {
            size: self.config.offers_size(),
            body: self.config.offers_eight_bit_mime(),
            smtputf8: self.config.smtputf8,
            dsn: self.config.offers_dsn(),
            auth: self.offers_auth(),
            message_size: self.config.message_size,
        };
        match mail::parse(arguments, offered) {
            Ok(command) => {
                let transaction = Box::new(Transaction::from(command.clone()));
                self.ask(Asked::Mail(transaction), Event::Mail(Ask::new(), command));
            }
            Err(fault) => self.reject(replies::fault(fault, "MAIL")),
        }
    }
}
