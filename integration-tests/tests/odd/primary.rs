//! A primary that is honest in everything but one answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_integration_tests::{eventually, listen, sample, sample_number, without_received};

/// When it is to answer something else, and what.
#[derive(Debug, Clone)]
pub(crate) struct Trick {
    /// `GREETING`, a verb, or `END` for what is said of the content.
    pub(crate) stage: &'static str,
    /// How many answers at this stage are honest before.
    pub(crate) after: usize,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Nothing: the line is closed.
    Closed,
    /// What is right, and the line is closed.
    HonestThenClosed,
    /// What is right, and one reply more.
    HonestAndMore,
    /// These octets, and nothing is done.
    Instead(Vec<u8>),
    /// These octets, and the line is closed; nothing is done.
    InsteadThenClosed(Vec<u8>),
}

#[derive(Default)]
struct State {
    trick: Option<Trick>,
    /// How often each recipient's message was taken.
    taken: BTreeMap<String, usize>,
    broken: usize,
}

struct Shared {
    keywords: &'static [&'static str],
    state: Mutex<State>,
    closed: AtomicUsize,
    stop: AtomicBool,
}

/// Gone when dropped.
pub(crate) struct Primary {
    port: u16,
    shared: Arc<Shared>,
}

impl Primary {
    pub(crate) fn start(port: u16, keywords: &'static [&'static str]) -> Self {
        let listener = listen(port);
        let shared = Arc::new(Shared {
            keywords,
            state: Mutex::default(),
            closed: AtomicUsize::new(0),
            stop: false.into(),
        });
        let theirs = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = theirs.clone();
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    let mut session = Session::new(BufReader::new(stream), shared.clone());
                    session.talk();
                    session.leave();
                    shared.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, shared }
    }

    pub(crate) fn play(&self, trick: Trick) {
        self.shared.state.lock().expect("no session panics").trick = Some(trick);
    }

    /// Whether what was to be played was played.
    pub(crate) fn played(&self) -> bool {
        self.shared.state.lock().expect("no session panics").trick.is_none()
    }

    /// Whether whole messages are sent to it without waiting.
    pub(crate) fn bursts(&self) -> bool {
        ["PIPELINING", "CHUNKING"].iter().all(|word| self.shared.keywords.contains(word))
    }

    /// How many conversations are over.
    pub(crate) fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::SeqCst)
    }

    /// How often this recipient got something.
    pub(crate) fn taken(&self, recipient: &str) -> usize {
        self.shared.state.lock().expect("no session panics").taken.get(recipient).copied().unwrap_or(0)
    }

    /// Recipients who got something, those who got it more than once, and messages that were not as they were sent.
    pub(crate) fn account(&self) -> (usize, usize, usize) {
        let state = self.shared.state.lock().expect("no session panics");
        (state.taken.len(), state.taken.values().filter(|count| **count > 1).count(), state.broken)
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        // Its port is free again when this returns.
        eventually(Duration::from_secs(5), || TcpListener::bind(("127.0.0.1", self.port)).is_ok());
    }
}

struct Session {
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
    open: bool,
    recipients: Vec<String>,
    content: Vec<u8>,
}

impl Session {
    const fn new(reader: BufReader<TcpStream>, shared: Arc<Shared>) -> Self {
        Self { reader, shared, open: false, recipients: Vec::new(), content: Vec::new() }
    }

    /// `None`: the conversation is over.
    fn say(&mut self, octets: &[u8]) -> Option<()> {
        self.reader.get_mut().write_all(octets).ok()
    }

    /// Does what is right at this stage and says so, unless it is time for the trick.
    fn answer(&mut self, stage: &str, honest: impl FnOnce(&mut Self) -> String) -> Option<()> {
        let trick = {
            let mut state = self.shared.state.lock().expect("no session panics");
            match &mut state.trick {
                Some(trick) if trick.stage == stage && trick.after == 0 => state.trick.take(),
                Some(trick) if trick.stage == stage => {
                    trick.after -= 1;
                    None
                }
                _ => None,
            }
        };
        let Some(trick) = trick else {
            let reply = honest(self);
            return self.say(reply.as_bytes());
        };
        match trick.answer {
            Answer::Closed => None,
            Answer::HonestThenClosed => {
                let reply = honest(self);
                self.say(reply.as_bytes());
                None
            }
            Answer::HonestAndMore => {
                let reply = honest(self);
                self.say(format!("{reply}250 2.0.0 and more\r\n").as_bytes())
            }
            Answer::Instead(octets) => {
                self.forget();
                self.say(&octets)
            }
            Answer::InsteadThenClosed(octets) => {
                self.say(&octets);
                None
            }
        }
    }

