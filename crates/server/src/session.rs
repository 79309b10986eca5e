//! Answers one machine's questions.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use restante_net::{Reversal, ServerHandler, Stream};
use restante_queue::{NewMessage, QueueStore};
use restante_senders::{Senders, Unforged};
use restante_smtp::{
    Ask, Auth, Begin, ContentFacts, ContentSink, Etrn, EtrnTarget, Event, Evidence, Mail, MailCommand,
    Queued, Rcpt, RcptCommand, ScramKeys, ServerSession,
};
use restante_turn::{ClientCertificate, Pace, Peer};
use restante_types::{ClientFacts, Domain, Envelope, Network, Reply, UnixMillis};

use crate::authority::Authority;
use crate::events;
use crate::intake::{Complete, Incoming, Stored, store_failed};
use crate::received::Received;
use crate::sender;
use crate::settings::ServerSettings;
use crate::slots::Slot;
use crate::turning::{Place, Ready, Turning};

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) turning: Turning,
    pub(crate) senders: Option<Arc<Senders>>,
    pub(crate) settings: ArcSwap<ServerSettings>,
    /// Refused recipients that are told one by one.
    pub(crate) refusals: Pace,
}

/// One connection's handler.
pub(crate) struct Session {
    shared: Arc<Shared>,
    /// Boxed: a session that waits for its next message carries nothing of it.
    incoming: Option<Box<Incoming>>,
    /// The names in a certificate of the client's that an authority of ours issued.
    names: Box<[Domain]>,
    /// The connection is about to be turned.
    ready: Option<Box<Ready>>,
    /// Its place; moves on with a connection that is turned.
    slot: Option<Slot>,
    /// Messages accepted so far.
    pub(crate) accepted: u64,
}

type Machine = ServerSession<Stored>;

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, slot: Slot) -> Self {
        let (slot, names) = (Some(slot), Box::default());
        Self { shared, incoming: None, names, ready: None, slot, accepted: 0 }
    }

    async fn mail(&self, session: &mut Machine, ask: Ask<Mail>, command: &MailCommand) {
        match self.shared.authority.mail(session.client(), command).made().await {
            Ok(()) => session.grant(ask, ()),
            Err(reply) => {
                events::sender_refused(session.client(), &command.sender, &reply);
                session.refuse(ask, reply);
            }
        }
    }

    async fn rcpt(&self, session: &mut Machine, ask: Ask<Rcpt>, command: &RcptCommand) {
        let answer = match session.transaction() {
            Some(transaction) => {
                self.shared.authority.rcpt(session.client(), transaction, command).made().await
            }
            None => Err(out_of_order()),
        };
        match answer {
            Ok(recipient) => session.grant(ask, recipient),
            Err(reply) => {
                let network = Network::of_client(session.client().address);
                if let Some(untold) = self.shared.refusals.worth_telling(network, Instant::now()) {
                    let sender = session.transaction().map(|transaction| &transaction.envelope.sender);
                    events::recipient_refused(session.client(), sender, &command.path, &reply, untold);
                }
                session.refuse(ask, reply);
            }
        }
    }

    async fn begin(&mut self, session: &mut Machine, ask: Ask<Begin>) {
        let answer = match session.transaction() {
            Some(transaction) => self.shared.authority.begin(session.client(), transaction).made().await,
            None => Err(out_of_order()),
        };
        let started = answer.and_then(|()| self.start(session));
        match started {
            Ok(incoming) => {
                self.incoming = Some(incoming);
                session.grant(ask, ());
            }
            Err(reply) => {
                events::content_refused(session.client(), None, &reply);
                session.refuse(ask, reply);
            }
        }
    }

    fn start(&self, session: &Machine) -> Result<Box<Incoming>, Reply> {
        let envelope = &session.transaction().ok_or_else(out_of_order)?.envelope;
        let settings = self.shared.settings.load();
        let arrived = UnixMillis::from(SystemTime::now());
        let id = self.shared.store.mint(arrived);
        let (client, esmtp, hostname) = (session.client(), session.is_esmtp(), &settings.hostname);
        let received = Received { hostname, client, esmtp, envelope, id, arrived }.line();
        let buffer = self.shared.store.begin_content();
        let check = sender::begin(self.shared.senders.as_ref(), &settings, client, envelope);
        let unforged = Unforged::new(hostname.clone());
        let incoming = Incoming::begin(id, arrived, buffer, &received, settings.limits.hop_limit);
        Ok(Box::new(incoming.watched(check, unforged)))
    }

    async fn content_ends(
        &mut self,
        session: &mut Machine,
        ask: Ask<Queued<Stored>>,
        envelope: Envelope,
        facts: ContentFacts,
    ) {
        let Some(incoming) = self.incoming.take() else { return session.refuse(ask, out_of_order()) };
        let id = incoming.id;
        match self.keep(session.client(), incoming, envelope, facts).await {
            Ok(stored) => {
                self.accepted += 1;
                session.grant(ask, stored);
            }
            Err(reply) => {
                events::content_refused(session.client(), Some(id), &reply);
                session.refuse(ask, reply);
            }
        }
    }

    /// [5321-4.2.5] The way to the 250: policy, then durable, then the receipt. A client that goes away meanwhile
    /// finds its message kept; it never heard so and may send it again, which is the lesser evil (RFC 1047).
    async fn keep(
        &self,
        client: &ClientFacts,
        incoming: Box<Incoming>,
        envelope: Envelope,
        facts: ContentFacts,
    ) -> Result<Stored, Reply> {
        let (id, arrived) = (incoming.id, incoming.arrived);
        let Complete { buffer, check, forged } = incoming.complete()?;
        let destinations = self.shared.authority.content(client, &envelope, facts, arrived).made().await?;
        // Made durable, where it is large, while the last answers about its sender come.
        let (content, findings) = tokio::join!(buffer.seal(), sender::finish(check));
        let content = content.map_err(|error| store_failed(id, &error))?;
        let content = sender::tell(content, &findings, &self.shared.settings.load().hostname, client);
        if forged > 0 {
            events::forged_results(id, client, forged);
        }
        let (size, vouched) = (content.len(), findings.vouched);
        let told = events::Accepted::if_told(client, &envelope, &destinations, size, facts, vouched);
        let client = client.clone();
        let message = NewMessage { id, envelope, client, arrived, content, destinations, vouched };
        let receipt = self.shared.store.accept(message).await.map_err(|error| store_failed(id, &error))?;
        events::accepted(id, told.as_ref());
        Ok(Stored(receipt))
    }

    fn peer(&self, client: &ClientFacts) -> Peer {
        let fingerprint = client.tls.as_ref().and_then(|tls| tls.peer_fingerprint);
        let certificate = |fingerprint| ClientCertificate { fingerprint, names: self.names.to_vec() };
        Peer { address: client.address, tls: client.tls.is_some(), certificate: fingerprint.map(certificate) }
    }

    async fn scram_keys(&self, session: &mut Machine, ask: Ask<ScramKeys>, name: &str) {
        let peer = self.peer(session.client());
        match self.shared.authority.scram_keys(&peer, name, Instant::now()).made().await {
            Ok(keys) => session.grant(ask, keys),
            Err(reply) => session.refuse(ask, reply),
        }
    }

    async fn auth(&self, session: &mut Machine, ask: Ask<Auth>, evidence: Evidence) {
        let peer = self.peer(session.client());
        match self.shared.authority.auth(peer, evidence, Instant::now()).made().await {
            Ok(identity) => session.grant(ask, identity),
            Err(reply) => session.refuse(ask, reply),
        }
    }

    async fn etrn(&self, session: &mut Machine, ask: Ask<Etrn>, target: &EtrnTarget) {
        match self.shared.authority.etrn(session.client(), target, Instant::now()).made().await {
            Ok(answer) => session.grant(ask, answer),
            Err(reply) => session.refuse(ask, reply),
        }
    }
}

