//! A small receiving server that keeps every message whole and misbehaves when told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::listen;

/// A message that was acknowledged with 250.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// MAIL FROM with its parameters, as it came.
    pub mail: String,
    /// RCPT TO with their parameters, those that were accepted.
    pub recipients: Vec<String>,
    /// Content, dots unstuffed.
    pub content: Vec<u8>,
}

/// How the sink behaves.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// EHLO keywords.
    pub keywords: Vec<&'static str>,
    /// Reply to a recipient that contains the first text.
    pub recipient_replies: Vec<(&'static str, &'static str)>,
    /// Reply after content that contains the first text.
    pub content_replies: Vec<(&'static str, &'static str)>,
    /// How long to wait before answering content.
    pub slowness: Duration,
    /// Close the connection, without an answer, after this many messages have been answered in all.
    pub cut_after: Option<usize>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            keywords: vec![
                "PIPELINING",
                "8BITMIME",
                "CHUNKING",
                "SMTPUTF8",
                "DSN",
                "SIZE 100000000",
                "ENHANCEDSTATUSCODES",
            ],
            recipient_replies: Vec::new(),
            content_replies: Vec::new(),
            slowness: Duration::ZERO,
            cut_after: None,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    accepted: Mutex<Vec<Accepted>>,
    connections: AtomicUsize,
    stop: AtomicBool,
}

/// A sink on a port of loopback, gone when dropped.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    shared: Arc<Shared>,
}

impl Sink {
    /// Listens on `port` (0: any).
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn start(port: u16, behaviour: Behaviour) -> Self {
        let listener = listen(port);
        let port = listener.local_addr().expect("a listener has an address").port();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.stop.load(Ordering::SeqCst) {
                    return;
                }
                theirs.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, behaviour) = (Arc::clone(&theirs), behaviour.clone());
                std::thread::spawn(move || Session::new(stream, shared, behaviour).run());
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What was acknowledged so far.
    ///
    /// # Panics
    /// When a session panicked.
    #[must_use]
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.accepted.lock().expect("no session panics").clone()
    }

    /// Takes out what was acknowledged since the last time; a long run does not keep it all.
    ///
    /// # Panics
    /// When a session panicked.
    #[must_use]
    pub fn take(&self) -> Vec<Accepted> {
        std::mem::take(&mut *self.shared.accepted.lock().expect("no session panics"))
    }

    /// How many messages were acknowledged so far.
    ///
    /// # Panics
    /// When a session panicked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.accepted.lock().expect("no session panics").len()
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Session {
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
    behaviour: Behaviour,
    mail: String,
    recipients: Vec<String>,
    chunks: Vec<u8>,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Shared>, behaviour: Behaviour) -> Self {
        let _ = stream.set_nodelay(true);
        let reader = BufReader::new(stream);
        Self { reader, shared, behaviour, mail: String::new(), recipients: Vec::new(), chunks: Vec::new() }
    }

    fn run(mut self) {
        if self.answer("220 sink.example").is_none() {
            return;
        }
        loop {
            let mut line = Vec::new();
            match self.reader.read_until(b'\n', &mut line) {
                Ok(count) if count > 0 => {}
                _ => return,
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if self.command(&line).is_none() {
                return;
            }
        }
    }

    fn answer(&mut self, reply: &str) -> Option<()> {
        self.reader.get_mut().write_all(format!("{reply}\r\n").as_bytes()).ok()
    }

    fn command(&mut self, line: &str) -> Option<()> {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let keywords: String =
                    self.behaviour.keywords.iter().map(|word| format!("250-{word}\r\n")).collect();
                self.answer(&format!("250-sink.example\r\n{keywords}250 HELP"))
            }
            "HELO" => self.answer("250 sink.example"),
            "MAIL" => {
                self.mail = line.to_owned();
                self.recipients.clear();
                self.chunks.clear();
                self.answer("250 2.1.0 ok")
            }
            "RCPT" => self.rcpt(line),
            "DATA" if self.recipients.is_empty() => self.answer("554 5.5.1 no valid recipients"),
            "DATA" => self.data(),
            "BDAT" => self.bdat(line),
            "RSET" | "NOOP" => self.answer("250 2.0.0 ok"),
            "QUIT" => {
                let _ = self.answer("221 2.0.0 bye");
                None
            }
            _ => self.answer("500 5.5.1 what?"),
        }
    }

    fn rcpt(&mut self, line: &str) -> Option<()> {
        let refusal = self.behaviour.recipient_replies.iter().find(|(part, _)| line.contains(part)).copied();
        if let Some((_, reply)) = refusal {
            return self.answer(reply);
        }
        self.recipients.push(line.to_owned());
        self.answer("250 2.1.5 ok")
    }

    fn data(&mut self) -> Option<()> {
        self.answer("354 go on")?;
        let mut content = Vec::new();
        loop {
            let mut line = Vec::new();
            self.reader.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
            if line == b".\r\n" {
                break;
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.finish(content)
    }

    fn bdat(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ').skip(1);
        let size: usize = words.next()?.parse().ok()?;
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let mut chunk = vec![0; size];
        self.reader.read_exact(&mut chunk).ok()?;
        self.chunks.append(&mut chunk);
        if self.recipients.is_empty() {
            return self.answer("503 5.5.1 no valid recipients");
        }
        if last {
            let content = std::mem::take(&mut self.chunks);
            return self.finish(content);
        }
        self.answer("250 2.0.0 chunk ok")
    }

    /// Ends our direction, and takes what is still coming: a socket closed over unread octets is reset, and the reset
    /// would overtake answers that were given.
    fn cut(&mut self) {
        let stream = self.reader.get_ref();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = std::io::copy(&mut self.reader, &mut std::io::sink());
    }

    fn finish(&mut self, content: Vec<u8>) -> Option<()> {
        std::thread::sleep(self.behaviour.slowness);
        let text = String::from_utf8_lossy(&content);
        let refusal = self.behaviour.content_replies.iter().find(|(part, _)| text.contains(part)).copied();
        if let Some((_, reply)) = refusal {
            return self.answer(reply);
        }
        let recipients = std::mem::take(&mut self.recipients);
        let message = Accepted { mail: self.mail.clone(), recipients, content };
        let mut accepted = self.shared.accepted.lock().expect("no session panics");
        if self.behaviour.cut_after.is_some_and(|limit| accepted.len() >= limit) {
            drop(accepted);
            self.cut();
            return None;
        }
        accepted.push(message);
        drop(accepted);
        self.answer("250 2.0.0 taken")
    }
}
