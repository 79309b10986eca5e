//! Where mail arrives: as the primary that is connected to, and as a customer that collects. Of each copy it is kept over
//! which connection it came, and where in our answers the 250 ended that says so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::courier::size_of;
use super::{Direction, Passage, Proxy, Random};
use crate::{sample, without_received};

/// For one read or write; a network that stalls longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// For the other side to read our last words.
const LINGER: Duration = Duration::from_secs(2);

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// One that a sender of ours wrote.
    Mail {
        /// Its number.
        seed: usize,
        /// The id under which it was acknowledged.
        id: String,
        /// Whether it is what was sent, octet for octet.
        whole: bool,
    },
    /// A notice of failure.
    Notice {
        /// The id of the message that it is about.
        about: String,
        /// Its own.
        id: String,
        /// The address that failed.
        recipient: String,
    },
    /// Anything else.
    Strange(String),
}

impl Letter {
    /// Reads what arrived.
    #[must_use]
    pub fn read(content: &[u8]) -> Self {
        let head = String::from_utf8_lossy(&content[..content.len().min(8192)]).into_owned();
        let field = |start: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(start));
            line.map(|line| line.trim_end_matches(';').to_owned())
        };
        let said = || {
            let about = field("X-Restante-Queue-ID: ")?;
            let id = field("Message-ID: <")?.split('@').next()?.to_owned();
            Some(Self::Notice { about, id, recipient: field("Final-Recipient: rfc822; ")? })
        };
        let written = || {
            let seed: usize = field("Subject: sample ")?.parse().ok()?;
            let whole = without_received(content) == sample(seed, size_of(seed));
            Some(Self::Mail { seed, id: field("\tid ")?, whole })
        };
        let strange = || Self::Strange(head.chars().take(400).collect());
        if content.starts_with(b"Received: ") { written() } else { said() }.unwrap_or_else(strange)
    }
}

/// On which of the ways to its customer it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The server connected, because it was asked to by ETRN.
    Request,
    /// The server connected of its own accord.
    Push,
    /// By ATRN.
    Atrn,
    /// By the agent.
    Agent,
}

/// A copy of a message that we said 250 to.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// How it came.
    pub by: By,
    /// What it is.
    pub letter: Letter,
    /// The recipients that were named and taken.
    pub recipients: Vec<String>,
    /// Where in our answers its 250 ended; 0 where that cannot be seen from outside (TLS).
    pub told: u64,
    /// The connection it came over; none where there was no proxy between.
    pub passage: Option<Arc<Passage>>,
    /// In which direction our answers went.
    pub answers: Direction,
    /// When we said so.
    pub at: Instant,
}

impl Arrival {
    /// Whether our 250 reached the other side's kernel.
    #[must_use]
    pub fn was_heard(&self) -> bool {
        self.passage.as_ref().is_none_or(|passage| {
            !passage.replay
                && if self.told == 0 { !passage.was_cut() } else { passage.passed(self.answers) >= self.told }
        })
    }

    /// Whether it came over a connection that was said again.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| passage.replay)
    }

    /// Whether it did, but the connection was reset behind it.
    #[must_use]
    pub fn was_reset_behind(&self) -> bool {
        self.was_heard() && self.passage.as_ref().is_some_and(|passage| passage.was_reset())
    }
}

/// Over what a session's mail comes.
#[derive(Debug, Clone)]
enum Way {
    /// A connection through a proxy, and the direction of our answers in it.
    Proxied(Option<Arc<Passage>>, Direction),
    /// The connection that an agent has through this proxy, one at a time; what passes there cannot be read.
    Collected(Arc<Proxy>),
}

#[derive(Debug, Default)]
struct Shared {
    arrivals: Mutex<Vec<Arrival>>,
    stop: AtomicBool,
}

/// A mail server that keeps books. It refuses recipients that begin with `refused` for good, and some of those that
/// begin with `later` for now.
#[derive(Debug, Clone)]
pub struct Letterbox {
    shared: Arc<Shared>,
}

impl Default for Letterbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Letterbox {
    /// An empty one that nobody can reach.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// What arrived so far.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many copies arrived so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many copies came in this way so far, those of repeated connections left out.
    #[must_use]
    pub fn count_by(&self, by: By) -> usize {
        let arrivals = self.shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.iter().filter(|arrival| arrival.by == by && !arrival.is_replayed()).count()
    }

