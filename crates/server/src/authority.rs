//! The seam of policy.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use restante_queue::Destination;
use restante_smtp::{
    ContentFacts, EtrnAnswer, EtrnTarget, Evidence, Identity, MailCommand, RcptCommand, ScramKeys,
    Transaction,
};
use restante_turn::Peer;
use restante_types::{ClientFacts, Domain, Envelope, Recipient, Reply, UnixMillis};

/// A yes with its proof, or a no with its reply: at once, or after some work.
///
/// Most answers are known at once, and then nothing is allocated and nothing is awaited.
pub enum Decision<'a, T> {
    /// Known.
    Now(Result<T, Reply>),
    /// Being found out. Nothing is read from the client meanwhile; whoever decides bounds the time.
    Later(Pin<Box<dyn Future<Output = Result<T, Reply>> + Send + 'a>>),
}

impl<T> Decision<'_, T> {
    /// The answer.
    ///
    /// # Errors
    /// The refusal, which is no error but a reply.
    pub async fn made(self) -> Result<T, Reply> {
        match self {
            Self::Now(answer) => answer,
            Self::Later(work) => work.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Decision<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => answer.fmt(f),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// Who may collect, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collect {
    /// The account.
    pub identity: String,
    /// The domains that have mail, the one with the oldest message first.
    pub domains: Vec<Domain>,
}

/// Decides what clients may do. Recipient knowledge, sender authentication, block lists and scanners come in by
/// wrapping one of these; the machines never change for it.
///
/// Whatever is refused, the text of the reply is bland: the cause belongs into the log.
pub trait Authority: Send + Sync + 'static {
    /// May this client talk to us? The refusal is the greeting.
    fn connect<'a>(&'a self, client: &'a ClientFacts) -> Decision<'a, ()>;

    /// May this sender send?
    fn mail<'a>(&'a self, client: &'a ClientFacts, mail: &'a MailCommand) -> Decision<'a, ()>;

    /// May this recipient get mail? The proof is the recipient as it will be stored.
    fn rcpt<'a>(
        &'a self,
        client: &'a ClientFacts,
        transaction: &'a Transaction,
        rcpt: &'a RcptCommand,
    ) -> Decision<'a, Recipient>;

    /// May content come now?
    fn begin<'a>(&'a self, client: &'a ClientFacts, transaction: &'a Transaction) -> Decision<'a, ()>;

    /// May this message be kept, and in which queues? Every recipient stands in exactly one.
    fn content<'a>(
        &'a self,
        client: &'a ClientFacts,
        envelope: &'a Envelope,
        facts: ContentFacts,
        arrived: UnixMillis,
    ) -> Decision<'a, Vec<Destination>>;

    /// May this client have this queue flow (RFC 1985)? Answers without waiting for the network.
    fn etrn<'a>(
        &'a self,
        client: &'a ClientFacts,
        target: &'a EtrnTarget,
        now: Instant,
    ) -> Decision<'a, EtrnAnswer>;

    /// The keys that SCRAM goes on with; for an account that does not exist some that nobody has. Quick.
    fn scram_keys<'a>(&'a self, peer: &'a Peer, name: &'a str, now: Instant) -> Decision<'a, ScramKeys>;

    /// Whose account is it, if what the client showed is enough (RFC 4954)?
    fn auth<'a>(&'a self, peer: Peer, evidence: Evidence, now: Instant) -> Decision<'a, Identity>;

    /// May this client have the mail of these domains, or without a name of all of its own, over this connection (RFC
    /// 2645)? No lease is taken for it yet.
    fn atrn<'a>(&'a self, client: &'a ClientFacts, named: Vec<Domain>, now: Instant)
    -> Decision<'a, Collect>;

    /// The same for TURN (RFC 821), where nothing to collect is no refusal.
    fn turn<'a>(&'a self, client: &'a ClientFacts) -> Decision<'a, Collect>;

    /// Whether an account owns a queue now. Asked again once a drain can be ended from outside: the right may have gone
    /// since the request was answered.
    fn owns(&self, identity: &str, domain: &Domain) -> bool;
}
