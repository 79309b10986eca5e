//! A client that writes what it is told, and a handler that says yes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_net::{
    Buffers, ClientTls, Connecting, Connection, Ended, Listener, ServerHandler, ServerTls, Stop, Stream,
    serve,
};
use restante_smtp::{
    AuthOffer, ContentSink, EtrnAnswer, Event, QueuedAs, ServerConfig, ServerSession, Service,
};
use restante_types::{ClientFacts, QueueId, Recipient, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

/// What a handler saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) clients: Vec<ClientFacts>,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) bad: Vec<Reply>,
    pub(crate) void: usize,
}

#[derive(Default)]
pub(crate) struct YesMan {
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) refusal: Option<Reply>,
    pub(crate) content: Vec<u8>,
}

pub(crate) struct Proof;
impl QueuedAs for Proof {
    fn queue_id(&self) -> QueueId {
        QueueId::MIN
    }
}

impl ContentSink for YesMan {
    fn content(&mut self, octets: &[u8]) {
        self.content.extend_from_slice(octets);
    }
}

impl ServerHandler for YesMan {
    type Proof = Proof;

    async fn connected(&mut self, _: &ClientFacts) -> Result<(), Reply> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    fn sink(&mut self) -> &mut dyn ContentSink {
        self
    }

    async fn flowed(&mut self, _: &mut ServerSession<Proof>) {}

    async fn event(&mut self, session: &mut ServerSession<Proof>, event: Event<Proof>) {
        match event {
            Event::Hello(_) => self.seen.lock().unwrap().clients.push(session.client().clone()),
            Event::Mail(ask, _) => session.grant(ask, ()),
            Event::Rcpt(ask, rcpt) => {
                let restante_types::ForwardPath::Mailbox(mailbox) = rcpt.path else {
                    panic!("no postmaster here")
                };
                session.grant(ask, Recipient::from(mailbox));
            }
            Event::Begin(ask) => {
                self.content.clear();
                session.grant(ask, ());
            }
            Event::ContentEnds(ask, ..) => {
                self.seen.lock().unwrap().messages.push(std::mem::take(&mut self.content));
                session.grant(ask, Proof);
            }
            Event::ContentVoid => self.seen.lock().unwrap().void += 1,
            Event::Etrn(ask, _) => session.grant(ask, EtrnAnswer::Started),
            Event::BadCommand(reply) => self.seen.lock().unwrap().bad.push(reply),
            Event::ScramKeys(..) | Event::Auth(..) | Event::Atrn(..) | Event::Turn(_) => {
                panic!("not offered here")
            }
            Event::StartTls(_) | Event::Close => panic!("the loop keeps these"),
        }
    }
}

/// A server for one connection.
pub(crate) struct Host {
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) served: JoinHandle<Ended>,
}

impl Host {
    pub(crate) async fn ended(self) -> (Ended, Seen) {
        let ended = timeout(LIMIT, self.served).await.unwrap().unwrap();
        (ended, std::mem::take(&mut self.seen.lock().unwrap()))
    }
}

pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        service: Service::Smtp,
        auth: AuthOffer::default(),
        atrn: false,
        turn: false,
        hostname: "mx.example".parse().unwrap(),
        starttls: true,
        tls_required: false,
        etrn: true,
        smtputf8: true,
        strict: false,
        message_size: 100_000,
        recipients: 100,
    }
}

/// A connection as a listener hands it over, in clear, and the client's end of it.
pub(crate) async fn accepted() -> (Connection, Peer) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local().unwrap();
    let connecting = Connecting { address, source: None, limit: LIMIT };
    let (there, here) = tokio::join!(connecting.connect(), listener.accept());
    let connection = Connection {
        stream: here.unwrap(),
        config: Arc::new(config()),
        tls: None,
        implicit: false,
        buffers: Buffers::default(),
        stop: watch::Sender::default().subscribe(),
    };
    (connection, Peer { stream: there.unwrap(), unread: Vec::new() })
}

/// Connects, lets `first` be sent before the server even looks, then serves.
pub(crate) async fn open(
    first: &[u8],
    tls: Option<Arc<ServerTls>>,
    implicit: bool,
    mut handler: YesMan,
) -> (Peer, Host) {
    let (connection, mut peer) = accepted().await;
    peer.send(first).await;
    let stop = watch::Sender::default();
    let connection = Connection { tls, implicit, stop: stop.subscribe(), ..connection };
    let seen = Arc::clone(&handler.seen);
    let served = tokio::spawn(async move { serve(connection, &mut handler).await });
    (peer, Host { seen, stop, served })
}

/// The client's end.
pub(crate) struct Peer {
    pub(crate) stream: Stream,
    unread: Vec<u8>,
}

impl Peer {
    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next reply with all its lines, or what came until the connection ended.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            if let Some(end) = complete(&self.unread) {
                let rest = self.unread.split_off(end);
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
            }
            let mut octets = [0; 4096];
            match timeout(LIMIT, self.stream.read(&mut octets)).await.unwrap() {
                Ok(0) | Err(_) => return String::from_utf8(std::mem::take(&mut self.unread)).unwrap(),
                Ok(count) => self.unread.extend_from_slice(&octets[..count]),
            }
        }
    }

    pub(crate) async fn ask(&mut self, octets: &str) -> String {
        self.send(octets).await;
        self.reply().await
    }

    /// Everything until the connection ends.
    pub(crate) async fn rest(mut self) -> String {
        let mut all = String::new();
        loop {
            let reply = self.reply().await;
            if reply.is_empty() {
                return all;
            }
            all.push_str(&reply);
        }
    }

    pub(crate) async fn into_tls(self) -> Self {
        let name = "mx.example".try_into().unwrap();
        let stream = self.stream.connect_tls(&ClientTls::opportunistic(), name, LIMIT).await.unwrap();
        Self { stream, unread: Vec::new() }
    }
}

fn complete(octets: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + octets[from..].iter().position(|octet| *octet == b'\n')? + 1;
        if octets.get(from + 3) != Some(&b'-') {
            return Some(end);
        }
        from = end;
    }
}
