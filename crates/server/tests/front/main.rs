//! The front end over real sockets, with a real store in a directory of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod explain;
mod flood;
mod house;
mod limits;
mod mail;
mod peer;
mod policy;
mod received;
mod reload;
mod senders;
mod stop;
mod tls;
