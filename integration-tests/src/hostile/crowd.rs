//! Many connections from many addresses at once, none of which has a thread of its own.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// For a whole crowd to do one thing, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);

/// One connection of a crowd.
#[derive(Debug)]
pub struct Visitor {
    stream: TcpStream,
    /// What was read and is not a whole reply yet.
    unread: Vec<u8>,
    /// The greeting, or whatever came in its place.
    pub greeting: String,
}

/// Connections, and what drives them.
#[derive(Debug)]
pub struct Crowd {
    runtime: Runtime,
    visitors: Vec<Visitor>,
}

impl Visitor {
    async fn arrive(port: u16, from: Ipv4Addr) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        stream.set_nodelay(true)?;
        let mut visitor = Self { stream, unread: Vec::new(), greeting: String::new() };
        visitor.greeting = visitor.reply().await?;
        Ok(visitor)
    }

    /// A whole reply, lines joined by LF.
    ///
    /// # Errors
    /// When the connection ends or breaks before it is whole.
    pub async fn reply(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(reply) = self.whole() {
                return Ok(reply);
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.unread.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn whole(&mut self) -> Option<String> {
        let mut at = 0;
        loop {
            let end = at + self.unread[at..].iter().position(|octet| *octet == b'\n')? + 1;
            if self.unread.get(at + 3) != Some(&b'-') {
                let reply = String::from_utf8_lossy(&self.unread[..end]).replace("\r\n", "\n");
                self.unread.drain(..end);
                return Some(reply.trim_end().to_owned());
            }
            at = end;
        }
    }

    /// Sends octets and waits for so many replies; the last.
    ///
    /// # Errors
    /// When the connection ends or breaks.
    pub async fn say(&mut self, octets: &[u8], replies: usize) -> std::io::Result<String> {
        self.stream.write_all(octets).await?;
        let mut last = String::new();
        for _ in 0..replies {
            last = self.reply().await?;
        }
        Ok(last)
    }

    /// Sends octets, one at a time with this pause between them, until it is over; each is counted.
    async fn dribble(&mut self, octets: &[u8], pause: Duration, said: &Dribbled, number: usize) {
        for octet in octets.iter().cycle() {
            if said.over.load(Ordering::SeqCst) || self.stream.write_all(&[*octet]).await.is_err() {
                return;
            }
            said.octets[number].fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(pause).await;
        }
    }
}

impl Crowd {
    /// So many connections to a port, so many from each address of 127.`net`.0.0, each with its greeting.
    ///
    /// # Panics
    /// When somebody is neither greeted nor refused.
    #[must_use]
    pub fn arrive(port: u16, count: usize, from_each: usize, net: u8) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let visitors = runtime.block_on(async {
            let mut arriving = JoinSet::new();
            for number in 0..count {
                let address = number / from_each;
                let octet = |part: usize| u8::try_from(part % 250 + 1).expect("below 251");
                let from = Ipv4Addr::new(127, net, octet(address / 250), octet(address));
                arriving.spawn(tokio::time::timeout(PATIENCE, Visitor::arrive(port, from)));
            }
            let arrived = arriving.join_all().await;
            arrived.into_iter().map(|each| each.expect("in time").expect("a greeting")).collect()
        });
        Self { runtime, visitors }
    }

    /// How many were greeted with this.
    #[must_use]
    pub fn greeted(&self, start: &str) -> usize {
        self.visitors.iter().filter(|visitor| visitor.greeting.starts_with(start)).count()
    }

    /// Everybody says the same and waits for so many replies; how many got a last one that starts like this.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn say(&mut self, octets: &[u8], replies: usize, wanted: &str) -> usize {
        self.hear(octets, replies).iter().filter(|reply| reply.starts_with(wanted)).count()
    }

    /// The same; the last reply of each, empty where the connection ended.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn hear(&mut self, octets: &[u8], replies: usize) -> Vec<String> {
        let Self { runtime, visitors } = self;
        let said = runtime.block_on(async {
            let mut talking = JoinSet::new();
            for mut visitor in visitors.drain(..) {
                let octets = octets.to_vec();
                talking.spawn(async move {
                    let said = tokio::time::timeout(PATIENCE, visitor.say(&octets, replies)).await;
                    (visitor, said.expect("in time").unwrap_or_default())
                });
            }
            talking.join_all().await
        });
        let (everybody, heard) = said.into_iter().unzip();
        *visitors = everybody;
        heard
    }

    /// Everybody sends one octet after the other, with this pause between, while `meanwhile` goes on.
    pub fn dribble<T>(
        &mut self,
        octets: &[u8],
        pause: Duration,
        meanwhile: impl FnOnce(&Dribbled) -> T,
    ) -> T {
        let counts = self.visitors.iter().map(|_| AtomicUsize::new(0)).collect();
        let said = Arc::new(Dribbled { over: AtomicBool::new(false), octets: counts });
        let mut dribbling = JoinSet::new();
        for (number, mut visitor) in self.visitors.drain(..).enumerate() {
            let (octets, said) = (octets.to_vec(), Arc::clone(&said));
            dribbling.spawn_on(
                async move {
                    visitor.dribble(&octets, pause, &said, number).await;
                    visitor
                },
                self.runtime.handle(),
            );
        }
        let result = meanwhile(&said);
        said.over.store(true, Ordering::SeqCst);
        self.visitors = self.runtime.block_on(dribbling.join_all());
        result
    }
}

/// How far they came.
#[derive(Debug)]
pub struct Dribbled {
    over: AtomicBool,
    octets: Vec<AtomicUsize>,
}

impl Dribbled {
    /// Octets of whoever sent the fewest.
    #[must_use]
    pub fn least(&self) -> usize {
        self.octets.iter().map(|count| count.load(Ordering::SeqCst)).min().unwrap_or_default()
    }
}
