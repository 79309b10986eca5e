//! The roles have turned (RFC 2645 5.3): we are the server on a connection that we opened, and the other side brings mail.
//!
//! It is handed on to the local side while it comes in, and acknowledged when the local side has acknowledged it; in
//! between nothing of it is kept here. So no Received line is added either: the mail server here adds its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_net::{Buffers, Connection, Ended, ServerHandler, Stop, Stream, serve};
use restante_smtp::{
    Ask, AuthOffer, ContentSink, Event, MailCommand, QueuedAs, Rcpt, RcptCommand, ServerConfig,
    ServerSession, Service,
};
use restante_types::{
    ClientFacts, Domain, EnhancedStatusCode, Envelope, ForwardPath, LocalPart, Mailbox, MailboxHost, QueueId,
    Recipient, Reply, Severity,
};
use tokio::sync::watch;

use crate::events;
use crate::failure::Failure;
use crate::limits::{MESSAGE, RECIPIENTS, SHOWN};
use crate::local::LocalSide;
use crate::tally::{Progress, Tally, show};

/// The machine's own wait for a command is five minutes: a session that ended after this much silence was not ended by
/// QUIT.
const SILENCE: Duration = Duration::from_secs(290);
/// After this many commands that make no sense the machine ends the session.
const NONSENSE: u32 = 10;

/// Takes what comes, until the other side says QUIT.
pub(crate) async fn receive(
    stream: Stream,
    domains: &[Domain],
    hostname: &Domain,
    local: LocalSide,
    stop: watch::Receiver<Stop>,
    shown: &watch::Sender<Progress>,
) -> (Tally, Result<(), Failure>) {
    let config = Arc::new(offered(&local, hostname));
    let connection =
        Connection { stream, config, tls: None, implicit: false, buffers: Buffers::default(), stop };
    let mut reversed = Reversed::new(local, domains, shown);
    let ended = Box::pin(serve(connection, &mut reversed)).await;
    reversed.local.abandon().await;
    let result = reversed.judged(ended);
    let Reversed { local, tally, .. } = reversed;
    local.close().await;
    (tally, result)
}

/// [2645-5.3-agent] PIPELINING and CHUNKING always, the rest as the local side has it.
fn offered(local: &LocalSide, hostname: &Domain) -> ServerConfig {
    let has = local.capabilities();
    ServerConfig {
        service: Service::Collected {
            eight_bit_mime: has.eight_bit_mime,
            dsn: has.dsn,
            size: has.size.is_some(),
        },
        hostname: hostname.clone(),
        starttls: false,
        tls_required: false,
        auth: AuthOffer::default(),
        atrn: false,
        turn: false,
        etrn: false,
        smtputf8: has.smtputf8,
        strict: false,
        message_size: has.size_limit().unwrap_or(MESSAGE).min(MESSAGE),
        recipients: RECIPIENTS,
    }
}

/// The local side's 2yz after a message, without which there is none of ours.
pub(crate) struct Taken(Reply);

impl QueuedAs for Taken {
    fn queue_id(&self) -> QueueId {
        QueueId::MIN
    }

    fn reply(&self) -> Option<Reply> {
        Some(self.0.clone())
    }
}

struct Reversed<'a> {
    local: LocalSide,
    domains: &'a [Domain],
    shown: &'a watch::Sender<Progress>,
    tally: Tally,
    /// What came and is not handed on yet: what one read brought, at most.
    content: Vec<u8>,
    /// The local side's word on the message that is coming, where that was a refusal.
    failed: Option<Reply>,
    recipients: usize,
    greeted: bool,
    nonsense: u32,
    heard: Instant,
    coming: u64,
    told: u64,
}

impl ContentSink for Reversed<'_> {
    fn content(&mut self, octets: &[u8]) {
        self.content.extend_from_slice(octets);
    }
}

