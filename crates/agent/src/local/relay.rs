//! A mail server here, by SMTP or LMTP: each command is handed on, and its answer handed back.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use restante_net::{ClientConnection, Connecting};
use restante_smtp::{
    Capabilities, ClientConfig, ClientEvent, ClientSession, End, ProtocolError, Stage, Step,
};
use restante_types::{Domain, Envelope, Recipient, Reply, Severity};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::LocalTrouble;
use crate::address::{HostPort, Lmtp};
use crate::events;
use crate::limits::{BLOCK, CONNECT_LOCAL};

trait Wire: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Wire for T {}

type Connection = ClientConnection<Box<dyn Wire>>;

#[derive(Debug, Clone)]
enum Target {
    Smtp(HostPort),
    Lmtp(Lmtp),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(address) | Self::Lmtp(Lmtp::Tcp(address)) => address.fmt(f),
            Self::Lmtp(Lmtp::Unix(path)) => path.display().fmt(f),
        }
    }
}

/// How far the transaction is that was handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// None is open.
    Idle,
    /// After MAIL.
    Open,
    /// Content goes through.
    Content,
}

/// A mail server that messages are handed on to.
pub(crate) struct Relay {
    target: Target,
    config: Arc<ClientConfig>,
    connection: Option<Connection>,
    offers: Capabilities,
    stand: Stand,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("target", &self.target)
            .field("stand", &self.stand)
            .finish_non_exhaustive()
    }
}

/// The connection is gone; what was said of it, where anything was.
struct Gone(End);

impl Relay {
    pub(crate) async fn smtp(address: HostPort, hostname: &Domain) -> Result<Self, LocalTrouble> {
        Self::open(Target::Smtp(address), hostname).await
    }

    pub(crate) async fn lmtp(lmtp: Lmtp, hostname: &Domain) -> Result<Self, LocalTrouble> {
        Self::open(Target::Lmtp(lmtp), hostname).await
    }

    async fn open(target: Target, hostname: &Domain) -> Result<Self, LocalTrouble> {
        let config = Arc::new(ClientConfig { hostname: hostname.clone(), own_names: Vec::new() });
        let offers = Capabilities::default();
        let mut relay = Self { target, config, connection: None, offers, stand: Stand::Idle };
        relay.connect().await?;
        Ok(relay)
    }

    pub(crate) const fn capabilities(&self) -> Capabilities {
        self.offers
    }

    pub(crate) const fn is_lmtp(&self) -> bool {
        matches!(self.target, Target::Lmtp(_))
    }

    async fn connect(&mut self) -> Result<(), LocalTrouble> {
        self.stand = Stand::Idle;
        let wire = self.wire().await?;
        let now = Instant::now();
        let session = if self.is_lmtp() {
            ClientSession::lmtp(Arc::clone(&self.config), now)
        } else {
            ClientSession::new(Arc::clone(&self.config), now)
        };
        let mut connection = ClientConnection::new(wire, session);
        match next_event(&mut connection).await {
            ClientEvent::Ready => {}
            ClientEvent::Ended(end) => {
                return Err(LocalTrouble::Ended(self.target.to_string(), end.to_string()));
            }
            other => return Err(LocalTrouble::Ended(self.target.to_string(), format!("{other:?}"))),
        }
        self.offers = *connection.session().capabilities();
        self.connection = Some(connection);
        Ok(())
    }

    async fn wire(&self) -> Result<Box<dyn Wire>, LocalTrouble> {
        let trouble =
            |error: &dyn fmt::Display| LocalTrouble::Connect(self.target.to_string(), error.to_string());
        let address = match &self.target {
            Target::Lmtp(Lmtp::Unix(path)) => {
                let connected = timeout(CONNECT_LOCAL, UnixStream::connect(path)).await;
                let stream = connected.map_err(|slow| trouble(&slow))?.map_err(|error| trouble(&error))?;
                return Ok(Box::new(stream));
            }
            Target::Smtp(address) | Target::Lmtp(Lmtp::Tcp(address)) => address,
        };
        let mut last = None;
        for address in address.resolve().await.map_err(|error| trouble(&error))? {
            match (Connecting { address, source: None, limit: CONNECT_LOCAL }).connect().await {
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| trouble(&"no address"), |error| trouble(&error)))
    }

    /// MAIL. A connection that was found gone before the message began, because it had been idle for too long, is
    /// opened anew, once.
    pub(crate) async fn mail(&mut self, envelope: &Envelope, size: Option<u64>) -> Result<(), Reply> {
        for attempt in 0..2 {
            if self.connection.is_none() {
                self.connect().await.map_err(|trouble| {
                    events::local_lost(&trouble.to_string());
                    trouble.reply()
                })?;
            }
            match self.open_transaction(envelope, size).await {
                Ok(answer) => return answer,
                Err(Gone(End::Lost(_) | End::Refused { .. })) if attempt == 0 => {}
                Err(gone) => return Err(lost(&gone)),
            }
        }
        Err(lost(&Gone(End::Lost(Stage::Mail))))
    }

    async fn open_transaction(
        &mut self,
        envelope: &Envelope,
        size: Option<u64>,
    ) -> Result<Result<(), Reply>, Gone> {
        if self.stand == Stand::Open {
            self.step(Step::Reset).await?;
        }
        self.stand = Stand::Idle;
        let answer = accepted(self.step(Step::Mail(envelope, size)).await?, "MAIL");
        if answer.is_ok() {
            self.stand = Stand::Open;
        }
        Ok(answer)
    }

