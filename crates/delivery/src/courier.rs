//! The courier: opens a connection to a next hop, and carries over it what a feed gives.

mod greet;
mod introduction;
mod parcels;
mod round;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use restante_net::{ClientConnection, ClientTls, ConnectError, Connecting, Stream};
use restante_smtp::{ClientConfig, End, Transcript};
use restante_types::Reply;

use crate::carrier::{Carrier, Errand, Trip};
use crate::events;
use crate::feed::Feed;
use crate::settings::{DeliverySettings, ForwardClient};
use crate::tls::{Demand, TlsPolicies, Unmet};

use greet::{Layer, Party, Unready, greet};
use round::Round;

/// Carries by SMTP, RFC 5321.
#[derive(Clone)]
pub struct Courier {
    tls: Arc<TlsPolicies>,
}

impl Default for Courier {
    /// For domains whose policies need neither the DNS nor the web.
    fn default() -> Self {
        Self::new(Arc::new(TlsPolicies::offline(Arc::new(|| std::time::SystemTime::now().into()))))
    }
}

/// What TLS a connection must have, and the configuration that makes it so.
struct Terms {
    demand: Demand,
    client: ClientTls,
}

impl Courier {
    /// A courier that keeps to these policies.
    #[must_use]
    pub const fn new(tls: Arc<TlsPolicies>) -> Self {
        Self { tls }
    }

    /// What the policy of the errand's domain demands of its hop.
    async fn terms(&self, errand: &Errand) -> Result<Terms, Unmet> {
        let (domain, trust) = (errand.feed.domain(), &errand.delivery.trust);
        let demand = match errand.certificates {
            // Whoever asked for the mail to come to its address is known by its certificate, not by the policy.
            Some(_) => Demand::for_requester(&errand.hop),
            None => self.tls.demand(domain, &errand.delivery, &errand.hop).await?,
        };
        let client = self.tls.client(&demand, trust)?;
        Ok(Terms { demand, client })
    }

    async fn attempt(
        &self,
        errand: &Errand,
        hop: &str,
        terms: &Terms,
        layer: Layer,
    ) -> Result<Trip, Unready> {
        let connection = tokio::select! {
            biased;
            ready = self.connect(errand, hop, terms, layer) => ready?,
            // Nothing is under way yet, so a primary that is silent holds up no shutdown.
            () = errand.feed.until_stopped() => return Ok(Trip::Finished),
        };
        if let Some(certificates) = &errand.certificates
            && !is_shown(&connection, certificates)
        {
            events::stranger(errand.feed.domain(), hop);
            drop(greet::farewell(connection).await);
            let text = "the server there does not show the certificate on file";
            return Ok(Trip::Unused(Reply::new(450, (4, 7, 5), text)));
        }
        let forward = errand.delivery.forward_client;
        Ok(carry_over(connection, &errand.feed, hop, forward).await)
    }

    /// A connection whose server is ready for mail.
    async fn connect(
        &self,
        errand: &Errand,
        hop: &str,
        terms: &Terms,
        layer: Layer,
    ) -> Result<ClientConnection<Stream>, Unready> {
        let source = errand.hop.source;
        let connecting = Connecting { address: errand.hop.address, source, limit: errand.connect_timeout };
        let stream =
            connecting.connect().await.map_err(|error| Unready::NoConnection(unreachable(&error, hop)))?;
        let config = Arc::new(config(&errand.settings));
        let (tls, name, handshake) = (&terms.client, terms.demand.name(), self.tls.handshake());
        let transcript = &errand.transcript;
        let party = Party { config: &config, tls, name, handshake, transcript };
        Box::pin(greet(stream, &party, layer)).await
    }
}

#[async_trait]
impl Carrier for Courier {
    async fn carry(&self, errand: Errand) -> Trip {
        let hop = errand.hop.to_string();
        let terms = tokio::select! {
            biased;
            terms = self.terms(&errand) => terms,
            () = errand.feed.until_stopped() => return Trip::Finished,
        };
        let terms = match terms {
            Ok(terms) => terms,
            Err(unmet) => return Trip::Unused(unmet.reply()),
        };
        let clear = terms.demand.allows_clear();
        let layer = if clear { Layer::IfOffered } else { Layer::Required };
        let first = self.attempt(&errand, &hop, &terms, layer).await;
        let Err(Unready::Handshake(error)) = &first else {
            return first.unwrap_or_else(|why| unused(why, &hop));
        };
        let again = clear && !error.is_injection();
        events::tls_failed(errand.feed.domain(), &hop, error, again);
        if !again {
            return first.unwrap_or_else(|why| unused(why, &hop));
        }
        // RFC 7435: where nothing better was promised, mail in clear is better than no mail; once, and logged.
        let second = self.attempt(&errand, &hop, &terms, Layer::Clear).await;
        second.unwrap_or_else(|why| unused(why, &hop))
    }
}

