//! A proxy that treats connections as bad networks do: it cuts them by FIN or RST, stalls, delays, trickles, splits and
//! joins segments, holds one back until a later one went through, and says a whole dialogue a second time on a connection
//! of its own. What kind of fault it is goes by turn, so that none is missing; who meets it and where goes by seed.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::happened::Counts;
use super::weather::{Fault, Pace, fate};
use super::{Direction, Happened, Passage, Random, Weather};

/// Octets of a dialogue that is kept to be said again.
const REMEMBERED: usize = 128 * 1024;
/// More than the 40 ms after which Linux acknowledges what it got.
const BEFORE_RESET: Duration = Duration::from_millis(100);
/// How long a connection is held back at most.
const HELD_BACK: Duration = Duration::from_secs(2);
/// How long a repeated dialogue waits for an answer before it talks on.
const REPLAY_PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    weather: Weather,
    calm: AtomicBool,
    down: AtomicBool,
    counts: Counts,
    /// By the address of either end: the client's own, and ours towards the server.
    passages: Mutex<HashMap<SocketAddr, Arc<Passage>>>,
    latest: Mutex<Option<Arc<Passage>>>,
    next_source: AtomicUsize,
    /// Connections so far that were to meet a fault.
    turns: AtomicUsize,
    /// The latest connection that went through, by number.
    through: AtomicUsize,
}

/// A proxy; gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Proxy {
    /// Listens on `port` of loopback (0: any) and passes on to `target` there.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn start(port: u16, target: u16, weather: Weather) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
            .expect("the proxy's port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let shared = Arc::new(Shared {
            target: SocketAddr::from((Ipv4Addr::LOCALHOST, target)),
            weather,
            calm: AtomicBool::new(false),
            down: AtomicBool::new(false),
            counts: Counts::default(),
            passages: Mutex::default(),
            latest: Mutex::default(),
            next_source: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
            through: AtomicUsize::new(0),
        });
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        Self { port, shared, runtime: Some(runtime) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// From now on connections pass as they are, or do not any more.
    pub fn set_calm(&self, calm: bool) {
        self.shared.calm.store(calm, Ordering::SeqCst);
    }

    /// From now on nobody gets through, or everybody does again.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// The connection that has this address at one of its ends, on the proxy's far side from us.
    #[must_use]
    pub fn passage(&self, end: SocketAddr) -> Option<Arc<Passage>> {
        self.shared.passages.lock().unwrap_or_else(PoisonError::into_inner).get(&end).cloned()
    }

    /// The connection that came last.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Passage>> {
        self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections so far that were repeated.
    #[must_use]
    pub fn replays(&self) -> usize {
        self.shared.counts.replays.load(Ordering::SeqCst)
    }

    /// What it did.
    #[must_use]
    pub fn happened(&self) -> Happened {
        self.shared.counts.read()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut seeds = Random::new(shared.weather.seed);
    loop {
        let Ok((client, from)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let number = 1 + shared.counts.connections.fetch_add(1, Ordering::SeqCst);
        let random = Random::new(seeds.number());
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { carry(client, from, number, &shared, random).await });
    }
}

impl Shared {
    /// Connects to the server from an address that no other connection had lately, so that its end can be told apart.
    async fn connect(&self, passage: &Arc<Passage>) -> Option<TcpStream> {
        let number = self.next_source.fetch_add(1, Ordering::SeqCst);
        let octet = |part: usize| u8::try_from(part % 250 + 1).expect("below 251");
        let source = Ipv4Addr::new(127, 77, octet(number / 250), octet(number));
        let socket = TcpSocket::new_v4().ok()?;
        socket.set_reuseaddr(true).ok()?;
        socket.bind(SocketAddr::from((source, 0))).ok()?;
        let ours = socket.local_addr().ok()?;
        self.enter(ours, passage);
        passage.starts_at(ours);
        let stream = socket.connect(self.target).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(stream)
    }

    fn fate(&self, random: &mut Random) -> (Fault, Pace) {
        if self.calm.load(Ordering::SeqCst) || !random.percent(self.weather.faulty) {
            return (Fault::None, Pace::PLAIN);
        }
        let (fault, pace) = fate(self.turns.fetch_add(1, Ordering::SeqCst), random);
        if pace.is_shaped() {
            self.counts.shaped.fetch_add(1, Ordering::SeqCst);
        }
        (fault, pace)
    }

    fn enter(&self, end: SocketAddr, passage: &Arc<Passage>) {
        self.passages.lock().unwrap_or_else(PoisonError::into_inner).insert(end, Arc::clone(passage));
    }
}

/// Why a connection ends before its time: by RST, or by FIN.
struct Cut {
    reset: bool,
}

async fn carry(
    mut client: TcpStream,
    from: SocketAddr,
    number: usize,
    shared: &Arc<Shared>,
    mut random: Random,
) {
    let (fault, pace) = shared.fate(&mut random);
    let passage = Passage::new(false);
    shared.enter(from, &passage);
    *shared.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&passage));
    let closed = fault == Fault::Refuse || shared.down.load(Ordering::SeqCst);
    let server = if closed { None } else { shared.connect(&passage).await };
    let Some(mut server) = server else {
        shared.counts.refused.fetch_add(1, Ordering::SeqCst);
        passage.cut(false);
        let _ = client.set_zero_linger();
        return;
    };
    let _ = client.set_nodelay(true);
    let repeats = !shared.calm.load(Ordering::SeqCst)
        && shared.weather.replayed > 0
        && number.is_multiple_of(usize::try_from(100 / shared.weather.replayed).unwrap_or(1));
    let memory = Mutex::new(Vec::new());
    let end = {
        let (client_in, client_out) = client.split();
        let (server_in, server_out) = server.split();
        let up = Pump { number, direction: Direction::Up, fault, pace, passage: &passage, shared };
        let down = Pump { direction: Direction::Down, ..up };
        let keep = repeats.then_some(&memory);
        tokio::try_join!(
            up.run(client_in, server_out, Random::new(random.number()), keep),
            down.run(server_in, client_out, Random::new(random.number()), None)
        )
    };
    match end {
        Ok(_) => drop(shared.through.fetch_max(number, Ordering::SeqCst)),
        Err(Cut { reset }) => {
            passage.cut(reset);
            finish(client, server, reset).await;
        }
    }
    let memory = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !memory.is_empty() {
        shared.counts.replays.fetch_add(1, Ordering::SeqCst);
        replay(shared, memory).await;
    }
}

