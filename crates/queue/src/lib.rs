//! The per-domain store-and-forward queue.
//!
//! [`QueueStore`] is the public face that every store fulfils; [`EmbeddedStore`] is the one that needs
//! nothing but a directory: an append-only content log that is the truth, and sled as the index over it.

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod content;
mod disk;
mod embedded;
mod entry;
mod error;
mod events;
mod filter;
#[cfg(fuzzing)]
pub mod fuzzing;
mod index;
mod lease;
mod limits;
mod log;
mod mint;
mod pauses;
mod receipt;
pub mod spool;
mod stats;
mod store;

pub use clock::{Clock, SystemClock};
pub use content::{ContentBuffer, ContentReader, SealedContent};
pub use embedded::{EmbeddedOptions, EmbeddedStore, OpenError};
pub use entry::{Conclusion, Destination, Entry, EntryKey, NewMessage, RecipientStatus, Work};
pub use error::StoreError;
pub use filter::{Cursor, Filter, ListPage};
pub use index::{ProbeCommand, ProbeError, probe};
pub use lease::{
    DomainLease, DrainCause, DrainReport, DrainRequest, LeaseAnswer, Outcome, Scope, Settlement, Started,
};
pub use limits::MAX_HEAD;
pub use log::LowWater;
pub use pauses::Pauses;
pub use receipt::Receipt;
pub use stats::{
    DomainStats, DrainProgress, Health, HoldKind, HoldNote, HoldOrder, IndexHealth, InodeRoom, IntakeHealth,
    LastDrain,
};
pub use store::{DrainRequests, QueueStore};