impl ServerHandler for Reversed<'_> {
    type Proof = Taken;

    async fn connected(&mut self, _: &ClientFacts) -> Result<(), Reply> {
        Ok(())
    }

    fn sink(&mut self) -> &mut dyn ContentSink {
        self
    }

    async fn flowed(&mut self, session: &mut ServerSession<Taken>) {
        self.heard = Instant::now();
        if let Some(reply) = self.hand_on().await {
            session.void_content(reply.clone());
            self.failed = Some(reply);
        }
    }

    async fn event(&mut self, session: &mut ServerSession<Taken>, event: Event<Taken>) {
        match event {
            Event::Hello(_) => self.greeted = true,
            Event::Mail(ask, command) => match self.mail(&command).await {
                Ok(()) => session.grant(ask, ()),
                Err(reply) => session.refuse(ask, reply),
            },
            Event::Rcpt(ask, command) => self.rcpt(session, ask, command).await,
            Event::Begin(ask) => match self.local.begin().await {
                Ok(()) => session.grant(ask, ()),
                Err(reply) => session.refuse(ask, self.counted(reply)),
            },
            Event::ContentEnds(ask, ..) => match self.end().await {
                Ok(taken) => session.grant(ask, taken),
                Err(reply) => session.refuse(ask, reply),
            },
            Event::ContentVoid => {
                self.content.clear();
                self.local.abandon().await;
            }
            Event::BadCommand(_) => self.nonsense += 1,
            Event::Etrn(ask, _) => session.refuse(ask, not_here()),
            Event::ScramKeys(ask, _) => session.refuse(ask, not_here()),
            Event::Auth(ask, _) => session.refuse(ask, not_here()),
            Event::Atrn(ask, _) => session.refuse(ask, not_here()),
            Event::Turn(ask) => session.refuse(ask, not_here()),
            Event::StartTls(_) | Event::Close => {}
        }
    }
}

impl<'a> Reversed<'a> {
    fn new(local: LocalSide, domains: &'a [Domain], shown: &'a watch::Sender<Progress>) -> Self {
        let reversed = Self {
            local,
            domains,
            shown,
            tally: Tally::default(),
            content: Vec::new(),
            failed: None,
            recipients: 0,
            greeted: false,
            nonsense: 0,
            heard: Instant::now(),
            coming: 0,
            told: 0,
        };
        reversed.tell();
        reversed
    }

    async fn mail(&mut self, command: &MailCommand) -> Result<(), Reply> {
        let MailCommand { sender, size, body, smtputf8, ret, envid } = command.clone();
        let envelope = Envelope { sender, recipients: Vec::new(), body, smtputf8, ret, envid };
        self.recipients = 0;
        self.failed = None;
        self.coming = 0;
        self.content.clear();
        self.local.mail(&envelope, size).await.map_err(|reply| self.counted(reply))
    }

    async fn rcpt(&mut self, session: &mut ServerSession<Taken>, ask: Ask<Rcpt>, command: RcptCommand) {
        let recipient = match self.ours(command) {
            Ok(recipient) => recipient,
            Err(foreign) => {
                events::foreign(&foreign);
                let reply =
                    self.counted(Reply::new(550, (5, 7, 1), "Not a recipient of the domains collected for"));
                return session.refuse(ask, reply);
            }
        };
        // [2033-4.2] [5321-4.5.3.1.10] one at a time where each has an answer of its own after the content.
        if self.recipients > 0 && self.local.one_recipient() {
            return session.refuse(ask, Reply::new(452, (4, 5, 3), "One recipient at a time"));
        }
        match self.local.recipient(&recipient).await {
            Ok(()) => {
                self.recipients += 1;
                session.grant(ask, recipient);
            }
            Err(reply) => session.refuse(ask, self.counted(reply)),
        }
    }

