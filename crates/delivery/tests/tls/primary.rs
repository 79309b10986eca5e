//! A primary that takes mail, with and without TLS, and remembers how it came.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_net::{ClientTls, Connecting, Listener, ServerName, ServerTls, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::chain::Shown;

const LIMIT: Duration = Duration::from_secs(10);
/// Longer than the deadline of any command.
const SILENCE: Duration = Duration::from_secs(601);

/// What it does when it is asked for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Starts it.
    Works,
    /// Does not offer it: it was stripped on the way, or was never there.
    Missing,
    /// Offers it and refuses.
    Refused,
    /// Offers it and refuses for good.
    Never,
    /// Says 220, and no handshake follows.
    Broken,
    /// Says 220 and nothing more; the connection stands.
    Hangs,
    /// Says 220 and more behind it, in clear.
    Injected,
    /// Does not answer STARTTLS; the connection stands.
    Mute,
    /// Starts it, and then does not answer EHLO.
    MuteInside,
}

/// How one connection was used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) encrypted: bool,
    pub(crate) messages: usize,
    pub(crate) client: Option<[u8; 32]>,
}

pub(crate) struct Primary {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: JoinSet<()>,
}

impl Primary {
    pub(crate) fn start(manner: Manner, shown: &Shown) -> Self {
        let (certificate, key) = shown.files();
        let server = ServerTls::load(certificate, key).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (all, mut serving) = (seen.clone(), JoinSet::new());
        serving.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok(stream) = listener.accept().await {
                let (server, all) = (server.clone(), all.clone());
                let number = all.lock().unwrap().len();
                all.lock().unwrap().push(Seen::default());
                sessions.spawn(async move {
                    let session = Session { server, all, number };
                    session.converse(stream, manner, true).await;
                });
            }
        });
        Self { address, seen, _serving: serving }
    }

    /// Every connection so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Messages taken in clear, and inside TLS.
    pub(crate) fn taken(&self) -> (usize, usize) {
        let seen = self.seen();
        let count =
            |encrypted| seen.iter().filter(|one| one.encrypted == encrypted).map(|one| one.messages).sum();
        (count(false), count(true))
    }
}

struct Session {
    server: Arc<ServerTls>,
    all: Arc<Mutex<Vec<Seen>>>,
    number: usize,
}

impl Session {
    fn note(&self, what: impl FnOnce(&mut Seen)) {
        what(&mut self.all.lock().unwrap()[self.number]);
    }

    async fn converse(&self, mut stream: Stream, mut manner: Manner, greet: bool) {
        if greet {
            say(&mut stream, "220 primary.example ESMTP\r\n").await;
        }
        let mut content = false;
        while let Some(line) = read_line(&mut stream).await {
            let verb = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                _ if content => {
                    if line == ".\r\n" {
                        content = false;
                        self.note(|seen| seen.messages += 1);
                        say(&mut stream, "250 2.0.0 taken\r\n").await;
                    }
                }
                "EHLO" if manner == Manner::MuteInside && !greet => return fall_silent(stream).await,
                "EHLO" => {
                    let offered = stream.tls().is_none() && manner != Manner::Missing;
                    let tls = if offered { "250-STARTTLS\r\n" } else { "" };
                    say(&mut stream, &format!("250-primary.example\r\n{tls}250 8BITMIME\r\n")).await;
                }
                "STARTTLS" if manner == Manner::Refused => {
                    say(&mut stream, "454 4.7.0 not today\r\n").await;
                    manner = Manner::Missing;
                }
                "STARTTLS" if manner == Manner::Mute => return fall_silent(stream).await,
                "STARTTLS" if manner == Manner::Never => {
                    say(&mut stream, "554 5.7.1 never\r\n").await;
                    manner = Manner::Missing;
                }
                "STARTTLS" => return self.start_tls(stream, manner).await,
                "DATA" => {
                    content = true;
                    say(&mut stream, "354 go on\r\n").await;
                }
                "QUIT" => return say(&mut stream, "221 bye\r\n").await,
                _ => say(&mut stream, "250 2.0.0 fine\r\n").await,
            }
        }
    }

    async fn start_tls(&self, mut stream: Stream, manner: Manner) {
        let more = if manner == Manner::Injected { "250 you are welcome\r\n" } else { "" };
        say(&mut stream, &format!("220 go\r\n{more}")).await;
        match manner {
            Manner::Works | Manner::MuteInside => {
                let Ok(inside) = stream.accept_tls(self.server.acceptor(), LIMIT).await else { return };
                let client = inside.tls().and_then(|facts| facts.peer_fingerprint);
                self.note(|seen| (seen.encrypted, seen.client) = (true, client));
                Box::pin(self.converse(inside, manner, false)).await;
            }
            Manner::Hangs => while stream.read_u8().await.is_ok() {},
            _ => {}
        }
    }
}

/// Says nothing any more, for longer than anybody waits: the clock goes on by itself.
async fn fall_silent(mut stream: Stream) {
    tokio::time::pause();
    tokio::time::advance(SILENCE).await;
    tokio::time::resume();
    while stream.read_u8().await.is_ok() {}
}

/// Who has gone hears nothing.
async fn say(stream: &mut Stream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
}

async fn read_line(stream: &mut Stream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// Whether a client takes a server that shows this.
pub(crate) async fn shake(shown: &Shown, tls: &ClientTls, name: ServerName<'static>) -> bool {
    let (certificate, key) = shown.files();
    let server = ServerTls::load(certificate, key).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = Connecting { address: listener.local().unwrap(), source: None, limit: LIMIT };
    let serve = async { listener.accept().await.unwrap().accept_tls(server.acceptor(), LIMIT).await };
    let call = async { connecting.connect().await.unwrap().connect_tls(tls, name, LIMIT).await };
    let (called, served) = tokio::join!(call, serve);
    assert_eq!(called.is_ok(), served.is_ok());
    called.is_ok()
}