/// The machine asks about a transaction only while it has one.
fn out_of_order() -> Reply {
    Reply::new(503, (5, 5, 1), "bad sequence of commands")
}

impl ContentSink for Session {
    fn content(&mut self, octets: &[u8]) {
        if let Some(incoming) = &mut self.incoming {
            incoming.append(octets);
        }
    }
}

impl ServerHandler for Session {
    type Proof = Stored;

    async fn connected(&mut self, client: &ClientFacts) -> Result<(), Reply> {
        let answer = self.shared.authority.connect(client).made().await;
        answer.inspect_err(|reply| events::client_refused(client, reply))
    }

    fn sink(&mut self) -> &mut dyn ContentSink {
        self
    }

    async fn flowed(&mut self, session: &mut Machine) {
        let Some(incoming) = &mut self.incoming else { return };
        incoming.relieve().await;
        if let Some(reply) = incoming.newly_refused() {
            events::content_refused(session.client(), Some(incoming.id), &reply);
            session.void_content(reply);
        }
    }

    fn secured(&mut self, stream: &Stream) {
        self.names = stream.names().into();
    }

    async fn reverse(&mut self, session: &Machine, wanted: Reversal) -> Result<(), Reply> {
        let (authority, client) = (&self.shared.authority, session.client());
        let collect = match &wanted {
            Reversal::Atrn(named) => authority.atrn(client, named.clone(), Instant::now()).made().await?,
            Reversal::Turn => authority.turn(client).made().await?,
        };
        let may = |identity: &str, domain: &Domain| authority.owns(identity, domain);
        self.ready = Some(Box::new(self.shared.turning.prepare(&wanted, collect, may).await?));
        Ok(())
    }

    async fn turned(&mut self, stream: Stream) {
        if let Some(ready) = self.ready.take() {
            ready.go(stream, Place(self.slot.take()));
        }
    }

    async fn event(&mut self, session: &mut Machine, event: Event<Stored>) {
        match event {
            Event::Mail(ask, command) => self.mail(session, ask, &command).await,
            Event::Rcpt(ask, command) => self.rcpt(session, ask, &command).await,
            Event::Begin(ask) => self.begin(session, ask).await,
            Event::ContentEnds(ask, envelope, facts) => {
                self.content_ends(session, ask, envelope, facts).await
            }
            Event::ContentVoid => self.incoming = None,
            Event::Etrn(ask, target) => self.etrn(session, ask, &target).await,
            Event::ScramKeys(ask, name) => self.scram_keys(session, ask, &name).await,
            Event::Auth(ask, evidence) => self.auth(session, ask, evidence).await,
            Event::BadCommand(reply) => events::bad_command(session.client(), &reply),
            // The name is in the client's facts; the others are the loop's.
            Event::Hello(_) | Event::StartTls(_) | Event::Atrn(..) | Event::Turn(_) | Event::Close => {}
        }
    }
}
