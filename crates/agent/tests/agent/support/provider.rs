//! A provider that says what its script says.

use std::net::SocketAddr;
use std::time::Duration;

use restante_net::{Listener, ServerTls, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::LIMIT;

/// A listener with a script for the one connection that it takes.
pub(crate) struct Provider {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn once<F>(script: impl FnOnce(Talk) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local().unwrap();
        let task = tokio::spawn(async move {
            let stream = listener.accept().await.unwrap();
            script(Talk { stream, unread: Vec::new(), left: usize::MAX }).await;
        });
        Self { address, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its script is through; what it found wrong becomes the test's.
    pub(crate) async fn ended(self) {
        timeout(LIMIT, self.task).await.unwrap().unwrap();
    }
}

/// The provider's end of the connection.
pub(crate) struct Talk {
    stream: Stream,
    unread: Vec<u8>,
    /// Octets that may still be sent, then the line is cut.
    pub(crate) left: usize,
}

impl Talk {
    /// Sends octets as they are. After a cut nothing is sent.
    pub(crate) async fn raw(&mut self, octets: &[u8]) {
        let sent = octets.len().min(self.left);
        self.left -= sent;
        let _ = self.stream.write_all(&octets[..sent]).await;
        let _ = self.stream.flush().await;
        if self.left == 0 {
            let _ = self.stream.shutdown().await;
        }
    }

    pub(crate) async fn say(&mut self, line: &str) {
        self.raw(format!("{line}\r\n").as_bytes()).await;
    }

    /// The next line; empty when the other side has closed.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            if self.left == 0 || !self.read().await {
                return String::new();
            }
        }
    }

    async fn read(&mut self) -> bool {
        let mut octets = [0; 4096];
        match timeout(LIMIT, self.stream.read(&mut octets)).await.unwrap() {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&octets[..count]);
                true
            }
        }
    }

    /// Nothing comes for a moment.
    pub(crate) async fn hears_nothing(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.unread), "");
        let mut octets = [0; 64];
        let read = timeout(Duration::from_millis(150), self.stream.read(&mut octets)).await;
        assert!(read.is_err(), "{read:?} {:?}", String::from_utf8_lossy(&octets));
    }

    /// The next reply with all its lines.
    pub(crate) async fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let line = self.hear().await;
            all.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return all;
            }
            all.push('\n');
        }
    }

    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.say(line).await;
        self.reply().await
    }

    pub(crate) async fn expect(&mut self, line: &str, start: &str) -> String {
        let reply = self.ask(line).await;
        assert!(reply.starts_with(start), "{line}: wanted {start}, got {reply:?}");
        reply
    }

    /// The beginning of every call: greeting, EHLO with these keywords.
    pub(crate) async fn greet(&mut self, keywords: &[&str]) {
        self.say("220 mx2.example.net").await;
        self.hello(keywords).await;
    }

    pub(crate) async fn hello(&mut self, keywords: &[&str]) {
        assert_eq!(self.hear().await, "EHLO primary.example");
        let lines: String = keywords.iter().map(|word| format!("250-{word}\r\n")).collect();
        self.raw(format!("250-mx2.example.net\r\n{lines}250 HELP\r\n").as_bytes()).await;
    }

    /// The roles turn: greeted, EHLO said. Returns what the other side offers.
    pub(crate) async fn turn(&mut self) -> String {
        assert_eq!(self.hear().await, "ATRN example.org,example.com");
        self.turned().await
    }

    pub(crate) async fn turned(&mut self) -> String {
        self.say("250 OK now reversing the connection").await;
        assert_eq!(self.hear().await, "220 primary.example ESMTP");
        self.ask("EHLO mx2.example.net").await
    }

    /// One message by DATA; the last reply.
    pub(crate) async fn send(&mut self, to: &[&str], content: &[u8]) -> String {
        self.expect("MAIL FROM:<a@sender.example>", "250").await;
        for recipient in to {
            self.expect(&format!("RCPT TO:<{recipient}>"), "250").await;
        }
        self.expect("DATA", "354").await;
        self.raw(&stuffed(content)).await;
        self.reply().await
    }

    pub(crate) async fn quit(&mut self) {
        self.expect("QUIT", "221").await;
        assert_eq!(self.hear().await, "");
    }

    pub(crate) async fn into_tls(self, tls: &ServerTls) -> Option<Self> {
        let stream = self.stream.accept_tls(tls.acceptor(), LIMIT).await.ok()?;
        Some(Self { stream, unread: Vec::new(), left: self.left })
    }
}

/// Dots doubled, the end appended.
pub(crate) fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}
