//! Log events, one function for each that an operator greps for. ETRN's own are told by the desk that decides.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use restante_net::Ended;
use restante_queue::{Destination, DrainCause, StoreError};
use restante_smtp::ContentFacts;
use restante_types::{
    ClientFacts, Domain, Envelope, ForwardPath, Printable, QueueId, Recipient, Reply, ReversePath, Vouched,
};

use crate::limits::RECIPIENTS_SHOWN;

/// Octets that hold nearly every address.
const ADDRESS: usize = 64;

/// What the event of an accepted message tells; taken down before the store gets the message.
#[derive(Debug)]
pub(crate) struct Accepted {
    client: IpAddr,
    helo: String,
    tls: bool,
    sender: String,
    recipients: String,
    queues: usize,
    size: u64,
    normalised: bool,
    vouched: Vouched,
}

struct Shown<'a>(&'a [Recipient]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, recipient) in self.0.iter().take(RECIPIENTS_SHOWN).enumerate() {
            let between = if index == 0 { "" } else { " " };
            f.write_str(between)?;
            f.write_str("<")?;
            recipient.mailbox.fmt(f)?;
            f.write_str(">")?;
        }
        match self.0.len().checked_sub(RECIPIENTS_SHOWN) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

/// As `to_string`, but it seldom grows: this is done for every message.
fn text(shown: &impl fmt::Display) -> String {
    let mut text = String::with_capacity(ADDRESS);
    write!(text, "{shown}").expect("writing to a string does not fail");
    text
}

impl Accepted {
    /// Takes it down, where anybody listens.
    pub(crate) fn if_told(
        client: &ClientFacts,
        envelope: &Envelope,
        destinations: &[Destination],
        size: u64,
        facts: ContentFacts,
        vouched: Vouched,
    ) -> Option<Self> {
        tracing::enabled!(tracing::Level::INFO).then(|| Self {
            client: client.address,
            helo: client.helo.clone(),
            tls: client.tls.is_some(),
            sender: text(&envelope.sender),
            recipients: text(&Shown(&envelope.recipients)),
            queues: destinations.len(),
            size,
            normalised: facts.normalised,
            vouched,
        })
    }
}

/// A message is durable and visible.
pub(crate) fn accepted(id: QueueId, told: Option<&Accepted>) {
    let Some(told) = told else { return };
    tracing::info!(
        event = "accepted",
        id = %id,
        client = %told.client,
        helo = %Printable::from(told.helo.as_str()),
        tls = told.tls,
        sender = %Printable::from(told.sender.as_str()),
        recipients = %Printable::from(told.recipients.as_str()),
        queues = told.queues,
        size = told.size,
        normalised = told.normalised,
        vouched = %told.vouched,
    );
}

/// Somebody wrote results in our name into a message; they were taken out.
pub(crate) fn forged_results(id: QueueId, client: &ClientFacts, fields: u32) {
    tracing::warn!(event = "forged_results_removed", id = %id, client = %client.address, fields);
}

/// A client was refused by policy before the greeting.
pub(crate) fn client_refused(client: &ClientFacts, reply: &Reply) {
    tracing::info!(event = "refused", at = "connect", client = %client.address, reply = %reply);
}

/// MAIL was refused by policy.
pub(crate) fn sender_refused(client: &ClientFacts, sender: &ReversePath, reply: &Reply) {
    tracing::info!(
        event = "refused",
        at = "mail",
        client = %client.address,
        helo = %Printable::from(client.helo.as_str()),
        sender = %Printable::from(sender.to_string().as_str()),
        reply = %reply,
    );
}

