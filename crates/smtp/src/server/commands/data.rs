//! DATA, RFC 5321 4.1.1.4.

use restante_types::Reply;

use crate::ask::Ask;
use crate::grammar::Fault;
use crate::server::event::Event;
use crate::server::question::QueuedAs;
use crate::server::replies;
use crate::server::session::ServerSession;
use crate::server::state::{Asked, Early, State};

impl<R: QueuedAs> ServerSession<R> {
    /// [2920-3.2.3] 354 only where a recipient was accepted, [5321-3.3] otherwise 554. [2920-a] Content that came along
    /// with a DATA that is granted is content all the same.
    pub(in crate::server) fn data(&mut self, arguments: &str, early: Early) {
        if !arguments.is_empty() {
            return self.refuse_data(replies::fault(Fault::Argument, "DATA"), early);
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(transaction) if !transaction.envelope.recipients.is_empty() => {
                self.ask(Asked::Data(transaction, early), Event::Begin(Ask::new()));
            }
            state => {
                self.state = state;
                self.refuse_data(replies::no_valid_recipients(), early);
            }
        }
    }

    /// A refusal of the machine's own.
    pub(in crate::server) fn refuse_data(&mut self, reply: Reply, early: Early) {
        self.events.push(Event::BadCommand(reply.clone()));
        self.refuse_data_with(&reply, early);
    }

    /// [smuggling-e] octets that stand behind a refused DATA may be content that somebody sent before 354. They are
    /// not read as commands: 554 5.5.0 answers them and the session ends. Those that come later end it as soon as they
    /// do not look like a command, which the first header line does not.
    pub(in crate::server) fn refuse_data_with(&mut self, reply: &Reply, early: Early) {
        self.refuse_with(reply);
        self.data_refused = true;
        if early == Early::Yes {
            self.talked_early();
        }
    }
}
