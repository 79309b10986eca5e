//! The per-domain store-and-forward queue.
//!
//! [`QueueStore`] is the public face that every store fulfils; [`EmbeddedStore`](embedded) is the one that needs
//! nothing but a directory: an append-only content log that is the truth, and sled as the index over it.

mod content;
mod entry;
mod error;
mod filter;
mod lease;
mod log;
mod receipt;
mod stats;
mod store;

pub use content::{ContentBuffer, ContentReader, SealedContent};
pub use entry::{Destination, Entry, EntryKey, NewMessage, RecipientStatus, Work};
pub use error::StoreError;
pub use filter::{Cursor, Filter, ListPage};
pub use lease::{
    DomainLease, DrainCause, DrainReport, DrainRequest, LeaseAnswer, Outcome, Scope, Settlement, Started,
};
pub use receipt::Receipt;
pub use stats::{
    DomainStats, DrainProgress, Health, HoldKind, HoldNote, IndexHealth, IntakeHealth, LastDrain,
};
pub use store::{DrainRequests, QueueStore};
