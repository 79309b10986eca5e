//! The server machine: octets and points in time go in, questions, replies and content come out.
//!
//! ```text
//! Silent ─greet▶ Idle ─MAIL▶ Open ─RCPT▶ Open ─DATA|BDAT▶ content ─end▶ Asked ─receipt▶ Idle
//!                Idle ─STARTTLS▶ Asked ─▶ Spent      Idle ─ETRN▶ Asked ─▶ Idle
//!                Idle ─AUTH▶ Asked ◀▶ Authenticating ─▶ Idle      Idle ─ATRN|TURN▶ Asked ─▶ Spent
//! ```
//!
//! | file | concern |
//! |---|---|
//! | `session.rs` | the face that drivers see |
//! | `state.rs`, `table.rs` | the states, and which verb is legal where |
//! | `reading.rs` | octets become commands and content |
//! | `commands/` | what each verb does |
//! | `answer.rs` | what a granted or refused question does |
//! | `deadline.rs`, `replies.rs` | time; the machine's own replies |

mod answer;
mod commands;
mod config;
mod deadline;
mod event;
mod question;
mod reading;
mod replies;
mod session;
mod state;
mod table;

pub use config::{ServerConfig, Service};
pub use event::{
    ContentFacts, ContentSink, EtrnAnswer, EtrnTarget, Event, MailCommand, RcptCommand, Transaction,
};
pub use question::{Atrn, Auth, Begin, Etrn, Mail, Question, Queued, QueuedAs, Rcpt, StartTls, Turn};
pub use session::{Content, ServerSession};
