//! The SMTP front end: accepts connections, drives the machine, and answers its questions.
//!
//! [`Server`] listens and counts; each connection is one task around the machine of the smtp crate. What may be done
//! is decided behind one seam, [`Authority`]; [`ConfiguredAuthority`] is the one that answers from the configuration.
//! What is absent: nothing here knows the wire grammar, the disk, or how mail leaves again.

mod authority;
mod configured;
mod events;
mod explain;
mod hops;
mod intake;
pub mod limits;
mod listening;
mod pool;
mod received;
mod recipients;
mod refused;
mod replies;
mod sender;
mod server;
mod session;
mod settings;
mod slots;
mod subtrees;
mod turning;

pub use authority::{Authority, Collect, Decision};
pub use configured::ConfiguredAuthority;
pub use explain::{Explanation, Question};
pub use server::{Parts, Server, ServerError};
pub use settings::{HeldDomain, ListenSettings, ListenTls, ServerLimits, ServerSettings, Service};
pub use turning::{Others, Place, Turned};
