//! What a connection costs that waits. A process of its own, because memory is counted by process.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![expect(dead_code, reason = "the house has more rooms than this test uses")]

#[path = "../front/house.rs"]
mod house;
#[path = "../front/peer.rs"]
mod peer;

use std::io::{Read, Write};
use std::net::TcpStream;

use house::{House, settings};
use restante_server::{ServerLimits, ServerSettings};

/// Octets of memory that are ours alone and in use.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A session that has done something and now waits, on a socket without any buffer of our own.
fn waiting(house: &House) -> TcpStream {
    let mut stream = TcpStream::connect(house.address()).unwrap();
    let mut octets = [0; 4096];
    for (command, expected) in
        [("", "220"), ("EHLO a.example\r\n", "250"), ("MAIL FROM:<>\r\n", "250"), ("RSET\r\n", "250")]
    {
        stream.write_all(command.as_bytes()).unwrap();
        let count = stream.read(&mut octets).unwrap();
        assert!(octets[..count].starts_with(expected.as_bytes()), "{command}");
    }
    stream
}

/// The goal is under 8 KiB for each of 2,000; `RESTANTE_IDLE` sets another number than the 300 of an everyday run.
#[test]
fn an_idle_session_is_small() {
    let count = std::env::var("RESTANTE_IDLE").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let limits =
        ServerLimits { connections: 10_000, connections_per_client: 10_000, ..ServerLimits::default() };
    let house = House::new(ServerSettings { limits, ..settings() });
    let warm: Vec<_> = (0..50).map(|_| waiting(&house)).collect();
    let before = resident();
    let idle: Vec<_> = (0..count).map(|_| waiting(&house)).collect();
    let each = resident().saturating_sub(before) / count;
    println!("{each} octets for each of {count} idle sessions");
    assert!(each < 8 * 1024, "{each} octets for each of {count}");
    assert!(house.server.connections() >= idle.len() + warm.len());
}