    /// Opens a port for a proxy to pass on to; `proxy` tells that proxy once it is known.
    #[must_use]
    pub fn open(&self, by: By, proxy: Arc<Mutex<Option<Arc<Proxy>>>>) -> u16 {
        self.listen(by, move |peer| {
            let proxy = proxy.lock().unwrap_or_else(PoisonError::into_inner);
            Way::Proxied(proxy.as_ref().and_then(|proxy| proxy.passage(peer)), Direction::Down)
        })
    }

    /// Opens a port for an agent that collects through `proxy`, one call at a time. It is here before it calls, so that
    /// its call is looked for only when mail has come.
    #[must_use]
    pub fn open_for_agent(&self, proxy: Arc<Proxy>) -> u16 {
        self.listen(By::Agent, move |_| Way::Collected(Arc::clone(&proxy)))
    }

    fn listen(&self, by: By, way: impl Fn(SocketAddr) -> Way + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let letterbox = self.clone();
        std::thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming().flatten()) {
                if letterbox.shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(peer) = stream.peer_addr() else { continue };
                let (letterbox, way) = (letterbox.clone(), way(peer));
                std::thread::spawn(move || {
                    let talk = Talk { stream: BufReader::new(stream), said: 0 };
                    // How it ends is the network's business.
                    let _ = letterbox.serve(talk, number, by, way);
                });
            }
        });
        port
    }

    /// No new connections.
    pub fn close(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }

    fn serve(&self, talk: Talk, number: u64, by: By, way: Way) -> std::io::Result<()> {
        talk.stream.get_ref().set_read_timeout(Some(PATIENCE))?;
        talk.stream.get_ref().set_write_timeout(Some(PATIENCE))?;
        talk.stream.get_ref().set_nodelay(true)?;
        let random = Random::new(number);
        let (recipients, chunks) = (Vec::new(), Vec::new());
        Session { letterbox: self, talk, by, way, random, recipients, chunks }.run()
    }
}

/// A stream whose outgoing octets are counted.
#[derive(Debug)]
struct Talk {
    stream: BufReader<TcpStream>,
    said: u64,
}

impl Talk {
    fn say(&mut self, text: &str) -> std::io::Result<()> {
        let line = format!("{text}\r\n");
        self.said += line.len() as u64;
        self.stream.get_mut().write_all(line.as_bytes())
    }

    fn line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
    }

    /// A whole reply; its last line.
    fn reply(&mut self) -> std::io::Result<String> {
        loop {
            let line = String::from_utf8_lossy(&self.line()?).trim_end().to_owned();
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }
}

/// Somebody who collects by ATRN, in clear, through a proxy.
#[derive(Debug)]
pub struct Collector<'a> {
    /// Where the mail goes.
    pub letterbox: &'a Letterbox,
    /// The proxy before the server's port for on-demand mail relay.
    pub proxy: &'a Proxy,
    /// The password of the account `example-org`, for CRAM-MD5.
    pub password: &'a str,
}

impl Collector<'_> {
    /// Calls once; the answer to ATRN, or why there was none.
    ///
    /// # Errors
    /// When the connection breaks, or somebody refuses before ATRN.
    pub fn call(&self, domain: &str, number: u64) -> std::io::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.proxy.port()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let ours: SocketAddr = stream.local_addr()?;
        let mut talk = Talk { stream: BufReader::new(stream), said: 0 };
        talk.reply()?;
        talk.say("EHLO primary.example")?;
        talk.reply()?;
        talk.say("AUTH CRAM-MD5")?;
        let challenge = talk.reply()?;
        talk.say(&self.response(challenge.strip_prefix("334 ").unwrap_or_default()))?;
        let reply = talk.reply()?;
        if !reply.starts_with('2') {
            return Err(std::io::Error::other(reply));
        }
        talk.say(&format!("ATRN {domain}"))?;
        let reply = talk.reply()?;
        if reply.starts_with("250") {
            // Roles are reversed; how it ends is the network's business.
            let way = Way::Proxied(self.proxy.passage(ours), Direction::Up);
            let _ = self.letterbox.serve(talk, number, By::Atrn, way);
        }
        Ok(reply)
    }

    /// What CRAM-MD5 answers, RFC 2195.
    fn response(&self, challenge: &str) -> String {
        let challenge = STANDARD.decode(challenge).unwrap_or_default();
        let mut digest =
            Hmac::<Md5>::new_from_slice(self.password.as_bytes()).expect("keys of any length are taken");
        digest.update(&challenge);
        let hex: String = digest.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
        STANDARD.encode(format!("example-org {hex}"))
    }
}