/// Ends both sides. By FIN what was passed on stays readable: a socket closed over unread octets would be reset.
async fn finish(mut client: TcpStream, mut server: TcpStream, reset: bool) {
    if reset {
        // What the kernel took and has not sent yet would be dropped, and nobody could say what was heard.
        tokio::time::sleep(BEFORE_RESET).await;
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
        return;
    }
    let _ = client.shutdown().await;
    let _ = server.shutdown().await;
    let mut void = [tokio::io::sink(), tokio::io::sink()];
    let [one, other] = &mut void;
    let both = async { tokio::join!(tokio::io::copy(&mut client, one), tokio::io::copy(&mut server, other)) };
    let _ = tokio::time::timeout(Duration::from_secs(2), both).await;
}

/// Says the dialogue again, each of its pieces when the server has said something, and hears nothing of the answers.
async fn replay(shared: &Shared, pieces: Vec<Vec<u8>>) {
    let passage = Passage::new(true);
    let Some(mut server) = shared.connect(&passage).await else { return };
    let mut answer = vec![0; 4096];
    for piece in pieces {
        let heard = tokio::time::timeout(REPLAY_PATIENCE, server.read(&mut answer)).await;
        if matches!(heard, Ok(Ok(0) | Err(_))) || server.write_all(&piece).await.is_err() {
            return;
        }
    }
    while let Ok(Ok(1..)) = tokio::time::timeout(REPLAY_PATIENCE, server.read(&mut answer)).await {}
}

