//! Dialogue files: what a client sends and what it must hear, as data. They are replayed in memory under every cut of
//! the octets, and over real sockets.
//!
//! | line | means |
//! |---|---|
//! | `# …` | a comment; clause ids stand here |
//! | `config: word …` | the listener: `strict`, `starttls`, `tls` (already on), `tls-required`, `no-etrn`, `no-smtputf8`, `size=N`, `recipients=N`, `odmr`, `collected`, `has-8bitmime`, `has-dsn`, `has-size`, `auth=NAME,…` (or `all`), `cleartext`, `no-binding`, `certificate` (the client shows one), `atrn`, `turn` |
//! | `C: text` | the client sends `text` and CRLF |
//! | `C\| text` | the client sends `text` as it is |
//! | `C+ text` | as `C:`, in the same piece as the octet before it, whatever the cut |
//! | `S: text` | the server answers this line; `*` stands for anything |
//! | `S.` | the server closes |
//! | `R.` | the roles are turned, nothing more is read |
//! | `V.` | content that went into the sink is void |
//! | `T: seconds` | time passes |
//! | `X: shutdown` or `X: eof` | we shut down; the client closes its side |
//! | `Q: <sender> <recipient> … \| content` | this message was accepted, in order; `*` as content stands for anything |
//!
//! In `C`, and in the content of `Q`, stand `\r \n \0 \\ \xHH`, and `\{N*text}` for N times the text. Lines of one kind that follow each
//! other are one step: the client sends all of them, then the server's answers are compared, in full. A file begins
//! with the greeting.

#![allow(dead_code, reason = "each test that shares this file uses its part of it")]

/// A file.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    /// Its name, for messages.
    pub(crate) name: String,
    /// The words of `config:`.
    pub(crate) config: Vec<String>,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
    /// What was accepted.
    pub(crate) queued: Vec<Queued>,
}

/// One turn: something is done, then answers are compared.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The line of the file where it begins.
    pub(crate) line: usize,
    /// What is done.
    pub(crate) act: Act,
    /// The lines that must come.
    pub(crate) expect: Vec<String>,
    /// The server closes.
    pub(crate) closes: bool,
    /// The roles are turned.
    pub(crate) turns: bool,
    /// Contents that become void.
    pub(crate) voids: usize,
}

/// What is done in a step.
#[derive(Debug, Default)]
pub(crate) enum Act {
    /// The client connects and waits.
    #[default]
    Wait,
    /// The client sends octets; at the places in `glued` they are never cut.
    Send { octets: Vec<u8>, glued: Vec<usize> },
    /// Seconds pass.
    Time(u64),
    /// We shut down.
    Shutdown,
    /// The client closes its side.
    Eof,
}

/// A message that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    /// MAIL FROM.
    pub(crate) sender: String,
    /// RCPT TO.
    pub(crate) recipients: Vec<String>,
    /// As stored; `None` for any.
    pub(crate) content: Option<Vec<u8>>,
}

impl Dialogue {
    /// Reads a file's text.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut dialogue = Self { name: name.to_owned(), steps: vec![Step::default()], ..Self::default() };
        for (index, line) in text.lines().enumerate() {
            dialogue.line(index + 1, line);
        }
        assert!(!dialogue.steps[0].expect.is_empty(), "{name}: begins with the greeting");
        dialogue
    }

    fn line(&mut self, number: usize, line: &str) {
        let Some((kind, text)) = line.split_at_checked(2) else {
            assert!(line.trim().is_empty(), "{}:{number}: {line}", self.name);
            return;
        };
        let text = text.strip_prefix(' ').unwrap_or(text);
        let last = self.steps.last_mut().expect("there is a first step");
        match kind {
            "C:" | "C|" | "C+" => self.client(number, kind, text),
            "S:" => last.expect.push(text.to_owned()),
            "S." => last.closes = true,
            "R." => last.turns = true,
            "V." => last.voids += 1,
            "T:" => self.act(number, Act::Time(text.parse().expect("seconds"))),
            "X:" if text == "shutdown" => self.act(number, Act::Shutdown),
            "X:" if text == "eof" => self.act(number, Act::Eof),
            "Q:" => self.queued.push(queued(text)),
            _ if line.starts_with('#') => {}
            _ => match line.strip_prefix("config:") {
                Some(words) => self.config.extend(words.split_whitespace().map(str::to_owned)),
                None => panic!("{}:{number}: {line}", self.name),
            },
        }
    }

    fn act(&mut self, line: usize, act: Act) {
        self.steps.push(Step { line, act, ..Step::default() });
    }

    fn client(&mut self, number: usize, kind: &str, text: &str) {
        let last = self.steps.last_mut().expect("there is a first step");
        let goes_on =
            matches!(last.act, Act::Send { .. }) && last.expect.is_empty() && !last.closes && last.voids == 0;
        if !goes_on {
            self.act(number, Act::Send { octets: Vec::new(), glued: Vec::new() });
        }
        let Some(Step { act: Act::Send { octets, glued }, .. }) = self.steps.last_mut() else {
            unreachable!()
        };
        if kind == "C+" {
            glued.push(octets.len());
        }
        octets.extend_from_slice(&unescape(text));
        if kind != "C|" {
            octets.extend_from_slice(b"\r\n");
        }
    }
}

fn queued(text: &str) -> Queued {
    let (envelope, content) = text.split_once(" | ").expect("Q: <sender> <recipient> … | content");
    let inner =
        envelope.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).expect("paths in brackets");
    let mut words = inner.split("> <").map(str::to_owned);
    let sender = words.next().expect("a sender");
    let content = (content != "*").then(|| unescape(content));
    Queued { sender, recipients: words.collect(), content }
}

/// Takes the escapes out.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(position) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..position]);
        let escape = &rest[position + 1..];
        let kind = escape.chars().next().expect("an escape");
        let mut taken = 1;
        match kind {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            '0' => out.push(0),
            '\\' => out.push(b'\\'),
            'x' => {
                out.push(u8::from_str_radix(&escape[1..3], 16).expect("two digits"));
                taken = 3;
            }
            '{' => {
                let end = escape.find('}').expect("a closing brace");
                let (count, text) = escape[1..end].split_once('*').expect("N*text");
                out.extend(unescape(text).repeat(count.parse().expect("a number")));
                taken = end + 1;
            }
            _ => panic!("no such escape: \\{kind}"),
        }
        rest = &escape[taken..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Whether a line is as expected; `*` stands for anything.
pub(crate) fn matches(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(position) = rest.find(part) else { return false };
        rest = &rest[position + part.len()..];
    }
    true
}
