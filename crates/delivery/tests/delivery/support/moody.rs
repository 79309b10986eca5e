//! A primary that fails at random, in every way and at every stage, and knows exactly what it took.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

pub(crate) struct Moody {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// What a session does with its next line.
enum Next {
    Go,
    Leave,
}

/// Once every so many times.
fn once_in(random: &mut StdRng, times: u32) -> bool {
    random.random_ratio(1, times)
}

fn one_of<'a>(random: &mut StdRng, all: &[&'a str]) -> &'a str {
    all[random.random_range(0..all.len())]
}

impl Moody {
    pub(crate) async fn start(seed: u64) -> Self {
        // Bound for as long as it lives, so that nobody else gets the port while nobody listens.
        let place = bound("127.0.0.1:0".parse().unwrap());
        let address = place.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(HashMap::new()));
        tokio::spawn(serve(place, StdRng::seed_from_u64(seed), taken.clone()));
        Self { address, taken }
    }

    /// How often each recipient was taken.
    pub(crate) fn taken(&self) -> HashMap<String, usize> {
        self.taken.lock().unwrap().clone()
    }
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// Listens, but for moments in which nobody does.
async fn serve(place: TcpSocket, mut random: StdRng, taken: Arc<Mutex<HashMap<String, usize>>>) {
    let address = place.local_addr().unwrap();
    loop {
        let open = bound(address).listen(1024).unwrap();
        // Half configured: it knows none of its users.
        let knows_nobody = once_in(&mut random, 6);
        for _ in 0..random.random_range(1..12) {
            let Ok((stream, _)) = open.accept().await else { return };
            let random = StdRng::seed_from_u64(random.random());
            let session = Session { random, taken: taken.clone(), knows_nobody, open: None };
            tokio::spawn(async move {
                // What the other side does to the line is its business.
                let _ = session.converse(stream).await;
            });
        }
        drop(open);
        sleep(Duration::from_millis(random.random_range(1..30))).await;
    }
}

struct Session {
    random: StdRng,
    taken: Arc<Mutex<HashMap<String, usize>>>,
    knows_nobody: bool,
    /// The recipients of an open transaction.
    open: Option<Vec<String>>,
}

type Line = BufReader<TcpStream>;

impl Session {
    async fn converse(mut self, stream: TcpStream) -> io::Result<()> {
        let mut line = BufReader::new(stream);
        if self.greet(&mut line).await? {
            let everything_goes = once_in(&mut self.random, 40);
            let mut command = String::new();
            while line.read_line(&mut command).await? > 0 {
                let said = std::mem::take(&mut command);
                if everything_goes && !said.starts_with("EHLO") {
                    say(&mut line, "354 go ahead").await?;
                } else if matches!(self.answer(&mut line, said.trim_end()).await?, Next::Leave) {
                    break;
                }
            }
        }
        // Octets that nobody reads would cut off an answer that is still on its way.
        line.get_mut().shutdown().await?;
        let mut rest = Vec::new();
        let _ = timeout(Duration::from_secs(5), line.read_to_end(&mut rest)).await;
        Ok(())
    }

    /// Whether there is a session.
    async fn greet(&mut self, line: &mut Line) -> io::Result<bool> {
        let greeting = match self.random.random_range(0..40) {
            0 => return Ok(false),
            1 => "421 4.3.2 too busy",
            2 => "554 5.3.2 go away",
            3 => "hello, who is there?",
            4 => "450-wait\r\n250 what?",
            _ => "220 primary.example ESMTP",
        };
        say(line, greeting).await?;
        Ok(greeting.starts_with("220"))
    }