    /// [2645-agent-domains] The mail server here trusts us, so nothing gets past that it might send on: no other domain, and no
    /// route in the local part. The error is the address, for the log.
    fn ours(&self, command: RcptCommand) -> Result<Recipient, String> {
        let RcptCommand { path, notify, original } = command;
        let mailbox = match path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            ForwardPath::Postmaster => self.postmaster()?,
        };
        let known = mailbox.domain().is_some_and(|domain| self.domains.contains(domain));
        let routed = mailbox.local.as_str().contains(['%', '!', '@']);
        if known && !routed { Ok(Recipient { mailbox, notify, original }) } else { Err(mailbox.to_string()) }
    }

    /// [5321-4.5.1-agent] without a domain it is the postmaster of the first one.
    fn postmaster(&self) -> Result<Mailbox, String> {
        let domain = self.domains.first().ok_or("postmaster")?;
        let local = LocalPart::new("postmaster").map_err(|_| "postmaster")?;
        Ok(Mailbox { local, host: MailboxHost::Domain(domain.clone()) })
    }

    /// Hands on what came; a refusal is the local side's word on this message.
    async fn hand_on(&mut self) -> Option<Reply> {
        if self.content.is_empty() {
            return None;
        }
        let octets = std::mem::take(&mut self.content);
        self.coming += octets.len() as u64;
        if self.tally.bytes + self.coming - self.told >= SHOWN {
            self.tell();
        }
        let handed = if self.failed.is_some() { Ok(()) } else { self.local.content(&octets).await };
        self.content = octets;
        self.content.clear();
        handed.err().map(|reply| self.counted(reply))
    }

    async fn end(&mut self) -> Result<Taken, Reply> {
        if let Some(reply) = self.hand_on().await {
            self.failed = Some(reply);
        }
        if let Some(reply) = self.failed.take() {
            self.local.abandon().await;
            return Err(reply);
        }
        let reply = self.local.end().await.map_err(|reply| self.counted(reply))?;
        self.tally.messages += 1;
        self.tally.bytes += self.coming;
        self.coming = 0;
        self.tell();
        Ok(Taken(whole(reply)))
    }

    fn tell(&self) {
        let bytes = self.tally.bytes + self.coming;
        show(self.shown, Progress::Collecting { messages: self.tally.messages, bytes });
    }

    /// Counts a refusal on its way back.
    fn counted(&mut self, reply: Reply) -> Reply {
        match reply.severity() {
            Severity::Permanent => self.tally.refused += 1,
            _ => self.tally.deferred += 1,
        }
        whole(reply)
    }

    fn judged(&self, ended: Ended) -> Result<(), Failure> {
        let cut = |what: &dyn std::fmt::Display| Err(Failure::Cut(what.to_string()));
        match ended {
            Ended::EarlyTalker => Err(Failure::Early("before our greeting")),
            Ended::Stopped => Err(Failure::Stopped),
            Ended::Broken(error) => cut(&error),
            Ended::Eof => cut(&"closed without QUIT"),
            Ended::Slow => cut(&"our answers were not taken"),
            Ended::Closed if self.tally.deferred > 0 => Err(Failure::Deferred(self.tally.deferred)),
            Ended::Closed if !self.greeted || self.heard.elapsed() >= SILENCE => {
                cut(&"the server fell silent")
            }
            Ended::Closed if self.nonsense >= NONSENSE => {
                cut(&"the server said too much that makes no sense")
            }
            Ended::Closed => Ok(()),
            other => cut(&format_args!("{other:?}")),
        }
    }
}

/// [2034-3-agent] We announce enhanced codes, so each reply has one, also where the local side gave none.
fn whole(reply: Reply) -> Reply {
    let class = match reply.severity() {
        Severity::Completed => 2,
        Severity::Permanent => 5,
        _ => 4,
    };
    Reply { enhanced: reply.enhanced.or(Some(EnhancedStatusCode(class, 0, 0))), ..reply }
}

fn not_here() -> Reply {
    Reply::new(502, (5, 5, 1), "Not here")
}