#[derive(Clone, Copy)]
struct Pump<'a> {
    number: usize,
    direction: Direction,
    fault: Fault,
    pace: Pace,
    passage: &'a Passage,
    shared: &'a Shared,
}

impl Pump<'_> {
    async fn run(
        self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        mut random: Random,
        keep: Option<&Mutex<Vec<Vec<u8>>>>,
    ) -> Result<(), Cut> {
        let mut buffer = vec![0; 16 * 1024];
        let mut kept = 0;
        loop {
            if !self.pace.join.is_zero() && !self.is_calm() {
                tokio::time::sleep(self.pace.join).await;
            }
            let count = match from.read(&mut buffer).await {
                Ok(0) => {
                    let _ = to.shutdown().await;
                    return Ok(());
                }
                Ok(count) => count,
                // The other side learns of it as it happened.
                Err(_) => return Err(Cut { reset: true }),
            };
            if let Some(memory) = keep {
                kept += count;
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                if kept > REMEMBERED {
                    memory.clear();
                } else {
                    memory.push(buffer[..count].to_vec());
                }
            }
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let calm = self.is_calm();
                let length = if calm { rest.len() } else { rest.len().min(self.pace.piece) };
                let (piece, behind) = rest.split_at(length);
                if !self.pace.delay.is_zero() && !calm {
                    let longest = u64::try_from(self.pace.delay.as_micros()).unwrap_or(u64::MAX);
                    tokio::time::sleep(Duration::from_micros(random.below(longest + 1))).await;
                }
                self.pass(piece, &mut to).await?;
                rest = behind;
            }
        }
    }

    fn is_calm(&self) -> bool {
        self.shared.calm.load(Ordering::SeqCst)
    }

    /// Passes a piece on, as far as its fate lets it.
    async fn pass(&self, piece: &[u8], to: &mut WriteHalf<'_>) -> Result<(), Cut> {
        let counts = &self.shared.counts;
        let done = self.passage.passed(self.direction);
        let (direction, after) = match self.fault {
            Fault::Cut { direction, after, .. }
            | Fault::Stall { direction, after, .. }
            | Fault::Behind { direction, after } => (direction, after),
            Fault::None | Fault::Refuse => return self.write(piece, to).await,
        };
        let length = piece.len() as u64;
        if direction != self.direction || done > after || done + length <= after {
            return self.write(piece, to).await;
        }
        let (before, behind) = piece.split_at(usize::try_from(after - done).unwrap_or(piece.len()));
        self.write(before, to).await?;
        match self.fault {
            Fault::Cut { reset, .. } => {
                let count = if reset { &counts.resets } else { &counts.fins };
                count.fetch_add(1, Ordering::SeqCst);
                return Err(Cut { reset });
            }
            Fault::Stall { pause, reset, .. } => {
                counts.stalls.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(pause).await;
                if let Some(reset) = reset {
                    return Err(Cut { reset });
                }
            }
            Fault::Behind { .. } => self.let_others_pass().await,
            Fault::None | Fault::Refuse => {}
        }
        self.write(behind, to).await
    }

    /// Waits until a connection that came later went through.
    async fn let_others_pass(&self) {
        self.shared.counts.held_back.fetch_add(1, Ordering::SeqCst);
        let end = Instant::now() + HELD_BACK;
        while Instant::now() < end {
            if self.shared.through.load(Ordering::SeqCst) > self.number {
                self.shared.counts.overtaken.fetch_add(1, Ordering::SeqCst);
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn write(&self, octets: &[u8], to: &mut WriteHalf<'_>) -> Result<(), Cut> {
        // Counted one write at a time: what the kernel took may be read even when the next write fails.
        let mut rest = octets;
        while !rest.is_empty() {
            match to.write(rest).await {
                Ok(count @ 1..) => {
                    self.passage.pass(self.direction, count as u64);
                    rest = &rest[count..];
                }
                _ => return Err(Cut { reset: true }),
            }
        }
        Ok(())
    }
}
