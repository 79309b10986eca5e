//! What the next hop is told about the clients that handed messages in, where the domain wants it and the hop listens.

use std::sync::Arc;

use restante_net::ClientConnection;
use restante_queue::Work;
use restante_smtp::Origin;
use restante_types::ClientFacts;
use tokio::io::{AsyncRead, AsyncWrite};

use super::now;
use crate::settings::ForwardClient;

/// Whether a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The session is taken for its client's, or nobody wants that.
    Stands,
    /// The answer to XCLIENT, or to what was sent before it, is waited for.
    Waits,
    /// The session is taken for another client's for good: it must go over another connection.
    Elsewhere,
}

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

    /// Whether a message may go now. Where XCLIENT must come first it goes as soon as nothing else is under way.
    ///
    /// [xclient-ours] What comes from this machine goes as ours: a notice may bear a stranger's words.
    pub(super) fn standing<S>(&mut self, connection: &mut ClientConnection<S>, work: &Work) -> Standing
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let client = &work.client;
        let is_its = |known: &Arc<ClientFacts>| known.address == client.address && known.helo == client.helo;
        let offered = connection.session().capabilities().xclient.is_offered();
        match &self.known {
            _ if self.forward != ForwardClient::Xclient => Standing::Stands,
            None if client.is_this_machine() => Standing::Stands,
            Some(_) if client.is_this_machine() => Standing::Elsewhere,
            Some(known) if is_its(known) => Standing::Stands,
            // [xclient-once] Postfix does not offer it to who it takes us for now.
            Some(_) if !offered => Standing::Elsewhere,
            None if !offered => Standing::Stands,
            _ => {
                if connection.session_mut().introduce(now(), &origin(work)) {
                    self.asked = Some(client.clone());
                }
                Standing::Waits
            }
        }
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
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let offered = connection.session().capabilities().xforward.is_offered();
        let wanted = self.forward == ForwardClient::Xforward && offered && !work.client.is_this_machine();
        wanted.then(|| Arc::new(origin(work)))
    }
}

fn origin(work: &Work) -> Origin {
    Origin { address: work.client.address, helo: work.client.helo.clone(), ident: work.id.to_string() }
}
