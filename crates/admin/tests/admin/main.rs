//! The admin interface over a real unix socket, with a store that the tests set up.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod changes;
mod domains;
mod drains;
mod embedded;
mod entries;
mod messages;
mod metrics;
mod server;
mod support;
