//! What went over the wire between a client and a server, read by somebody who believes neither.

use std::collections::{BTreeMap, VecDeque};

use restante_smtp::ReplyParser;
use restante_types::{Reply, Severity};

use crate::scram;

/// Where the client's octets stand.
#[derive(Debug)]
enum Reading {
    Commands,
    /// DATA was said; what follows is only known when it is answered.
    AwaitsData,
    Dots,
    Chunk(usize),
}

/// What a reply is owed for.
#[derive(Debug)]
enum Owed {
    Mail(usize),
    Recipient(usize),
    Data,
    Content(Vec<u8>),
    Auth,
    Reset,
    Other,
}

/// What was said in AUTH, base64 taken off.
#[derive(Debug, Default)]
struct Auth {
    mechanism: String,
    client: Vec<String>,
    server: Vec<String>,
}

/// A transaction as the server sees it.
#[derive(Debug, Default)]
struct Open {
    number: usize,
    accepted: Vec<usize>,
}

/// Knows which recipients of which message the server took.
#[derive(Debug)]
pub struct Book {
    line: Vec<u8>,
    reading: Reading,
    content: Vec<u8>,
    owed: VecDeque<Owed>,
    parser: ReplyParser,
    open: Option<Open>,
    taken: BTreeMap<(usize, usize), Vec<u8>>,
    /// Codes that the steps of transactions were answered by, in order.
    answers: VecDeque<u16>,
    auth: Auth,
    broken: bool,
}

const VERBS: [&str; 17] = [
    "EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "QUIT", "STARTTLS", "AUTH", "ATRN",
    "TURN", "ETRN", "XCLIENT", "XFORWARD", "NOOP",
];

impl Book {
    /// A connection on which the server greets first.
    #[must_use]
    pub fn new() -> Self {
        Self {
            line: Vec::new(),
            reading: Reading::Commands,
            content: Vec::new(),
            owed: VecDeque::from([Owed::Other]),
            parser: ReplyParser::default(),
            open: None,
            taken: BTreeMap::new(),
            answers: VecDeque::new(),
            auth: Auth::default(),
            broken: false,
        }
    }

    /// The code that the next step was answered by.
    pub fn answer(&mut self) -> Option<u16> {
        self.answers.pop_front()
    }

    /// Whether the server may be believed that it knows this password's account: by SCRAM it has proved it.
    #[must_use]
    pub fn proved(&self, password: &str) -> bool {
        let Auth { mechanism, client, server } = &self.auth;
        !mechanism.starts_with("SCRAM") || scram::proves(client, server, password)
    }

    /// The mechanism of the last AUTH.
    #[must_use]
    pub fn mechanism(&self) -> &str {
        &self.auth.mechanism
    }

    /// The content that the server took for this recipient of this message.
    #[must_use]
    pub fn took(&self, number: usize, recipient: usize) -> Option<Vec<u8>> {
        self.taken.get(&(number, recipient)).cloned()
    }

    /// The client said this.
    pub fn said(&mut self, octets: &[u8]) {
        for octet in octets {
            match &mut self.reading {
                Reading::Chunk(left) => {
                    self.content.push(*octet);
                    *left -= 1;
                    if *left == 0 {
                        self.end_of_content();
                    }
                }
                Reading::AwaitsData => panic!("it goes on before DATA is answered"),
                Reading::Commands | Reading::Dots => {
                    self.line.push(*octet);
                    if self.line.ends_with(b"\r\n") {
                        let line = std::mem::take(&mut self.line);
                        self.line_said(&line[..line.len() - 2]);
                    }
                }
            }
        }
    }

    fn line_said(&mut self, line: &[u8]) {
        if matches!(self.reading, Reading::Dots) {
            match line {
                b"." => self.end_of_content(),
                line => {
                    self.content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
                    self.content.extend_from_slice(b"\r\n");
                }
            }
            return;
        }
        let line = std::str::from_utf8(line).expect("a command is text");
        assert!(!line.contains(|c: char| c.is_control()) && line.len() < 12_288, "{line:?}");
        let verb = line.split(' ').next().unwrap_or_default();
        self.command(verb, line);
    }

    fn command(&mut self, verb: &str, line: &str) {
        let owed = match verb {
            "MAIL" => {
                let number = line.strip_prefix("MAIL FROM:<s").and_then(|rest| rest.split_once('@'));
                Owed::Mail(number.expect("one of ours").0.parse().unwrap())
            }
            "RCPT" => {
                let number = line.strip_prefix("RCPT TO:<r").and_then(|rest| rest.split_once('@'));
                Owed::Recipient(number.expect("one of ours").0.parse().unwrap())
            }
            "DATA" => {
                self.reading = Reading::AwaitsData;
                Owed::Data
            }
            "BDAT" => {
                let size = line.strip_prefix("BDAT ").and_then(|rest| rest.strip_suffix(" LAST"));
                self.reading = Reading::Chunk(size.expect("one chunk").parse().unwrap());
                return;
            }
            "AUTH" => {
                let mut words = line.split(' ').skip(1);
                let mechanism = words.next().expect("a mechanism").to_owned();
                let client = words.filter(|word| *word != "=").filter_map(scram::decode).collect();
                self.auth = Auth { mechanism, client, server: Vec::new() };
                Owed::Auth
            }
            "RSET" => Owed::Reset,
            verb if VERBS.contains(&verb) => Owed::Other,
            // Inside AUTH.
            _ => {
                let base64 = |octet: u8| octet.is_ascii_alphanumeric() || b"+/=*".contains(&octet);
                assert!(line.bytes().all(base64), "no command: {line:?}");
                self.auth.client.extend(scram::decode(line));
                Owed::Auth
            }
        };
        self.owed.push_back(owed);
    }

    fn end_of_content(&mut self) {
        self.reading = Reading::Commands;
        self.owed.push_back(Owed::Content(std::mem::take(&mut self.content)));
    }

    /// The server said this.
    pub fn heard(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() && !self.broken {
            match self.parser.handle_bytes(rest) {
                Err(_) => self.broken = true,
                Ok((taken, reply)) => {
                    rest = &rest[taken..];
                    if let Some(reply) = reply {
                        self.reply(&reply);
                    }
                }
            }
        }
    }

    fn reply(&mut self, reply: &Reply) {
        let Some(owed) = self.owed.pop_front() else {
            self.broken = true;
            return;
        };
        let severity = reply.severity();
        // The connection is over, and nothing counts any more.
        self.broken |= reply.code.get() == 421;
        match &owed {
            Owed::Auth if reply.code.get() == 334 => self.auth.server.extend(scram::decode(&reply.text)),
            Owed::Auth | Owed::Other => {}
            _ => self.answers.push_back(reply.code.get()),
        }
        match (owed, severity) {
            (Owed::Mail(number), Severity::Completed) => {
                self.open = Some(Open { number, accepted: Vec::new() })
            }
            (Owed::Mail(_), _) => self.open = None,
            (Owed::Recipient(index), Severity::Completed) => {
                if let Some(open) = &mut self.open {
                    open.accepted.push(index);
                }
            }
            (Owed::Data, Severity::Intermediate) => self.reading = Reading::Dots,
            (Owed::Data, _) => self.reading = Reading::Commands,
            (Owed::Content(content), severity) => {
                let open = self.open.take();
                if severity == Severity::Completed
                    && let Some(open) = open
                {
                    let all = open.accepted.into_iter().map(|index| ((open.number, index), content.clone()));
                    self.taken.extend(all);
                }
            }
            _ => {}
        }
    }
}

impl Default for Book {
    fn default() -> Self {
        Self::new()
    }
}