/// RCPT was refused by policy; `untold` others since the last such event.
pub(crate) fn recipient_refused(
    client: &ClientFacts,
    sender: Option<&ReversePath>,
    recipient: &ForwardPath,
    reply: &Reply,
    untold: u64,
) {
    let recipient = match recipient {
        ForwardPath::Postmaster => "postmaster".to_owned(),
        ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
    };
    tracing::info!(
        event = "refused",
        at = "rcpt",
        client = %client.address,
        helo = %Printable::from(client.helo.as_str()),
        sender = %Printable::from(sender.map(ToString::to_string).unwrap_or_default().as_str()),
        recipient = %Printable::from(recipient.as_str()),
        reply = %reply,
        untold = (untold > 0).then_some(untold),
    );
}

/// Content was refused: before it came, while it came, or when it had come.
pub(crate) fn content_refused(client: &ClientFacts, id: Option<QueueId>, reply: &Reply) {
    let id = id.map(|id| id.to_string());
    tracing::warn!(event = "refused", at = "content", client = %client.address, id, reply = %reply);
}

/// The store could not take a message; the cause that the client is not told.
pub(crate) fn store_failed(id: QueueId, error: &StoreError) {
    tracing::error!(event = "store_failed", id = %id, error = %error);
}

/// The machine refused a command.
pub(crate) fn bad_command(client: &ClientFacts, reply: &Reply) {
    tracing::debug!(event = "bad_command", client = %client.address, reply = %reply);
}

/// Connections were turned away; `untold` others since the last such event.
pub(crate) fn connection_refused(listener: SocketAddr, client: IpAddr, why: &'static str, untold: u64) {
    tracing::warn!(event = "connection_refused", listener = %listener, client = %client, why, untold);
}

/// A connection ended.
pub(crate) fn session_end(client: IpAddr, accepted: u64, ended: &Ended) {
    match ended {
        Ended::Closed | Ended::Eof | Ended::Stopped | Ended::Turned => {
            tracing::debug!(event = "session_end", client = %client, accepted, ended = ?ended);
        }
        Ended::TlsFailed(error) => tracing::info!(event = "tls_failed", client = %client, error = %error),
        Ended::EarlyTalker => tracing::info!(event = "early_talker", client = %client, before = "greeting"),
        Ended::EarlyTurn => tracing::warn!(event = "early_talker", client = %client, before = "turn"),
        Ended::EarlyTls => tracing::warn!(event = "early_talker", client = %client, before = "tls"),
        Ended::Slow => {
            tracing::info!(event = "session_end", client = %client, accepted, ended = "slow reader")
        }
        Ended::Broken(error) => {
            tracing::debug!(event = "session_end", client = %client, accepted, error = %error)
        }
    }
}

/// We listen.
pub(crate) fn listening(listener: SocketAddr) {
    tracing::info!(event = "listening", listener = %listener);
}

/// We do not listen there any more.
pub(crate) fn listening_ended(listener: SocketAddr) {
    tracing::info!(event = "listening_ended", listener = %listener);
}

/// Somebody who may collect was told to come later; `why` is `too many`, `store`, `busy` (another drain is at all of its
/// domains) or `held`.
pub(crate) fn not_turned(identity: &str, cause: DrainCause, why: &'static str) {
    tracing::warn!(event = "not_turned", identity = %Printable::from(identity), %cause, why);
}

/// A domain could not be leased for a connection that is to be turned.
pub(crate) fn lease_failed(domain: &Domain, cause: DrainCause, error: &StoreError) {
    tracing::warn!(event = "lease_failed", %domain, %cause, %error);
}

/// More clients want to authenticate than there is room for.
pub(crate) fn too_many_logins() {
    tracing::warn!(event = "too_many_logins");
}

/// Nothing can be accepted: files or memory have run out. Told once until it works again.
pub(crate) fn accepting_stopped(listener: SocketAddr, error: &std::io::Error) {
    tracing::error!(event = "accepting_stopped", listener = %listener, error = %error);
}

/// Accepting works again.
pub(crate) fn accepting_again(listener: SocketAddr) {
    tracing::info!(event = "accepting_again", listener = %listener);
}

/// A shutdown ran out of its grace.
pub(crate) fn sessions_cut(remaining: usize) {
    tracing::warn!(event = "sessions_cut", remaining);
}
