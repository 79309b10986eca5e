//! Who may ask for which queue, and what asking does.
//!
//! [`TurnDesk`] answers an ETRN (RFC 1985) at once, from what is in memory: authorisation first, then the state of the
//! store, then the minimum interval. The mail itself flows later and elsewhere. The operator's `flush` takes the same
//! way. Identities and certificates that own a domain are data here already; who proves them is not this crate's
//! business.

mod desk;
mod events;
mod flush;
mod interval;
mod limits;
mod rights;
mod settings;
mod targets;

pub use desk::TurnDesk;
pub use flush::FlushError;
pub use limits::{MAX_INTERVALS, MAX_QUEUES_LOOKED_AT};
pub use rights::{Asker, PrimaryAddresses, Right};
pub use settings::{DomainTurn, EtrnFrom, EtrnFromError, EtrnReply, TurnSettings};
