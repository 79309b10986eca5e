//! SMTP without IO: framing, grammar, and the state machines of both sides.
//!
//! Nothing here knows a socket, a clock or an executor: octets and points in time go in, octets and events come out.

mod ask;
mod capabilities;
pub mod client;
mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grammar;
mod limits;
mod origin;
mod reply_parser;
pub mod sasl;
mod server;

pub use ask::Ask;
pub use capabilities::Capabilities;
pub use client::{
    ClientConfig, ClientEvent, ClientSession, End, Fate, Finished, MailJob, ProtocolError, Room, Speaker,
    Stage, Step, TransactionId, Transcript, Unsendable,
};
pub use origin::{Attributes, Origin};
pub use reply_parser::{ReplyError, ReplyParser};
pub use sasl::{
    AuthError, AuthOffer, Channel, Credentials, Evidence, Identity, Layer, Mechanism, Mechanisms,
    NoMechanism, ScramKeys, Secret, Unprepared, cram_md5, prepare,
};
pub use server::{
    Atrn, Auth, Begin, Content, ContentFacts, ContentSink, Etrn, EtrnAnswer, EtrnTarget, Event, Mail,
    MailCommand, Question, Queued, QueuedAs, Rcpt, RcptCommand, ServerConfig, ServerSession, Service,
    StartTls, Transaction, Turn,
};
