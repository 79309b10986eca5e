//! A server machine in memory with a caller that answers its questions by fixed rules, for tests.
//!
//! | question | answer |
//! |---|---|
//! | MAIL from `later@…` | 451 4.3.0 |
//! | MAIL from `never@…` | 550 5.7.1 |
//! | RCPT to `example.org`, `example.com`, `Postmaster` | yes |
//! | RCPT to anything else | 550 5.7.1 |
//! | content of `nobegin@…` | 452 4.3.1 |
//! | content of `void@…` | yes, then void: 452 4.3.1 |
//! | the end of content of `full@…` | 452 4.3.1 |
//! | the end of content of `bye@…` | 421 4.3.0 |
//! | the end of any other content | queued |
//! | ETRN `started`, `empty`, `pending`, `many` `.example` | 250, 251, 252, 253 with 14 |
//! | ETRN `@many.example` and `#group` | 253 with 15, 250 |
//! | ETRN `busy.example` | 458 4.3.0 |
//! | ETRN of anything else | 459 4.7.1 |
//! | STARTTLS | yes; what follows comes inside TLS |
//! | AUTH | see `accounts.rs` |
//! | ATRN of `a.example`, `b.example`, or all | yes |
//! | ATRN of `empty.example`, `down.example`, any other | 453, 451 4.3.0, 450 4.7.1 |
//! | TURN of `user`, of anybody else | yes, 502 5.5.1 |

#![allow(dead_code, reason = "each test that shares this file uses its part of it")]

pub(crate) mod accounts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_smtp::{
    Ask, Atrn, AuthOffer, Channel, ContentSink, EtrnAnswer, EtrnTarget, Event, Evidence, Layer, Mechanism,
    Mechanisms, QueuedAs, RcptCommand, ServerConfig, ServerSession, Service, StartTls, Turn,
};
use restante_types::{ClientFacts, Domain, ForwardPath, Mailbox, QueueId, Recipient, Reply, TlsFacts};

/// A receipt for the n-th message.
#[derive(Debug)]
pub(crate) struct Receipt(pub(crate) u8);
impl QueuedAs for Receipt {
    fn queue_id(&self) -> QueueId {
        QueueId::from_bytes([self.0; 16])
    }
}

/// What went into the sink since it was last emptied.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    pub(crate) octets: Vec<u8>,
    /// Content may come.
    pub(crate) open: bool,
}
impl ContentSink for Sink {
    fn content(&mut self, octets: &[u8]) {
        assert!(self.open, "content without a granted Begin: {octets:?}");
        self.octets.extend_from_slice(octets);
    }
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) content: Vec<u8>,
    pub(crate) normalised: bool,
}

/// The machine, its caller, and what came of it.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) session: ServerSession<Receipt>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) now: Instant,
    pub(crate) sink: Sink,
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) voids: usize,
    pub(crate) bad: Vec<Reply>,
    pub(crate) hellos: Vec<String>,
    pub(crate) closed: bool,
    pub(crate) out: Vec<u8>,
    /// The roles are turned.
    pub(crate) turned: bool,
    /// What was asked with AUTH, for tests that look at it.
    pub(crate) evidence: Vec<Evidence>,
    words: Vec<String>,
    changing: Option<Changing>,
}

/// A change of layer or of roles, which nothing early may cross.
#[derive(Debug)]
enum Changing {
    Tls(Ask<StartTls>),
    Atrn(Ask<Atrn>),
    Turn(Ask<Turn>),
}

/// What `config:` says.
pub(crate) fn config(words: &[String]) -> ServerConfig {
    let has = |word: &str| words.iter().any(|known| known == word);
    let number = |word: &str| words.iter().find_map(|known| known.strip_prefix(word)?.parse::<u64>().ok());
    ServerConfig {
        service: service(&has),
        auth: AuthOffer { mechanisms: mechanisms(words), cleartext: has("cleartext") },
        atrn: has("atrn"),
        turn: has("turn"),
        hostname: Domain::parse("mx2.example.net").unwrap(),
        starttls: has("starttls"),
        tls_required: has("tls-required"),
        etrn: !has("no-etrn"),
        smtputf8: !has("no-smtputf8"),
        strict: has("strict"),
        message_size: number("size=").unwrap_or(50_000_000),
        recipients: usize::try_from(number("recipients=").unwrap_or(1000)).unwrap(),
    }
}

fn service(has: &impl Fn(&str) -> bool) -> Service {
    if has("odmr") {
        Service::Odmr
    } else if has("collected") {
        Service::Collected { eight_bit_mime: has("has-8bitmime"), dsn: has("has-dsn"), size: has("has-size") }
    } else {
        Service::Smtp
    }
}

