//! The house seen from outside: a daemon in a directory of its own, an independent client and sink, and the real
//! peers from Debian's packages.
//!
//! Nothing here uses the project's own protocol code: a mistake in it must not be able to hide itself.

#![expect(clippy::panic, clippy::print_stderr, reason = "test code says loudly what is wrong")]

mod agent;
mod client;
mod daemon;
mod dns;
mod dovecot;
mod exim;
pub mod faults;
pub mod hostile;
mod http;
mod maildir;
mod netns;
mod peers;
mod postfix;
mod sink;
mod tally;
pub mod world;

pub use agent::{Agent, Provider};
pub use client::{Client, connect, connect_to, try_connect};
pub use daemon::{Daemon, DaemonOptions, Ports, binary, free_port};
pub use dns::{DNS_PEERS, Dns, Signing, Zone, no_dns};
pub use dovecot::Dovecot;
pub use exim::{Exim, EximOptions};
pub use http::read_call;
pub use netns::{Network, Place};
pub use peers::{Peer, command, have, run_peer};
pub use postfix::Postfix;
pub use sink::{Accepted, Behaviour, Sink};
pub use tally::{Sums, Tally};

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Waits until `done` says so, at most `limit`; false if it never did.
pub fn eventually(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Listens on a port of ours that was listened on a moment ago: whoever did may be just leaving, and a child of the test beside
/// this one may hold a copy of that socket until it runs its own program.
///
/// # Panics
/// When the port stays taken.
#[must_use]
pub fn listen(port: u16) -> TcpListener {
    let mut bound = None;
    eventually(Duration::from_secs(60), || {
        bound = TcpListener::bind(("127.0.0.1", port)).ok();
        bound.is_some()
    });
    bound.expect("the port is free")
}

/// A message without its topmost header field, which must be our Received line.
///
/// # Panics
/// When the first field is not `Received`.
#[must_use]
pub fn without_received(content: &[u8]) -> Vec<u8> {
    assert!(
        content.starts_with(b"Received: "),
        "no Received line on top: {:?}",
        String::from_utf8_lossy(content)
    );
    let mut at = 0;
    loop {
        let line = content[at..]
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .map_or(content.len(), |end| at + end + 2);
        at = line;
        if !matches!(content.get(at), Some(b' ' | b'\t')) {
            return content[at..].to_vec();
        }
    }
}

/// A message of about `size` octets whose every line is different, with lines that dot-stuffing must treat.
#[must_use]
pub fn sample(seed: usize, size: usize) -> Vec<u8> {
    let mut out =
        format!("From: a@sender.example\r\nTo: b@example.org\r\nSubject: sample {seed}\r\n\r\n").into_bytes();
    let mut line = 0_usize;
    while out.len() < size {
        let dots = ["", ".", "..", ". "][(seed + line) % 4];
        out.extend_from_slice(
            format!("{dots}{seed}/{line} {:x}\r\n", (seed + 1) * 7919 * (line + 1)).as_bytes(),
        );
        line += 1;
    }
    out
}

/// The number that [`sample`] wrote into the Subject line, if there is one.
#[must_use]
pub fn sample_number(content: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(content);
    text.lines().find_map(|line| line.strip_prefix("Subject: sample ")?.parse().ok())
}
