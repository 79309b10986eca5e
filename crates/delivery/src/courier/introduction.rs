//! What the next hop is told about the clients that handed messages in, where the domain wants it and the hop listens.

use std::sync::Arc;

use restante_net::ClientConnection;
use restante_queue::Work;
use restante_smtp::Origin;
use restante_types::ClientFacts;

use super::now;
use crate::settings::ForwardClient;

/// How far it has come on one connection.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    forward: ForwardClient,
    /// Whom the session is taken for.
    known: Option<Arc<ClientFacts>>,
    /// XCLIENT is out for it.
    asked: Option<Arc<ClientFacts>>,
}

impl Introduction {
    pub(super) fn new(forward: ForwardClient) -> Self {
        Self { forward, ..Self::default() }
    }

    /// Whether a message may go now: the session is taken for its client's, or nobody wants that. Otherwise XCLIENT goes as
    /// soon as nothing else is under way, and the message after it.
    pub(super) fn stands<S>(&mut self, connection: &mut ClientConnection<S>, work: &Work) -> bool
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let offered = connection.session().capabilities().xclient.is_offered();
        let same =
            |known: &Arc<ClientFacts>| known.address == work.client.address && known.helo == work.client.helo;
        if self.forward != ForwardClient::Xclient || !offered || self.known.as_ref().is_some_and(same) {
            return true;
        }
        if connection.session_mut().introduce(now(), &origin(work)) {
            self.asked = Some(work.client.clone());
        }
        false
    }

    /// It was believed.
    pub(super) fn granted(&mut self) {
        self.known = self.asked.take();
    }

    /// It was not: the rest goes as ours. False where the session is taken for another client's already, so that the
    /// rest must not go over it.
    pub(super) const fn refused(&mut self) -> bool {
        self.forward = ForwardClient::Off;
        self.known.is_none()
    }

    /// What goes before MAIL by XFORWARD.
    pub(super) fn forwarded<S>(&self, connection: &ClientConnection<S>, work: &Work) -> Option<Arc<Origin>>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let offered = connection.session().capabilities().xforward.is_offered();
        let wanted = self.forward == ForwardClient::Xforward && offered;
        wanted.then(|| Arc::new(origin(work)))
    }
}

fn origin(work: &Work) -> Origin {
    Origin { address: work.client.address, helo: work.client.helo.clone(), ident: work.id.to_string() }
}