    pub(crate) async fn recipient(&mut self, recipient: &Recipient) -> Result<(), Reply> {
        let reply = self.step(Step::Recipient(recipient)).await.map_err(|gone| lost(&gone))?;
        accepted(reply, "RCPT")
    }

    /// DATA, until 354.
    pub(crate) async fn begin(&mut self) -> Result<(), Reply> {
        let reply = self.step(Step::Data).await.map_err(|gone| lost(&gone))?;
        if reply.severity() == Severity::Intermediate {
            self.stand = Stand::Content;
            return Ok(());
        }
        Err(refusal(reply, "DATA"))
    }

    /// A piece of content; waits while the other end takes nothing, so that no more than a little is held here.
    pub(crate) async fn content(&mut self, octets: &[u8]) -> Result<(), Reply> {
        let Some(connection) = &mut self.connection else { return Err(lost(&Gone(End::Abandoned))) };
        connection.session_mut().step_content(Instant::now(), octets);
        // What the kernel takes goes at once.
        tokio::select! {
            biased;
            () = connection.exchange() => {}
            () = ready(()) => {}
        }
        while !connection.is_hungry() && !connection.session().has_events() {
            if timeout(BLOCK, connection.exchange()).await.is_err() {
                return Err(self.gone(Gone(End::TimedOut(Stage::Content))));
            }
        }
        match self.connection.as_mut().and_then(Connection::poll_event) {
            None => Ok(()),
            Some(ClientEvent::Ended(end)) => Err(self.gone(Gone(end))),
            Some(_) => Err(self.gone(Gone(End::Abandoned))),
        }
    }

    /// The final dot, and the word about the message.
    pub(crate) async fn end(&mut self) -> Result<Reply, Reply> {
        let Some(connection) = &mut self.connection else { return Err(lost(&Gone(End::Abandoned))) };
        connection.session_mut().step_end(Instant::now());
        self.stand = Stand::Idle;
        let reply = self.answer().await.map_err(|gone| lost(&gone))?;
        if reply.severity() == Severity::Completed { Ok(reply) } else { Err(refusal(reply, "content")) }
    }

    /// The message will not come to its end. There is no way to say so in the middle of DATA but to close: neither the
    /// final dot nor anything like it went out, so nothing was delivered.
    pub(crate) async fn abandon(&mut self) {
        if self.stand == Stand::Content
            && let Some(mut connection) = self.connection.take()
        {
            connection.session_mut().abandon();
            connection.close().await;
            self.stand = Stand::Idle;
        }
    }

    pub(crate) async fn close(mut self) {
        self.abandon().await;
        if let Some(mut connection) = self.connection.take() {
            connection.session_mut().quit(Instant::now());
            while !matches!(next_event(&mut connection).await, ClientEvent::Ended(_)) {}
            connection.close().await;
        }
    }

    async fn step(&mut self, step: Step<'_>) -> Result<Reply, Gone> {
        let Some(connection) = &mut self.connection else { return Err(Gone(End::Abandoned)) };
        if !connection.session_mut().step(Instant::now(), step) {
            // It ended while nothing was asked of it, or it is in the middle of something that went wrong.
            let ended = connection.poll_event();
            self.connection = None;
            return Err(Gone(match ended {
                Some(ClientEvent::Ended(end)) => end,
                _ => End::Abandoned,
            }));
        }
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Reply, Gone> {
        let Some(connection) = &mut self.connection else { return Err(Gone(End::Abandoned)) };
        loop {
            match next_event(connection).await {
                ClientEvent::Stepped(_, reply) => return Ok(reply),
                ClientEvent::Ended(end) => {
                    self.connection = None;
                    self.stand = Stand::Idle;
                    return Err(Gone(end));
                }
                _ => {}
            }
        }
    }

    fn gone(&mut self, gone: Gone) -> Reply {
        self.connection = None;
        self.stand = Stand::Idle;
        lost(&gone)
    }
}

async fn next_event(connection: &mut Connection) -> ClientEvent {
    loop {
        if let Some(event) = connection.poll_event() {
            return event;
        }
        connection.exchange().await;
    }
}

fn accepted(reply: Reply, what: &'static str) -> Result<(), Reply> {
    if reply.severity() == Severity::Completed { Ok(()) } else { Err(refusal(reply, what)) }
}

/// A refusal goes back as it is; an answer that makes no sense here is no refusal for good.
fn refusal(reply: Reply, what: &'static str) -> Reply {
    events::local_refused(what, &reply);
    match reply.severity() {
        Severity::Transient | Severity::Permanent => reply,
        _ => Reply::new(451, (4, 5, 0), "The mail server behind this one gave an answer that makes no sense"),
    }
}

/// The word that a server said when it went counts for the message; silence is a reason to try again.
fn lost(gone: &Gone) -> Reply {
    events::local_lost(&gone.0.to_string());
    match &gone.0 {
        End::Refused { reply, .. } => reply.clone(),
        End::Protocol(ProtocolError::Unasked(reply))
            if matches!(reply.severity(), Severity::Transient | Severity::Permanent) =>
        {
            reply.clone()
        }
        _ => Reply::new(451, (4, 4, 2), "The mail server behind this one broke off"),
    }
}