/// `auth=NAME,NAME`, or `auth=all`
fn mechanisms(words: &[String]) -> Mechanisms {
    let names = words.iter().find_map(|word| word.strip_prefix("auth=")).unwrap_or_default();
    let all = names == "all";
    Mechanism::ALL.into_iter().filter(|one| all || names.split(',').any(|name| name == one.name())).collect()
}

pub(crate) fn tls() -> TlsFacts {
    TlsFacts { version: "TLS1.3".into(), cipher: "TLS13_AES_256_GCM_SHA384".into(), peer_fingerprint: None }
}

/// What TLS has as `tls-exporter` here.
pub(crate) const BINDING: [u8; 32] = [7; 32];

/// What the connection lends: the seed is always the same, so the nonces are known.
fn channel(words: &[String], tls: bool) -> Channel {
    let binding = (!words.iter().any(|word| word == "no-binding")).then_some(BINDING);
    Channel::new(if tls { Layer::Tls { binding } } else { Layer::Clear }, [1; 32])
}

fn facts(words: &[String], tls_on: bool) -> ClientFacts {
    let shown = words.iter().any(|word| word == "certificate").then_some([9; 32]);
    let tls = tls_on.then(|| TlsFacts { peer_fingerprint: shown, ..tls() });
    ClientFacts { address: [192, 0, 2, 1].into(), helo: String::new(), identity: None, tls }
}

impl Memory {
    /// A session that has been greeted.
    pub(crate) fn new(words: &[String]) -> Self {
        let mut memory = Self::silent(words);
        memory.session.greet();
        memory.drain();
        memory
    }

    /// A session before its greeting.
    pub(crate) fn silent(words: &[String]) -> Self {
        let config = Arc::new(config(words));
        let tls = words.iter().any(|word| word == "tls");
        let now = Instant::now();
        let mut session = ServerSession::new(Arc::clone(&config), facts(words, tls), now);
        if !words.iter().any(|word| word == "no-channel") {
            session.set_channel(channel(words, tls));
        }
        Self {
            session,
            config,
            now,
            sink: Sink::default(),
            accepted: Vec::new(),
            voids: 0,
            bad: Vec::new(),
            hellos: Vec::new(),
            closed: false,
            out: Vec::new(),
            turned: false,
            evidence: Vec::new(),
            words: words.to_vec(),
            changing: None,
        }
    }

