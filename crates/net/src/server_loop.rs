//! The loop that drives one server machine over one stream.

mod driver;
mod wait;

use std::future::Future;
use std::io;
use std::sync::Arc;

use restante_smtp::{ContentSink, Event, QueuedAs, ServerConfig, ServerSession};
use restante_types::{ClientFacts, Domain, Reply};
use tokio::sync::watch;

use crate::buffers::Buffers;
use crate::stream::Stream;
use crate::tls_server::{ServerTls, TlsError};

/// Answers what a server machine asks.
///
/// One handler serves one connection, through STARTTLS too. Whatever it is asked it answers on the machine itself,
/// by `grant` or `refuse`; while it takes its time nothing is read from that client.
pub trait ServerHandler: Send {
    /// The proof that a message is durable.
    type Proof: QueuedAs + Send;

    /// May this client talk to us? Asked once, before the greeting; a refusal becomes the greeting.
    fn connected(&mut self, client: &ClientFacts) -> impl Future<Output = Result<(), Reply>> + Send;

    /// Where content goes now.
    fn sink(&mut self) -> &mut dyn ContentSink;

    /// Octets went through the machine, perhaps into the sink: the time to relieve it, or to void the content.
    fn flowed(&mut self, session: &mut ServerSession<Self::Proof>) -> impl Future<Output = ()> + Send;

    /// TLS stands now: what the client showed is in `stream`.
    fn secured(&mut self, _stream: &Stream) {}

    /// The client wants the connection turned: may it? What a yes stands for is taken now and kept until
    /// [`turned`](Self::turned); if that never comes, because something stood behind the command, it is given back when
    /// the handler is dropped. The refusal is the reply.
    fn reverse(
        &mut self,
        _session: &ServerSession<Self::Proof>,
        _wanted: Reversal,
    ) -> impl Future<Output = Result<(), Reply>> + Send {
        async { Err(Reply::new(502, (5, 5, 1), "command not implemented")) }
    }

    /// The yes is out, nothing came early, and the stream is the handler's now: the client is about to greet.
    fn turned(&mut self, _stream: Stream) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Something happened. STARTTLS, ATRN, TURN and the close are the loop's own and never come here.
    fn event(
        &mut self,
        session: &mut ServerSession<Self::Proof>,
        event: Event<Self::Proof>,
    ) -> impl Future<Output = ()> + Send;
}

/// How a client asks for the roles to be turned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reversal {
    /// ATRN for these domains, or for all of the identity's where none is named (RFC 2645).
    Atrn(Vec<Domain>),
    /// TURN (RFC 821).
    Turn,
}

/// What the program wants of the sessions that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    Run,
    /// Finish what is in flight, then 421.
    Finish,
    /// End now.
    Now,
}

/// One connection as a listener hands it over.
#[derive(Debug)]
pub struct Connection {
    /// It, nothing read yet.
    pub stream: Stream,
    /// What its listener offers.
    pub config: Arc<ServerConfig>,
    /// For STARTTLS and implicit TLS; without it STARTTLS is answered 454.
    pub tls: Option<Arc<ServerTls>>,
    /// [8314-3.3] TLS before anything is said; wants `tls`.
    pub implicit: bool,
    /// Shared by all connections.
    pub buffers: Buffers,
    /// Changes when the program stops.
    pub stop: watch::Receiver<Stop>,
}

/// How a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// The machine was done: QUIT, a refusal, too many errors, a deadline, our shutdown.
    Closed,
    /// The client closed its side.
    Eof,
    /// The client talked before our greeting: 554 5.5.0.
    EarlyTalker,
    /// Octets stood behind STARTTLS: never read as anything.
    EarlyTls,
    /// Octets stood behind ATRN or TURN: never read as anything.
    EarlyTurn,
    /// The roles were turned and the stream was handed over.
    Turned,
    /// The handshake did not come about.
    TlsFailed(TlsError),
    /// The client took too long to take our answers.
    Slow,
    /// We stopped before it came to an end.
    Stopped,
    /// The connection broke.
    Broken(io::Error),
}

/// Drives one connection to its end. Every wait in it has a deadline: the machine's own for the client's words,
/// fixed ones for the handshake and for writing.
pub async fn serve<H: ServerHandler>(connection: Connection, handler: &mut H) -> Ended {
    let Err(ended) = driver::run(connection, handler).await;
    ended
}
