//! The way out to the network: streams, TLS, listening, connecting, and the loops that drive the machines.
//!
//! Nothing here decides anything about mail. Every wait has a deadline, every buffer a bound (see `limits`).

mod buffers;
mod channel;
mod client_loop;
mod connect;
mod events;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod limits;
mod listen;
mod server_loop;
mod stream;
mod tls_book;
mod tls_client;
mod tls_dane;
mod tls_names;
mod tls_peer;
mod tls_server;
mod tls_trust;
mod tls_watch;
mod tls_words;

pub use buffers::{Buffer, Buffers};
pub use client_loop::{ClientConnection, UpgradeError};
pub use connect::{ConnectError, Connecting};
pub use listen::{ListenError, Listener, is_lost_connection};
pub use rustls::pki_types::ServerName;
pub use server_loop::{Connection, Ended, Reversal, ServerHandler, Stop, serve};
pub use stream::{Early, Stream};
pub use tls_book::ClientTlsBook;
pub use tls_client::ClientTls;
pub use tls_dane::{Dane, DaneRecord, DaneUsage};
pub use tls_peer::ClientCa;
pub use tls_server::{ServerTls, TlsError};
pub use tls_trust::Trust;
