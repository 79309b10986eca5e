//! The admin interface: HTTP on a unix socket, for the command line, a monitor and a web page.
//!
//! Everything goes through the [`QueueStore`](restante_queue::QueueStore) and through [`Operations`], which the
//! program fulfils. Peers are known by the credentials of their socket; nothing here listens on a network.

mod events;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handlers;
mod http;
mod limits;
mod lines;
mod listener;
mod metrics;
mod named;
mod operations;
mod peer;
mod refusal;
mod router;
mod server;
mod socket;
mod view;

pub use http::{Http, Token};
pub use metrics::{Became, Metrics, NOTICES_LABEL, OTHERS_LABEL, label};
pub use operations::{DomainPolicy, Operations};
pub use server::{AdminServer, Settings, StartError, start};
