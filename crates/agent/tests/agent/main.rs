//! The agent against a scripted provider and a scripted mail server behind it, over real sockets.

#![expect(clippy::unwrap_used, reason = "test code says loudly what is wrong")]

mod answers;
mod cuts;
mod etrn;
mod hostile;
mod mail;
mod refusals;
mod rounds;
mod support;
mod tls;
