//! A client that says what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use restante_net::{ClientTls, Connecting, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Peer {
    pub(crate) stream: Stream,
    unread: Vec<u8>,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = Connecting { address, source: None, limit: LIMIT }.connect().await.unwrap();
        Self { stream, unread: Vec::new() }
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

    pub(crate) async fn ask(&mut self, octets: impl AsRef<[u8]>) -> String {
        self.send(octets).await;
        self.reply().await
    }

    /// Says each command and wants the reply that goes with it to start so.
    pub(crate) async fn talk(&mut self, dialogue: &[(&str, &str)]) {
        for (command, expected) in dialogue {
            let reply = self.ask(format!("{command}\r\n")).await;
            assert!(reply.starts_with(expected), "{command}: {reply}, not {expected}");
        }
    }

    /// A whole message; returns the last reply.
    pub(crate) async fn mail(&mut self, recipients: &[&str], content: impl AsRef<[u8]>) -> String {
        self.talk(&[("MAIL FROM:<sender@client.example>", "250 2.1.0")]).await;
        for recipient in recipients {
            self.talk(&[(&format!("RCPT TO:<{recipient}>"), "250 2.1.5")]).await;
        }
        self.talk(&[("DATA", "354")]).await;
        self.send(content).await;
        self.ask(".\r\n").await
    }

    /// A whole message to one recipient after HELO, where replies have no enhanced codes to compare.
    pub(crate) async fn mail_without_codes(&mut self, recipient: &str, content: &str) -> String {
        let recipient = format!("RCPT TO:<{recipient}>");
        self.talk(&[("MAIL FROM:<>", "250"), (&recipient, "250"), ("DATA", "354")]).await;
        self.send(content).await;
        self.ask(".\r\n").await
    }

    pub(crate) async fn into_tls(self) -> Self {
        let name = "mx2.example".try_into().unwrap();
        let stream = self.stream.connect_tls(&ClientTls::opportunistic(), name, LIMIT).await.unwrap();
        Self { stream, unread: Vec::new() }
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
