//! TLS towards a primary: policies met and not met, by real handshakes, with the mail counted where it arrives.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

#[expect(dead_code, reason = "shared with the tests of the streams, which use more of it")]
#[path = "../../../net/tests/trust/chain.rs"]
mod chain;
mod client_certificate;
mod dane;
mod fetch;
mod house;
mod journal;
mod mta_sts;
mod opportunity;
mod primary;
mod renewal;
mod verify;
mod web;
mod zone;
