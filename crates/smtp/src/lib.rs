//! SMTP without IO: framing, grammar, and the state machines of both sides.
//!
//! Nothing here knows a socket, a clock or an executor: octets and points in time go in, octets and events come out.

mod ask;
mod capabilities;
pub mod client;
mod framing;
mod grammar;
mod limits;
mod reply_parser;
mod server;

pub use ask::Ask;
pub use capabilities::Capabilities;
pub use client::{
    ClientConfig, ClientEvent, ClientSession, End, Fate, Finished, MailJob, ProtocolError, Room, Stage,
    TransactionId, Unsendable,
};
pub use reply_parser::{ReplyError, ReplyParser};
pub use server::{
    Begin, Content, ContentFacts, ContentSink, Etrn, EtrnAnswer, EtrnTarget, Event, Mail, MailCommand,
    Question, Queued, QueuedAs, Rcpt, RcptCommand, ServerConfig, ServerSession, StartTls, Transaction,
};
