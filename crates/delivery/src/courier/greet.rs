//! From a connection to a server that is ready for mail: greeting, EHLO, TLS by policy.

use std::sync::Arc;
use std::time::Duration;

use restante_net::{ClientConnection, ClientTls, ServerName, Stream, UpgradeError};
use restante_smtp::{ClientConfig, ClientEvent, ClientSession, End, ProtocolError, Transcript};
use restante_types::Reply;

use super::now;

/// What TLS must be on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Used where it is offered.
    IfOffered,
    /// Not asked for: the handshake failed on the connection before this one.
    Clear,
    /// Nothing goes without it.
    Required,
}

/// Why there is no server that is ready.
#[derive(Debug)]
pub(super) enum Unready {
    /// There is no connection.
    NoConnection(Reply),
    /// The conversation ended.
    Ended(End),
    /// TLS was offered and did not come about.
    Handshake(UpgradeError),
    /// TLS must be and is not to be had.
    NoTls(Reply),
}

/// Who talks, and to whom.
pub(super) struct Party<'a> {
    pub(super) config: &'a Arc<ClientConfig>,
    pub(super) tls: &'a ClientTls,
    pub(super) name: &'a ServerName<'static>,
    /// For the handshake.
    pub(super) handshake: Duration,
    /// Keeps what is said.
    pub(super) transcript: &'a Transcript,
}

pub(super) async fn greet(
    stream: Stream,
    party: &Party<'_>,
    layer: Layer,
) -> Result<ClientConnection<Stream>, Unready> {
    let mut session = ClientSession::new(party.config.clone(), now());
    session.record(party.transcript.clone());
    let mut connection = ClientConnection::new(stream, session);
    until_ready(&mut connection).await?;
    if layer == Layer::Clear {
        return Ok(connection);
    }
    if !connection.session_mut().start_tls(now()) {
        let reply = Reply::new(450, (4, 7, 4), "the next hop does not offer STARTTLS, which is required");
        return without_tls(connection, layer, reply).await;
    }
    match next_event(&mut connection).await {
        ClientEvent::TlsGranted => {}
        // [3207-4-client]: 454 and its like leave the connection as it was.
        ClientEvent::TlsRefused(reply) => return without_tls(connection, layer, reply).await,
        ClientEvent::Ended(end) => return Err(Unready::Ended(end)),
        // Nothing else was asked for.
        _ => return Err(out_of_place()),
    }
    let fresh = |now| {
        let mut session = ClientSession::after_tls(party.config.clone(), now);
        session.record(party.transcript.clone());
        session
    };
    let upgrade = Box::pin(connection.upgrade_within(party.tls, party.name.clone(), party.handshake, fresh));
    let mut connection = upgrade.await.map_err(Unready::Handshake)?;
    until_ready(&mut connection).await?;
    Ok(connection)
}

/// On a connection that was turned: the customer greets, and that is all; TLS stands or does not.
pub(super) async fn turned(
    stream: Stream,
    config: &Arc<ClientConfig>,
    transcript: &Transcript,
) -> Result<ClientConnection<Stream>, End> {
    let mut session = ClientSession::new(config.clone(), now());
    session.record(transcript.clone());
    let mut connection = ClientConnection::new(stream, session);
    match until_ready(&mut connection).await {
        Ok(()) => Ok(connection),
        Err(Unready::Ended(end)) => Err(end),
        // Nothing of it was asked for.
        Err(Unready::NoConnection(_) | Unready::Handshake(_) | Unready::NoTls(_)) => {
            Err(End::Protocol(ProtocolError::Early))
        }
    }
}

/// Says QUIT and waits for how it ends.
pub(super) async fn farewell(mut connection: ClientConnection<Stream>) -> End {
    connection.session_mut().quit(now());
    let end = loop {
        if let ClientEvent::Ended(end) = next_event(&mut connection).await {
            break end;
        }
    };
    connection.close().await;
    end
}

async fn without_tls(
    connection: ClientConnection<Stream>,
    layer: Layer,
    reply: Reply,
) -> Result<ClientConnection<Stream>, Unready> {
    if layer != Layer::Required {
        return Ok(connection);
    }
    drop(farewell(connection).await);
    Err(Unready::NoTls(reply))
}

async fn until_ready(connection: &mut ClientConnection<Stream>) -> Result<(), Unready> {
    match next_event(connection).await {
        ClientEvent::Ready => Ok(()),
        ClientEvent::Ended(end) => Err(Unready::Ended(end)),
        _ => Err(out_of_place()),
    }
}

/// The machine tells nothing else before anything was asked of it.
fn out_of_place() -> Unready {
    Unready::Ended(End::Protocol(ProtocolError::Early))
}

/// Waits for the machine to tell something; its own deadlines bound the wait.
async fn next_event(connection: &mut ClientConnection<Stream>) -> ClientEvent {
    loop {
        if let Some(event) = connection.poll_event() {
            return event;
        }
        connection.exchange().await;
    }
}
