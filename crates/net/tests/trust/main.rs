//! Whom a client takes for a server: real handshakes with chains made for the purpose.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod book;
mod chain;
mod dane;
mod hand;
mod trust;
