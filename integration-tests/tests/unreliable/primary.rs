//! A primary that fails at random, and remembers exactly what it took.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_integration_tests::{listen, sample, sample_number, without_received};

/// What it did to whom; each is counted.
pub(crate) const WHIMS: [&str; 9] = [
    "refused connections",
    "5xx greetings",
    "closed",
    "closed after the reply",
    "421",
    "4xx",
    "5xx to MAIL",
    "garbage",
    "stalled",
];

#[derive(Default)]
pub(crate) struct Books {
    /// Recipients that were taken with 250, and in which lives of the daemon.
    pub(crate) taken: BTreeMap<String, Vec<usize>>,
    /// Recipients that were put off once already.
    put_off: BTreeSet<String>,
    /// Messages whose octets were not those that were sent.
    pub(crate) broken: usize,
    /// How often each of [`WHIMS`] came over it.
    pub(crate) whims: BTreeMap<&'static str, usize>,
}

pub(crate) struct Shared {
    pub(crate) books: Mutex<Books>,
    /// One in so many commands goes wrong; 0: none.
    one_in: u64,
    /// Whether recipients called so are refused.
    pub(crate) strict: AtomicBool,
    /// How often the daemon was started anew so far.
    pub(crate) life: AtomicUsize,
    /// Which whim comes next over it at MAIL: each in its turn, for there are few.
    at_mail: AtomicU64,
    seed: AtomicU64,
    count: AtomicUsize,
    stop: AtomicBool,
}

/// Gone when dropped.
pub(crate) struct Primary {
    pub(crate) shared: Arc<Shared>,
}

