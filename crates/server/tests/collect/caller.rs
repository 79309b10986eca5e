//! A client up to the moment in which it becomes the server.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use restante_net::{ClientTls, Connecting, Stream, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::world::PASSWORD;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Caller {
    pub(crate) stream: Stream,
    unread: Vec<u8>,
}

impl Caller {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = Connecting { address, source: None, limit: LIMIT }.connect().await.unwrap();
        let mut caller = Self { stream, unread: Vec::new() };
        let greeting = caller.reply().await;
        assert!(greeting.starts_with("220 mx2.example"), "{greeting}");
        caller
    }

    /// Inside TLS, after EHLO.
    pub(crate) async fn secured(address: SocketAddr) -> Self {
        Self::secured_with(address, None).await.0
    }

    /// The same, showing a certificate; with the answer to EHLO.
    pub(crate) async fn secured_with(address: SocketAddr, shown: Option<(&Path, &Path)>) -> (Self, String) {
        let mut caller = Self::connect(address).await;
        caller.talk(&[("EHLO customer.example", "250-"), ("STARTTLS", "220")]).await;
        let tls = ClientTls::trusting(&Trust::Anyone, shown).unwrap();
        let name = "mx2.example".try_into().unwrap();
        let stream = caller.stream.connect_tls(&tls, name, LIMIT).await.unwrap();
        let mut caller = Self { stream, unread: Vec::new() };
        let offer = caller.ask("EHLO customer.example\r\n").await;
        assert!(offer.starts_with("250-"), "{offer}");
        (caller, offer)
    }

    /// Authenticated.
    pub(crate) async fn known(address: SocketAddr, name: &str) -> Self {
        let mut caller = Self::secured(address).await;
        let message = STANDARD.encode(format!("\0{name}\0{PASSWORD}"));
        caller.talk(&[(&format!("AUTH PLAIN {message}"), "235")]).await;
        caller
    }

    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next reply with all its lines; what is left when the connection ends.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            if let Some(end) = complete(&self.unread) {
                let rest = self.unread.split_off(end);
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
            }
            let mut octets = [0; 4096];
            match timeout(LIMIT, self.stream.read(&mut octets)).await.unwrap() {
                Ok(0) | Err(_) => return String::from_utf8(std::mem::take(&mut self.unread)).unwrap(),
                Ok(count) => self.unread.extend_from_slice(&octets[..count]),
            }
        }
    }

    pub(crate) async fn ask(&mut self, octets: &str) -> String {
        self.send(octets).await;
        self.reply().await
    }

    /// Says each command and wants the reply that goes with it to start so.
    pub(crate) async fn talk(&mut self, dialogue: &[(&str, &str)]) {
        for (command, expected) in dialogue {
            let reply = self.ask(&format!("{command}\r\n")).await;
            assert!(reply.starts_with(expected), "{command}: {reply}, not {expected}");
        }
    }

    /// Says this and gets 250: the stream, on which it is now the server.
    pub(crate) async fn turn(mut self, command: &str) -> Stream {
        self.talk(&[(command, "250 ")]).await;
        assert!(self.unread.is_empty(), "the provider waits for the customer's greeting");
        self.stream
    }
}

fn complete(octets: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + octets[from..].iter().position(|octet| *octet == b'\n')? + 1;
        if octets.get(from + 3) != Some(&b'-') {
            return Some(end);
        }
        from = end;
    }
}
