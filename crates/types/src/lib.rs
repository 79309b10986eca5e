//! The nouns of the mail RFCs, impossible to build wrong.
//!
//! Every type here is valid by construction: a [`Domain`] that exists is a lower-case A-label name, a
//! [`Mailbox`] that exists can be written on the wire as it is. Nothing here does input or output.

mod address;
mod client;
mod domain;
mod domain_map;
mod envelope;
mod limits;
mod network;
mod notice_queue;
mod printable;
mod queue_id;
mod reply;
mod state;
mod time;
mod vouched;

pub use address::{AddressError, ForwardPath, LocalPart, Mailbox, MailboxHost, ReversePath};
pub use client::{ClientFacts, TlsFacts};
pub use domain::{Domain, DomainError};
pub use domain_map::DomainMap;
pub use envelope::{Body, Envelope, Notify, Recipient, Ret, Xtext, XtextError};
pub use limits::{MAX_DOMAIN, MAX_LABEL, MAX_LOCAL_PART, MAX_PATH};
pub use network::{Network, NetworkError, canonical};
pub use notice_queue::NOTICES;
pub use printable::Printable;
pub use queue_id::{QueueId, QueueIdError};
pub use reply::{EnhancedStatusCode, Reply, ReplyCode, Severity};
pub use state::{DeliveryState, ParseStateError};
pub use time::UnixMillis;
pub use vouched::Vouched;
