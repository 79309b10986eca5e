//! A mail server behind the agent that keeps what it acknowledges, and misbehaves when told to.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

/// A message that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) mail: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) content: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Behaviour {
    pub(crate) keywords: Vec<&'static str>,
    /// Speaks LMTP: LHLO, and one reply for each recipient after content.
    pub(crate) lmtp: bool,
    /// Replies to command lines that contain a text.
    pub(crate) replies: Vec<(&'static str, &'static str)>,
    /// Reply to content that contains a text; an empty one closes.
    pub(crate) content: Vec<(&'static str, &'static str)>,
    /// Before content is answered.
    pub(crate) slowness: Duration,
    /// Closes after this many lines of content, once.
    pub(crate) dies_after: Option<usize>,
    /// Closes after it has said EHLO, once: an idle connection that timed out.
    pub(crate) idles_out: bool,
}

#[derive(Default)]
struct Shared {
    accepted: Mutex<Vec<Message>>,
    lines: AtomicUsize,
    connections: AtomicUsize,
}

/// Runs until the test ends.
#[derive(Clone)]
pub(crate) struct Sink {
    local: String,
    shared: Arc<Shared>,
}

impl Sink {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let local = if behaviour.lmtp { format!("lmtp:{address}") } else { address.to_string() };
        let sink = Self { local, shared: Arc::default() };
        let serving = sink.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.serve(stream, &behaviour);
            }
        });
        sink
    }

    pub(crate) fn unix(path: &Path, behaviour: Behaviour) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let sink = Self { local: format!("lmtp:{}", path.display()), shared: Arc::default() };
        let serving = sink.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.serve(stream, &behaviour);
            }
        });
        sink
    }

    /// As the agent is told of it.
    pub(crate) fn local(&self) -> Option<String> {
        Some(self.local.clone())
    }

    pub(crate) fn accepted(&self) -> Vec<Message> {
        self.shared.accepted.lock().unwrap().clone()
    }

    pub(crate) fn contents(&self) -> Vec<Vec<u8>> {
        self.accepted().into_iter().map(|message| message.content).collect()
    }

    /// Lines of content that came so far, acknowledged or not.
    pub(crate) fn lines(&self) -> usize {
        self.shared.lines.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(&self, stream: S, behaviour: &Behaviour) {
        let connection = self.shared.connections.fetch_add(1, Ordering::SeqCst);
        let mut behaviour = behaviour.clone();
        if connection > 0 {
            behaviour.dies_after = None;
            behaviour.idles_out = false;
        }
        let session = Session {
            stream: BufReader::new(stream),
            shared: Arc::clone(&self.shared),
            behaviour,
            open: None,
        };
        tokio::spawn(session.run());
    }
}

struct Session<S> {
    stream: BufReader<S>,
    shared: Arc<Shared>,
    behaviour: Behaviour,
    open: Option<Message>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn say(&mut self, line: &str) -> Option<()> {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.ok()
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).await.ok()?;
        (count > 0).then_some(line)
    }

    async fn run(mut self) -> Option<()> {
        self.say("220 sink.example").await?;
        loop {
            let line = String::from_utf8(self.line().await?).unwrap().trim_end().to_owned();
            let told =
                self.behaviour.replies.iter().find(|(part, _)| line.contains(part)).map(|(_, reply)| *reply);
            if let Some(reply) = told {
                self.say(reply).await?;
                continue;
            }
            match line.split(' ').next().unwrap() {
                hello @ ("EHLO" | "LHLO") if (hello == "LHLO") == self.behaviour.lmtp => self.hello().await?,
                "MAIL" if self.open.is_some() => self.say("503 5.5.1 nested").await?,
                "MAIL" => {
                    self.open = Some(Message { mail: line, recipients: Vec::new(), content: Vec::new() });
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => {
                    self.open.as_mut().unwrap().recipients.push(line);
                    self.say("250 2.1.5 ok").await?;
                }
                "DATA" => self.data().await?,
                "RSET" => {
                    self.open = None;
                    self.say("250 2.0.0 ok").await?;
                }
                "QUIT" => {
                    self.say("221 2.0.0 bye").await?;
                    return None;
                }
                _ => self.say("500 5.5.1 what").await?,
            }
        }
    }

    async fn hello(&mut self) -> Option<()> {
        let words: String = self.behaviour.keywords.iter().map(|word| format!("250-{word}\r\n")).collect();
        self.say(&format!("250-sink.example\r\n{words}250 HELP")).await?;
        if self.behaviour.idles_out { None } else { Some(()) }
    }

    async fn data(&mut self) -> Option<()> {
        self.say("354 go on").await?;
        let mut content = Vec::new();
        let mut count = 0;
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            count += 1;
            self.shared.lines.fetch_add(1, Ordering::SeqCst);
            if self.behaviour.dies_after.is_some_and(|most| count >= most) {
                return None;
            }
        }
        sleep(self.behaviour.slowness).await;
        let mut message = self.open.take().unwrap();
        let text = String::from_utf8_lossy(&content).into_owned();
        let told =
            self.behaviour.content.iter().find(|(part, _)| text.contains(part)).map(|(_, reply)| *reply);
        if let Some(reply) = told {
            return if reply.is_empty() { None } else { self.say(reply).await };
        }
        message.content = content;
        let answers = if self.behaviour.lmtp { message.recipients.len() } else { 1 };
        self.shared.accepted.lock().unwrap().push(message);
        for _ in 0..answers {
            self.say("250 2.0.0 ok, 4711 is its name").await?;
        }
        Some(())
    }
}
