//! A primary on loopback: speaks as much SMTP as a courier needs, and misbehaves on demand.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the primary does with a message, asked after its content.
pub(crate) enum Manner {
    /// Takes it.
    Take,
    /// Says this.
    Say(&'static str),
    /// Takes it, and then the line is dead before the answer is out.
    Cut,
}

type Manners = Box<dyn Fn(usize, &str) -> Manner + Send + Sync>;

pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    inside: Arc<Inside>,
}

struct Inside {
    greeting: &'static str,
    manners: Manners,
    taken: Mutex<Vec<String>>,
    connections: Mutex<usize>,
}

impl Sink {
    /// `manners` is asked with the number of the message on its connection, and its content.
    pub(crate) async fn start(
        greeting: &'static str,
        manners: impl Fn(usize, &str) -> Manner + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inside = Arc::new(Inside {
            greeting,
            manners: Box::new(manners),
            taken: Mutex::default(),
            connections: Mutex::new(0),
        });
        let shared = inside.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                let shared = shared.clone();
                tokio::spawn(async move { drop(shared.converse(stream).await) });
            }
        });
        Self { address, inside }
    }

    /// What was taken, in the order it came.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.inside.taken.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.inside.connections.lock().unwrap()
    }
}

impl Inside {
    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut answers = self.greeting.to_owned();
        let (mut content, mut messages, mut line) = (String::new(), 0, String::new());
        loop {
            // As servers do it: answers go together while commands are waiting.
            if stream.buffer().is_empty() {
                stream.write_all(std::mem::take(&mut answers).as_bytes()).await?;
            }
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let words: Vec<String> = line.split_whitespace().map(str::to_ascii_uppercase).collect();
            let answer = match words.first().map_or("", String::as_str) {
                "EHLO" => "250-primary.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n",
                "MAIL" if words.join(" ").contains("BAD-SENDER") => "550 5.1.8 no\r\n",
                "RCPT" if words.join(" ").contains("USER1@") => "550 5.1.1 no such user\r\n",
                "RCPT" if words.join(" ").contains("USER2@") => "452 4.2.2 full\r\n",
                "MAIL" | "RCPT" | "RSET" => "250 2.0.0 ok\r\n",
                "BDAT" => {
                    let mut chunk = vec![0; words[1].parse().unwrap()];
                    stream.read_exact(&mut chunk).await?;
                    content.push_str(std::str::from_utf8(&chunk).unwrap());
                    if words.get(2).is_none() {
                        "250 2.0.0 ok\r\n"
                    } else {
                        let content = std::mem::take(&mut content);
                        messages += 1;
                        match (self.manners)(messages, &content) {
                            Manner::Take => self.take(content),
                            Manner::Say(answer) => answer,
                            Manner::Cut => {
                                self.take(content);
                                stream.write_all(answers.as_bytes()).await?;
                                // Not a reset: that would take answers with it that were given long before.
                                stream.shutdown().await?;
                                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
                                return Ok(());
                            }
                        }
                    }
                }
                "QUIT" => {
                    answers.push_str("221 2.0.0 bye\r\n");
                    return stream.write_all(answers.as_bytes()).await;
                }
                _ => "500 5.5.2 what?\r\n",
            };
            answers.push_str(answer);
        }
    }

    fn take(&self, content: String) -> &'static str {
        self.taken.lock().unwrap().push(content);
        "250 2.0.0 taken\r\n"
    }
}