/// [2645-5.3-greeting] From a connection that was turned to a customer that is ready for mail. It may call itself what
/// it likes: it called us, so this is no loop of routes.
///
/// Returns the reply to record where it is not: what it said, or ours for it.
pub(crate) async fn turned_ready(
    stream: Stream,
    settings: &DeliverySettings,
    hop: &str,
    transcript: &Transcript,
) -> Result<ClientConnection<Stream>, Reply> {
    let config = Arc::new(ClientConfig { own_names: Vec::new(), ..config(settings) });
    let ready = greet::turned(stream, &config, transcript).await;
    ready.map_err(|end| said(&end, hop).unwrap_or_else(|| lost(hop)))
}

/// Says QUIT on a connection over which nothing is to be sent; the reply to record where it ends otherwise.
pub(crate) async fn farewell(connection: ClientConnection<Stream>, hop: &str) -> Option<Reply> {
    said(&greet::farewell(connection).await, hop)
}

/// Carries over a connection whose server is ready for mail: one we opened, or one that was turned.
/// `forward` is what it is told about the clients that handed messages in.
pub(crate) async fn carry_over(
    connection: ClientConnection<Stream>,
    feed: &Feed,
    hop: &str,
    forward: ForwardClient,
) -> Trip {
    let over = Box::pin(Round::new(connection, feed, hop).telling(forward).run()).await;
    let reply = match (&over.store, said(&over.end, hop)) {
        (Some(_), _) => Some(Reply::new(451, (4, 3, 0), "our own store failed")),
        (None, reply) => reply,
    };
    match (over.end, reply, over.tried) {
        (End::LoopsToSelf(_), ..) => Trip::Ourselves,
        (_, None, _) => Trip::Finished,
        (_, Some(reply), true) => Trip::Broken(reply),
        (_, Some(reply), false) => Trip::Unused(reply),
    }
}

/// Whether the peer showed one of these certificates, and signed the handshake with its key.
fn is_shown(connection: &ClientConnection<Stream>, certificates: &BTreeSet<[u8; 32]>) -> bool {
    let shown = connection.stream().tls().and_then(|facts| facts.peer_fingerprint);
    shown.is_some_and(|shown| certificates.contains(&shown))
}

fn config(settings: &DeliverySettings) -> ClientConfig {
    let hostname = settings.hostname.clone();
    ClientConfig { own_names: vec![hostname.clone()], hostname }
}

fn unused(why: Unready, hop: &str) -> Trip {
    match why {
        Unready::Ended(End::LoopsToSelf(_)) => Trip::Ourselves,
        Unready::Ended(end) => Trip::Unused(said(&end, hop).unwrap_or_else(|| lost(hop))),
        Unready::Handshake(error) => {
            Trip::Unused(Reply::new(450, (4, 7, 5), format!("no TLS with {hop}: {}", error.in_words())))
        }
        Unready::NoConnection(reply) | Unready::NoTls(reply) => Trip::Unused(reply),
    }
}

fn lost(hop: &str) -> Reply {
    Reply::new(450, (4, 4, 2), format!("connection to {hop} lost"))
}

/// How the end of a conversation is recorded; `None` where it went as it should. RFC 3463 3.5: X.4.1 no answer, X.4.2
/// bad connection; 3.6: X.5.0 other protocol status.
fn said(end: &End, hop: &str) -> Option<Reply> {
    let (subject, detail) = match end {
        End::Quit => return None,
        End::Refused { reply, .. } => return Some(reply.clone()),
        End::LoopsToSelf(_) => (4, 6),
        End::Lost(_) | End::TimedOut(_) => (4, 2),
        End::Protocol(_) => (5, 0),
        End::Abandoned => (3, 0),
    };
    Some(Reply::new(450, (4, subject, detail), format!("{hop}: {end}")))
}

/// How the reply begins that stands for a port where nobody listens; silence there is told apart from it.
pub(crate) const REFUSED: &str = "connection refused";

fn unreachable(error: &ConnectError, hop: &str) -> Reply {
    let text = match error {
        ConnectError::Slow => format!("connection to {hop} timed out"),
        ConnectError::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("{REFUSED} by {hop}")
        }
        ConnectError::Io(error) => format!("no connection to {hop}: {error}"),
    };
    Reply::new(450, (4, 4, 1), text)
}

/// The clock that the client loop's deadlines go by.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