struct Session<'a> {
    letterbox: &'a Letterbox,
    talk: Talk,
    by: By,
    way: Way,
    random: Random,
    recipients: Vec<String>,
    chunks: Vec<u8>,
}

impl Session<'_> {
    fn run(mut self) -> std::io::Result<()> {
        self.talk.say("220 letterbox.example")?;
        loop {
            let line = String::from_utf8_lossy(&self.talk.line()?).trim_end().to_owned();
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.hello()?,
                "MAIL" => {
                    self.recipients.clear();
                    self.chunks.clear();
                    self.talk.say("250 2.1.0 ok")?;
                }
                "RCPT" => self.recipient(&line)?,
                "DATA" if self.recipients.is_empty() => self.talk.say("554 5.5.1 no valid recipients")?,
                "DATA" => self.data()?,
                "BDAT" => self.chunk(&line)?,
                "HELO" | "RSET" | "NOOP" => self.talk.say("250 2.0.0 ok")?,
                "QUIT" => return self.talk.say("221 2.0.0 bye"),
                _ => self.talk.say("500 5.5.1 what?")?,
            }
        }
    }

    /// Each connection meets another server: with and without the extensions that make the sender hurry.
    fn hello(&mut self) -> std::io::Result<()> {
        let mut keywords = vec!["250-letterbox.example"];
        keywords.extend(self.random.percent(70).then_some("250-PIPELINING"));
        keywords.extend(self.random.percent(60).then_some("250-CHUNKING"));
        keywords.push("250-8BITMIME");
        keywords.push("250 ENHANCEDSTATUSCODES");
        self.talk.say(&keywords.join("\r\n"))
    }

    fn recipient(&mut self, line: &str) -> std::io::Result<()> {
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        if address.starts_with("refused") {
            return self.talk.say("550 5.1.1 no such user");
        }
        if address.starts_with("later") && self.random.percent(40) {
            return self.talk.say("451 4.3.0 later");
        }
        self.recipients.push(address);
        self.talk.say("250 2.1.5 ok")
    }

    fn data(&mut self) -> std::io::Result<()> {
        self.talk.say("354 go on")?;
        let mut content = Vec::new();
        loop {
            let line = self.talk.line()?;
            if line == b".\r\n" {
                return self.taken(&content);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn chunk(&mut self, line: &str) -> std::io::Result<()> {
        let mut words = line.split(' ').skip(1);
        let size = words.next().and_then(|word| word.parse().ok()).unwrap_or(0_usize);
        let last = words.next().is_some();
        let mut chunk = vec![0; size];
        self.talk.stream.read_exact(&mut chunk)?;
        self.chunks.append(&mut chunk);
        if self.recipients.is_empty() {
            return self.talk.say("503 5.5.1 no valid recipients");
        }
        if last {
            let content = std::mem::take(&mut self.chunks);
            return self.taken(&content);
        }
        self.talk.say("250 2.0.0 chunk ok")
    }

    /// It is ours before we say so; some have enough then.
    fn taken(&mut self, content: &[u8]) -> std::io::Result<()> {
        let answer = "250 2.0.0 taken";
        let end = self.talk.said + answer.len() as u64 + 2;
        let (passage, answers, told) = match &self.way {
            Way::Proxied(passage, answers) => (passage.clone(), *answers, end),
            Way::Collected(proxy) => (proxy.latest(), Direction::Up, 0),
        };
        let arrival = Arrival {
            by: self.by,
            letter: Letter::read(content),
            recipients: std::mem::take(&mut self.recipients),
            told,
            passage,
            answers,
            at: Instant::now(),
        };
        self.letterbox.shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
        self.talk.say(answer)?;
        if self.random.percent(12) {
            self.talk.say("421 4.3.2 enough for one connection")?;
            // Some wait until the other side has read that; the reset of the others may overtake it.
            if self.random.percent(60) {
                let stream = self.talk.stream.get_ref();
                stream.set_read_timeout(Some(LINGER))?;
                stream.shutdown(std::net::Shutdown::Write)?;
                std::io::copy(&mut self.talk.stream, &mut std::io::sink())?;
            }
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}