impl Shared {
    fn random(&self) -> u64 {
        // splitmix64, one step each
        let mut z = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn whim(&self) -> bool {
        self.one_in != 0 && self.random().is_multiple_of(self.one_in)
    }

    /// There are far fewer connections than commands.
    fn greets_badly(&self) -> bool {
        self.one_in != 0 && self.random().is_multiple_of(10)
    }

    fn note(&self, what: &'static str) {
        *self.books.lock().expect("no session panics").whims.entry(what).or_default() += 1;
    }

    /// Recipients taken so far, each once.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Primary {
    pub(crate) fn start(port: u16, seed: u64, one_in: u64) -> Self {
        let shared = Arc::new(Shared {
            books: Mutex::default(),
            one_in,
            strict: AtomicBool::new(true),
            life: AtomicUsize::new(0),
            at_mail: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
            count: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        std::thread::spawn(move || {
            while !theirs.stop.load(Ordering::SeqCst) {
                open(port, &theirs);
                // Nobody listens for a moment.
                theirs.note("refused connections");
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { shared }
    }
}

/// Listens for as long as it likes.
fn open(port: u16, shared: &Arc<Shared>) {
    let listener = listen(port);
    listener.set_nonblocking(true).expect("a socket takes that");
    // The more goes wrong, the sooner nobody listens.
    let moments =
        if shared.one_in == 0 { u64::MAX } else { 4 * shared.one_in + shared.random() % (7 * shared.one_in) };
    let mut moment = 0;
    while moment < moments && !shared.stop.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            moment += 1;
            continue;
        };
        let shared = shared.clone();
        std::thread::spawn(move || {
            let _ = stream.set_nonblocking(false);
            let _ = stream.set_nodelay(true);
            let reader = BufReader::new(stream);
            let life = shared.life.load(Ordering::SeqCst);
            let (recipients, chunks) = (Vec::new(), Vec::new());
            let mut session = Session { reader, shared, life, open: false, recipients, chunks };
            session.talk();
            session.leave();
        });
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

struct Session {
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
    /// In which life of the daemon it was opened.
    life: usize,
    /// MAIL was taken, and its message has not ended.
    open: bool,
    recipients: Vec<String>,
    chunks: Vec<u8>,
}

/// How a command ends: a reply, and whether the line is closed behind it. No reply: closed at once.
type Answer = (Option<String>, bool);

fn say(text: &str) -> Answer {
    (Some(text.to_owned()), false)
}

impl Session {
    fn talk(&mut self) {
        if self.shared.greets_badly() {
            self.shared.note("5xx greetings");
            self.answer("554 5.3.2 not today");
            return;
        }
        if !self.answer("220 primary.example ESMTP") {
            return;
        }
        loop {
            let mut line = Vec::new();
            if !self.reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                return;
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (reply, close) = self.command(&line);
            let Some(reply) = reply else { return };
            if !self.answer(&reply) || close {
                return;
            }
        }
    }

    fn answer(&mut self, reply: &str) -> bool {
        self.reader.get_mut().write_all(format!("{reply}\r\n").as_bytes()).is_ok()
    }

    /// Ends our direction and takes what is still coming, so that no reset overtakes a reply.
    fn leave(&mut self) {
        let stream = self.reader.get_ref();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
        let _ = std::io::copy(&mut self.reader, &mut std::io::sink());
    }

    fn command(&mut self, line: &str) -> Answer {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        // Content is read before anything is said of it.
        let read = match verb.as_str() {
            "BDAT" => self.chunk(line),
            _ => Some(false),
        };
        let Some(last) = read else { return (None, true) };
        if verb != "DATA"
            && let Some(answer) = self.mood(&verb)
        {
            return answer;
        }
        match verb.as_str() {
            "EHLO" => {
                let offers = ["PIPELINING\r\n250-CHUNKING", "PIPELINING", "HELP"];
                let pick = offers[usize::try_from(self.shared.random() % 3).expect("below 3")];
                say(&format!("250-primary.example\r\n250-{pick}\r\n250-8BITMIME\r\n250 SIZE 100000000"))
            }
            "MAIL" => {
                self.forget();
                self.open = true;
                say("250 2.1.0 ok")
            }
            "RCPT" if !self.open => say("503 5.5.1 MAIL first"),
            "RCPT" => self.recipient(line),
            "DATA" if self.recipients.is_empty() => say("554 5.5.1 no valid recipients"),
            "DATA" => self.data(),
            "BDAT" if self.recipients.is_empty() => say("503 5.5.1 no valid recipients"),
            "BDAT" if !last => say("250 2.0.0 chunk"),
            "BDAT" => self.taken(),
            "QUIT" => (Some("221 2.0.0 bye".to_owned()), true),
            "RSET" => {
                self.forget();
                say("250 2.0.0 ok")
            }
            "NOOP" => say("250 2.0.0 ok"),
            _ => say("500 5.5.1 what?"),
        }
    }

    /// What goes wrong, if anything does. Whatever it is, nothing was taken.
    fn mood(&mut self, verb: &str) -> Option<Answer> {
        if !self.shared.whim() {
            return None;
        }
        let kind = match verb {
            "MAIL" => self.shared.at_mail.fetch_add(1, Ordering::SeqCst) % 7,
            _ => self.shared.random() % 7,
        };
        let (what, answer) = match (kind, verb) {
            (0, _) => ("closed", (None, true)),
            (1, "MAIL" | "RCPT" | "EHLO") => {
                ("closed after the reply", (Some("250 2.0.0 ok".to_owned()), true))
            }
            (2, _) => ("421", (Some("421 4.3.2 shutting down".to_owned()), true)),
            (3, "MAIL") => ("5xx to MAIL", say("550 5.7.1 not from you")),
            (4, _) => ("garbage", (Some("250-fine\r\n999 but\r\n\0\u{1}nonsense\r\n25".to_owned()), true)),
            (5, _) => {
                std::thread::sleep(Duration::from_millis(300));
                ("stalled", (None, true))
            }
            _ => ("4xx", say("451 4.3.0 not now")),
        };
        self.shared.note(what);
        if verb != "RCPT" {
            self.forget();
        }
        Some(answer)
    }

    /// The transaction is over.
    fn forget(&mut self) {
        self.open = false;
        self.recipients.clear();
        self.chunks.clear();
    }

    fn recipient(&mut self, line: &str) -> Answer {
        let name = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        if name.starts_with("no-") && self.shared.strict.load(Ordering::SeqCst) {
            return say("550 5.1.1 no such user");
        }
        let mut books = self.shared.books.lock().expect("no session panics");
        if name.starts_with("slow-") && books.put_off.insert(name.clone()) {
            return say("450 4.2.0 come again");
        }
        drop(books);
        self.recipients.push(name);
        say("250 2.1.5 ok")
    }

    fn data(&mut self) -> Answer {
        if !self.answer("354 go on") {
            return (None, true);
        }
        self.chunks.clear();
        loop {
            let mut line = Vec::new();
            if !self.reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                return (None, true);
            }
            if line == b".\r\n" {
                break;
            }
            self.chunks.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.mood("DATA").unwrap_or_else(|| self.taken())
    }

    /// Whether it was the last; `None` where the line broke.
    fn chunk(&mut self, line: &str) -> Option<bool> {
        let mut words = line.split(' ').skip(1);
        let mut chunk = vec![0; words.next()?.parse().ok()?];
        self.reader.read_exact(&mut chunk).ok()?;
        self.chunks.append(&mut chunk);
        Some(words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST")))
    }

    /// The end of a message: what is taken here was delivered, for the reply is on its way and nothing overtakes it.
    fn taken(&mut self) -> Answer {
        let (recipients, content) = (std::mem::take(&mut self.recipients), std::mem::take(&mut self.chunks));
        self.forget();
        let strict = self.shared.strict.load(Ordering::SeqCst);
        if strict && recipients.iter().any(|name| name.starts_with("late-")) {
            return say("554 5.7.1 we do not like what it says");
        }
        let mut books = self.shared.books.lock().expect("no session panics");
        if !intact(&content) {
            books.broken += 1;
        }
        for name in recipients {
            books.taken.entry(name).or_default().push(self.life);
        }
        self.shared.count.store(books.taken.len(), Ordering::SeqCst);
        drop(books);
        let close = self.shared.whim();
        if close {
            self.shared.note("closed after the reply");
        }
        (Some("250 2.0.0 taken".to_owned()), close)
    }
}

fn intact(content: &[u8]) -> bool {
    if !content.starts_with(b"Received: ") {
        return false;
    }
    let content = without_received(content);
    sample_number(&content).is_some_and(|number| content == sample(number, super::size(number)))
}
