//! SMTP without IO: framing, grammar, and the state machines of both sides.
//!
//! Nothing here knows a socket, a clock or an executor: octets and points in time go in, octets and events come out.

mod ask;
mod server;

pub use ask::Ask;
pub use server::{
    Begin, Content, ContentFacts, ContentSink, Etrn, EtrnAnswer, EtrnTarget, Event, Mail, MailCommand, Question, Queued,
    QueuedAs, Rcpt, RcptCommand, ServerConfig, ServerSession, StartTls, Transaction,
};
