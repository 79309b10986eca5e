//! A plain SMTP client for tests: it sends what it is told and shows what comes back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
}

/// Connects and reads the greeting.
///
/// # Panics
/// When nobody listens, or nobody greets within 20 s.
#[must_use]
pub fn connect(port: u16) -> Client {
    connect_to(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// As [`connect`], anywhere.
///
/// # Panics
/// As [`connect`].
#[must_use]
pub fn connect_to(address: SocketAddr) -> Client {
    let mut client = arrive(address).expect("somebody listens");
    let greeting = client.reply();
    assert!(greeting.starts_with("220"), "greeting: {greeting}");
    client
}

/// As [`connect`], where the server may be killed at any moment; the connection has been greeted.
#[must_use]
pub fn try_connect(port: u16) -> Option<Client> {
    let mut client = arrive(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    client.reply().starts_with("220").then_some(client)
}

fn arrive(address: SocketAddr) -> io::Result<Client> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    Ok(Client { reader: BufReader::new(stream) })
}

impl Client {
    /// Sends octets as they are.
    pub fn raw(&mut self, octets: &[u8]) {
        self.reader.get_mut().write_all(octets).expect("the server reads");
    }

    /// Sends octets, without minding a connection that is gone.
    pub fn try_raw(&mut self, octets: &[u8]) -> bool {
        self.reader.get_mut().write_all(octets).is_ok()
    }

    /// One whole reply, lines joined by LF; empty when the connection ends.
    pub fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(count) if count > 0 => {}
                _ => return all,
            }
            all.push_str(line.trim_end_matches("\r\n"));
            if line.as_bytes().get(3) != Some(&b'-') {
                return all;
            }
            all.push('\n');
        }
    }

    /// A command and its reply.
    pub fn say(&mut self, command: &str) -> String {
        self.raw(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// A command whose reply must start like this.
    ///
    /// # Panics
    /// When it does not.
    pub fn expect(&mut self, command: &str, start: &str) -> String {
        let reply = self.say(command);
        assert!(reply.starts_with(start), "{command}: wanted {start}, got {reply:?}");
        reply
    }

    /// Sends a message by DATA, dot-stuffed; returns the final reply.
    pub fn send(&mut self, from: &str, to: &[&str], content: &[u8]) -> String {
        self.expect(&format!("MAIL FROM:<{from}>"), "250");
        for recipient in to {
            self.expect(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.expect("DATA", "354");
        self.raw(&stuffed(content));
        self.reply()
    }

    /// What is left until the server closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = self.reader.read_to_end(&mut all);
        all
    }
}

/// Content with dots stuffed and the end appended; `content` ends with CRLF.
pub(crate) fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 64);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}
