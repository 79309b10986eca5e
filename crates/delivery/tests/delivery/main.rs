//! Delivery seen from outside, with a scripted DNS, a scripted way over the wire and a queue in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod book;
mod circuit;
mod conservation;
mod drain;
mod housekeeping;
mod notices;
mod outcomes;
mod real;
mod reload;
mod requester;
mod returns;
mod route;
mod schedule;
mod shutdown;
mod support;
mod turned;
mod ways;
mod wire;
