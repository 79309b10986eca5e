//! This crate over real sockets on loopback.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails where it cannot go on")]

mod certificates;
mod peer;
mod server_loop;
mod tls;