    async fn answer(&mut self, line: &mut Line, command: &str) -> io::Result<Next> {
        let verb: String = command.chars().take(4).collect();
        if once_in(&mut self.random, 500) {
            if once_in(&mut self.random, 2) {
                let parting = one_of(
                    &mut self.random,
                    &["421 4.3.2 closing", "999 what", "250-a\r\n550 b", "2", "\u{7f}\u{0}"],
                );
                say(line, parting).await?;
            }
            return Ok(Next::Leave);
        }
        let random = &mut self.random;
        match verb.as_str() {
            "EHLO" | "HELO" => {
                let pipelining = if once_in(random, 3) { "" } else { "250-PIPELINING\r\n" };
                let chunking = if once_in(random, 3) { "250-CHUNKING\r\n" } else { "" };
                let hello = format!("250-primary.example\r\n{pipelining}{chunking}250 8BITMIME");
                say(line, if once_in(random, 30) { "550 5.7.1 no" } else { &hello }).await?;
            }
            "MAIL" if self.open.is_some() => say(line, "503 5.5.1 nested").await?,
            "MAIL" if once_in(random, 50) => {
                say(line, one_of(random, &["451 4.3.0 later", "550 5.7.1 not you"])).await?;
            }
            "MAIL" => {
                self.open = Some(Vec::new());
                say(line, "250 2.1.0 ok").await?;
            }
            "RCPT" => self.recipient(line, command).await?,
            "DATA" => return self.data(line).await,
            "BDAT" => return self.chunk(line, command).await,
            "RSET" => {
                self.open = None;
                say(line, "250 2.0.0 ok").await?;
            }
            "QUIT" => {
                say(line, "221 2.0.0 bye").await?;
                return Ok(Next::Leave);
            }
            _ => say(line, "502 5.5.1 what?").await?,
        }
        Ok(Next::Go)
    }

    async fn recipient(&mut self, line: &mut Line, command: &str) -> io::Result<()> {
        let address = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let Some(open) = &mut self.open else { return say(line, "503 5.5.1 MAIL first").await };
        let answer = match self.random.random_range(0..100) {
            _ if self.knows_nobody => "550 5.1.1 no such user here",
            0 | 1 => "450 4.2.0 not now",
            2 | 3 => "550 5.1.1 nobody here",
            4 => "452 4.5.3 too many",
            5 => "552 5.2.2 full",
            _ => {
                open.push(address);
                "250 2.1.5 ok"
            }
        };
        say(line, answer).await
    }

    async fn data(&mut self, line: &mut Line) -> io::Result<Next> {
        if self.open.as_ref().is_none_or(Vec::is_empty) {
            say(line, "554 5.5.1 no valid recipients").await?;
            return Ok(Next::Go);
        }
        if once_in(&mut self.random, 60) {
            say(line, one_of(&mut self.random, &["451 4.3.0 later", "554 5.7.1 no data"])).await?;
            return Ok(Next::Go);
        }
        say(line, "354 go ahead").await?;
        let mut text = String::new();
        while !text.ends_with("\r\n.\r\n") && text != ".\r\n" {
            if line.read_line(&mut text).await? == 0 || once_in(&mut self.random, 2000) {
                return Ok(Next::Leave);
            }
        }
        let next = self.content(line).await?;
        self.open = None;
        Ok(next)
    }

    async fn chunk(&mut self, line: &mut Line, command: &str) -> io::Result<Next> {
        let size = command.split(' ').nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
        let mut content = vec![0; size];
        line.read_exact(&mut content).await?;
        if self.open.as_ref().is_none_or(Vec::is_empty) {
            say(line, "503 5.5.1 no valid recipients").await?;
            return Ok(Next::Go);
        }
        let next = self.content(line).await?;
        self.open = None;
        Ok(next)
    }

    async fn content(&mut self, line: &mut Line) -> io::Result<Next> {
        let answer = match self.random.random_range(0..200) {
            0 => return Ok(Next::Leave),
            1 => {
                say(line, "421 4.3.2 closing").await?;
                return Ok(Next::Leave);
            }
            2 | 3 => "452 4.3.1 disk full",
            4 => "554 5.6.0 not this",
            _ => "250 2.0.0 taken",
        };
        if answer.starts_with("250") {
            let mut taken = self.taken.lock().unwrap();
            for recipient in self.open.take().unwrap_or_default() {
                *taken.entry(recipient).or_default() += 1;
            }
        }
        say(line, answer).await?;
        let leaves = once_in(&mut self.random, 300);
        Ok(if leaves { Next::Leave } else { Next::Go })
    }
}

async fn say(line: &mut Line, answer: &str) -> io::Result<()> {
    line.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await
}
