//! HELO and EHLO, RFC 5321 4.1.1.1.

use crate::grammar::hello;
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::{Hello, ServerSession};

impl<R: QueuedAs> ServerSession<R> {
    /// [5321-4.1.4] said again, it resets as RSET does.
    pub(in crate::server) fn hello(&mut self, hello: Hello, arguments: &str) {
        let verb = if hello == Hello::Ehlo { "EHLO" } else { "HELO" };
        let name = match hello::parse(arguments) {
            Ok(name) => name.to_owned(),
            Err(fault) => return self.reject_bad(replies::fault(fault, verb)),
        };
        self.abandon();
        self.hello = hello;
        self.client.helo.clone_from(&name);
        self.events.push(Event::Hello(name));
        if hello == Hello::Ehlo {
            let auth = self.offered_mechanisms();
            replies::ehlo(&mut self.out, &self.config, self.client.tls.is_some(), auth);
        } else {
            replies::helo(&mut self.out, &self.config.hostname);
        }
    }
}
