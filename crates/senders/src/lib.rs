//! Who vouches for the sender of a message: SPF for the identity in its MAIL FROM (RFC 7208), DKIM signatures of its
//! domain (RFC 6376), and how what was found is told to those behind us (RFC 8601).
//!
//! [`Senders`] is shared by all sessions. Each message that somebody wants to know about gets a [`Check`]: it begins to
//! ask the DNS while the content is still coming, hashes the content as it goes by, keeps none of the body, and comes
//! to [`Findings`] soon after the content's end, whatever the DNS does. [`Unforged`] takes out of a header section the
//! results that somebody wrote in our name.
//!
//! What is found refuses nothing: these are facts for whoever decides about notices, and for the primary. What is
//! absent: DMARC policy, ARC, iprev, and any list of public suffixes (see [`Check`] for what that means for DKIM).
//! The grammar of SPF records and the arithmetic of signatures are the mail-auth crate's; the evaluation and the DNS
//! are ours, so that every bound holds and nothing passes that should not.

mod cache;
mod check;
mod circuit;
mod dkim;
mod events;
mod findings;
pub mod limits;
mod lookup;
mod results;
mod senders;
mod spf;
#[cfg(test)]
mod testing;
mod unforged;

pub use check::Check;
pub use dkim::{DkimFinding, DkimResult};
pub use findings::Findings;
pub use lookup::{Dns, Lookup, LookupError, Resolver};
pub use senders::{Question, Senders};
pub use spf::{SpfFinding, SpfIdentity, SpfResult};
pub use unforged::Unforged;
