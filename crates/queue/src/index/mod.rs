//! The index over the content log: small entries per domain, in one sled tree.
//!
//! Nothing rests on it: what it says is either in the log too, or may be lost (attempts, replies, reasons). It can be
//! deleted at any time the daemon is stopped.
//!
//! One tree holds three key spaces, so that one batch changes an entry and its times together, whatever happens:
//! entries (`domain \0 id`), times (`\x01 domain \0 kind time id`) and, behind `\0`, the mark of the last checkpoint
//! and the messages that ended last.

mod keys;
mod probe;
mod sled_tree;
mod stored;
mod value;

#[cfg(test)]
pub(crate) use value::tests;

pub(crate) use keys::{
    ENDED, TimeKind, domain_range, entries_behind, entry_key, read_entry_key, read_time_key, time_key, times,
    unreported_behind,
};
pub use probe::{ProbeCommand, ProbeError, probe};
pub(crate) use probe::{Probed, run as run_probe};
pub(crate) use sled_tree::{Index, IndexError, Value};
pub(crate) use value::{Arrival, EntryValue, RecipientState, RecipientValue, Standing, kept_reason};

/// One key's new value; `None` removes it.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);