    fn talk(&mut self) -> Option<()> {
        self.answer("GREETING", |_| "220 primary.example ESMTP\r\n".to_owned())?;
        loop {
            let line = self.line()?;
            self.command(&String::from_utf8_lossy(&line))?;
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
        Some(line)
    }

    /// Ends our direction and takes what is still coming, so that no reset overtakes a reply.
    fn leave(&mut self) {
        let stream = self.reader.get_ref();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
        let _ = std::io::copy(&mut self.reader, &mut std::io::sink());
    }

    fn forget(&mut self) {
        self.open = false;
        self.recipients.clear();
        self.content.clear();
    }

    fn command(&mut self, line: &str) -> Option<()> {
        let ok = |_: &mut Self| "250 2.0.0 ok\r\n".to_owned();
        match line.trim_end().split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => self.answer("EHLO", |session| {
                let words = session.shared.keywords.iter().map(|word| format!("250-{word}\r\n"));
                format!("250-primary.example\r\n{}250 HELP\r\n", words.collect::<String>())
            }),
            "HELO" => self.answer("HELO", |_| "250 primary.example\r\n".to_owned()),
            "STARTTLS" => self.answer("STARTTLS", |_| "454 4.7.0 not now\r\n".to_owned()),
            "MAIL" => self.answer("MAIL", |session| {
                session.forget();
                session.open = true;
                ok(session)
            }),
            "RCPT" => {
                let name = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                self.answer("RCPT", |session| {
                    if !session.open {
                        return "503 5.5.1 MAIL first\r\n".to_owned();
                    }
                    session.recipients.push(name);
                    ok(session)
                })
            }
            "DATA" if self.recipients.is_empty() => self.say(b"554 5.5.1 nobody\r\n"),
            "DATA" => self.data(),
            "BDAT" => self.chunk(line),
            "RSET" => self.answer("RSET", |session| {
                session.forget();
                ok(session)
            }),
            "QUIT" => {
                self.answer("QUIT", |_| "221 2.0.0 bye\r\n".to_owned());
                None
            }
            _ => self.say(b"500 5.5.1 what?\r\n"),
        }
    }

    fn data(&mut self) -> Option<()> {
        let mut honest = false;
        self.answer("DATA", |_| {
            honest = true;
            "354 go on\r\n".to_owned()
        })?;
        // After anything but 354 no content comes.
        if !honest {
            return Some(());
        }
        loop {
            let line = self.line()?;
            if line == b".\r\n" {
                return self.end();
            }
            self.content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn chunk(&mut self, line: &str) -> Option<()> {
        let mut words = line.trim_end().split(' ').skip(1);
        let mut chunk = vec![0; words.next()?.parse().ok()?];
        self.reader.read_exact(&mut chunk).ok()?;
        if self.recipients.is_empty() {
            return self.say(b"503 5.5.1 nobody\r\n");
        }
        self.content.append(&mut chunk);
        if words.next().is_none() {
            return self.say(b"250 2.0.0 chunk\r\n");
        }
        self.end()
    }

    fn end(&mut self) -> Option<()> {
        self.answer("END", |session| {
            let recipients = std::mem::take(&mut session.recipients);
            let whole = intact(&std::mem::take(&mut session.content));
            session.forget();
            let mut state = session.shared.state.lock().expect("no session panics");
            state.broken += usize::from(!whole);
            for name in recipients {
                *state.taken.entry(name).or_default() += 1;
            }
            "250 2.0.0 taken\r\n".to_owned()
        })
    }
}

fn intact(content: &[u8]) -> bool {
    if !content.starts_with(b"Received: ") {
        return false;
    }
    let content = without_received(content);
    sample_number(&content).is_some_and(|number| content == sample(number, super::SIZE))
}