    /// Octets arrive in one piece.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        let mut rest = octets;
        loop {
            let taken = self.session.handle_bytes(self.now, rest, &mut self.sink);
            rest = &rest[taken..];
            self.check_bounds();
            let answered = self.drain();
            if let Some(changing) = self.changing.take() {
                return self.change(changing, !rest.is_empty());
            }
            if rest.is_empty() || self.closed {
                return;
            }
            assert!(taken > 0 || answered, "the machine neither takes nor asks: {rest:?}");
        }
    }

    /// What was said since the last call.
    pub(crate) fn said(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).expect("replies are UTF-8")
    }

    /// As a driver does it: nothing early crosses the change of layer.
    fn change(&mut self, changing: Changing, early: bool) {
        if early {
            self.session.talked_early();
            self.drain();
            return;
        }
        self.turned = !matches!(changing, Changing::Tls(_));
        match changing {
            Changing::Tls(ask) => self.session.grant(ask, ()),
            Changing::Atrn(ask) => self.session.grant(ask, ()),
            Changing::Turn(ask) => self.session.grant(ask, ()),
        }
        self.drain();
        assert_eq!(
            self.session.handle_bytes(self.now, b"NOOP\r\n", &mut self.sink),
            0,
            "[3207-4.2] it is spent"
        );
        assert_eq!(self.session.poll_timeout(), None);
        if self.turned {
            return;
        }
        self.session = ServerSession::after_tls(Arc::clone(&self.config), facts(&self.words, true), self.now);
        self.session.set_channel(channel(&self.words, true));
    }

    fn check_bounds(&self) {
        assert!(
            self.session
                .poll_timeout()
                .is_none_or(|deadline| deadline <= self.now + Duration::from_secs(1800))
        );
    }

    /// Answers everything; true if there was anything.
    pub(crate) fn drain(&mut self) -> bool {
        let mut any = false;
        let mut events = 0;
        while let Some(event) = self.session.poll_event() {
            any = true;
            events += 1;
            assert!(events <= 40, "events pile up");
            assert!(!self.closed, "{event:?} after Close");
            self.answer(event);
        }
        any | self.session.poll_transmit(&mut self.out)
    }

    fn answer(&mut self, event: Event<Receipt>) {
        match event {
            Event::Hello(name) => self.hellos.push(name),
            Event::Mail(ask, command) => match local(&command.sender.to_string()) {
                "later" => self.session.refuse(ask, Reply::new(451, (4, 3, 0), "try again later")),
                "never" => self.session.refuse(ask, Reply::new(550, (5, 7, 1), "not you")),
                _ => self.session.grant(ask, ()),
            },
            Event::Rcpt(ask, command) => match recipient(command) {
                Some(recipient) => self.session.grant(ask, recipient),
                None => self.session.refuse(ask, Reply::new(550, (5, 7, 1), "relaying denied")),
            },
            Event::Begin(ask) => {
                let sender = self.session.transaction().expect("a transaction").envelope.sender.to_string();
                if local(&sender) == "nobegin" {
                    return self.session.refuse(ask, Reply::new(452, (4, 3, 1), "no room"));
                }
                assert!(self.sink.octets.is_empty(), "void content was told");
                self.sink.open = true;
                self.session.grant(ask, ());
                if local(&sender) == "void" {
                    self.session.void_content(Reply::new(452, (4, 3, 1), "no room"));
                    self.sink = Sink::default();
                }
            }
            Event::ContentEnds(ask, envelope, facts) => {
                let content = std::mem::take(&mut self.sink).octets;
                assert_eq!(facts.size, content.len() as u64);
                let sender = envelope.sender.to_string();
                match local(&sender) {
                    "full" => return self.session.refuse(ask, Reply::new(452, (4, 3, 1), "no room")),
                    "bye" => return self.session.refuse(ask, Reply::new(421, (4, 3, 0), "must go")),
                    _ => {}
                }
                let recipients =
                    envelope.recipients.iter().map(|recipient| recipient.mailbox.to_string()).collect();
                self.accepted.push(Accepted { sender, recipients, content, normalised: facts.normalised });
                self.session.grant(ask, Receipt(u8::try_from(self.accepted.len() % 256).unwrap()));
            }
            Event::ContentVoid => {
                assert!(self.sink.open, "content is void that never began");
                self.sink = Sink::default();
                self.voids += 1;
            }
            Event::StartTls(ask) => self.changing = Some(Changing::Tls(ask)),
            Event::Etrn(ask, target) => match etrn(&target) {
                Ok(answer) => self.session.grant(ask, answer),
                Err(reply) => self.session.refuse(ask, reply),
            },
            Event::BadCommand(reply) => self.bad.push(reply),
            Event::Close => self.closed = true,
            event => self.answer_on_demand(event),
        }
    }

    fn answer_on_demand(&mut self, event: Event<Receipt>) {
        match event {
            Event::ScramKeys(ask, name) => match accounts::keys(&name) {
                Ok(keys) => self.session.grant(ask, keys),
                Err(reply) => self.session.refuse(ask, reply),
            },
            Event::Auth(ask, evidence) => {
                self.evidence.push(evidence.clone());
                match accounts::check(&evidence) {
                    Ok(identity) => self.session.grant(ask, identity),
                    Err(reply) => self.session.refuse(ask, reply),
                }
            }
            Event::Atrn(ask, domains) => match accounts::atrn(self.session.client(), &domains) {
                Ok(()) => self.changing = Some(Changing::Atrn(ask)),
                Err(reply) => self.session.refuse(ask, reply),
            },
            Event::Turn(ask) => match accounts::turn(self.session.client()) {
                Ok(()) => self.changing = Some(Changing::Turn(ask)),
                Err(reply) => self.session.refuse(ask, reply),
            },
            event => panic!("{event:?}"),
        }
    }
}

fn local(address: &str) -> &str {
    address.split('@').next().unwrap_or_default()
}

fn recipient(command: RcptCommand) -> Option<Recipient> {
    let mailbox: Mailbox = match command.path {
        ForwardPath::Postmaster => "postmaster@example.org".parse().unwrap(),
        ForwardPath::Mailbox(mailbox) => mailbox,
    };
    let held =
        mailbox.domain().is_some_and(|domain| matches!(domain.as_str(), "example.org" | "example.com"));
    held.then_some(Recipient { mailbox, notify: command.notify, original: command.original })
}

fn etrn(target: &EtrnTarget) -> Result<EtrnAnswer, Reply> {
    match target {
        EtrnTarget::Node(domain) => match domain.as_str() {
            "started.example" => Ok(EtrnAnswer::Started),
            "empty.example" => Ok(EtrnAnswer::NothingWaiting),
            "pending.example" => Ok(EtrnAnswer::Pending),
            "many.example" => Ok(EtrnAnswer::PendingCount(14)),
            "busy.example" => Err(Reply::new(458, (4, 3, 0), "cannot start now")),
            _ => Err(Reply::new(459, (4, 7, 1), "not allowed")),
        },
        EtrnTarget::Subtree(domain) if domain.as_str() == "many.example" => Ok(EtrnAnswer::PendingCount(15)),
        EtrnTarget::Group(name) if name.eq_ignore_ascii_case("group") => Ok(EtrnAnswer::Started),
        _ => Err(Reply::new(459, (4, 7, 1), "not allowed")),
    }
}
