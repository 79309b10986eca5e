//! The primary's side: asks a server for its mail on a schedule, by ATRN (RFC 2645), TURN or ETRN (RFC 1985).
//!
//! | file | concern |
//! |---|---|
//! | `settings.rs`, `address.rs`, `schedule.rs` | what is wanted of which server, and when |
//! | `visit/` | one call at one server: connect, TLS, authenticate, ask |
//! | `reversed.rs` | the roles have turned: we are the server, the other side brings mail |
//! | `local/` | the mail server here, or a Maildir, while the mail comes in |
//! | `collect.rs` | one collection from its lock to its record |
//! | `round.rs` | the schedule, kept |
//! | `state.rs` | what is remembered between runs |
//!
//! Nothing is acknowledged to the other side before the local side has taken it, and nothing is kept here in between:
//! a line that is cut anywhere leaves every message where it was.

mod address;
mod collect;
mod events;
mod expect;
mod failure;
pub mod limits;
mod local;
mod reversed;
mod round;
mod schedule;
mod settings;
mod state;
mod tally;
mod visit;

pub use address::{HostPort, Lmtp, Local, LocalError, NoAddress};
pub use collect::{Context, collect};
pub use failure::{Class, Failure};
pub use local::LocalTrouble;
pub use round::run;
pub use schedule::{NoSchedule, Schedule};
pub use settings::{Expect, Login, Protocol, Secured, ServerSettings, Settings};
pub use state::{Kind, Record, StateError, StateFile};
pub use tally::{Progress, Tally};
