//! What is known of one connection through the proxy: how much of it was passed on, and how it ended.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// From whoever connected to whoever listens, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// One connection through the proxy.
#[derive(Debug)]
pub struct Passage {
    /// Octets passed on from client to server.
    up: AtomicU64,
    /// Octets passed on from server to client.
    down: AtomicU64,
    cut: AtomicBool,
    reset: AtomicBool,
    /// When it was accepted.
    pub began: Instant,
    /// The address that the server sees.
    source: OnceLock<SocketAddr>,
    /// Whether it is a dialogue said again, whose answers nobody hears.
    pub replay: bool,
}

impl Passage {
    pub(super) fn new(replay: bool) -> Arc<Self> {
        let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
        let (cut, reset) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { up, down, cut, reset, began: Instant::now(), source: OnceLock::new(), replay })
    }

    const fn count(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// It goes on to the server from here.
    pub(super) fn starts_at(&self, source: SocketAddr) {
        let _ = self.source.set(source);
    }

    /// The address that the server sees, as its log writes it.
    #[must_use]
    pub fn source(&self) -> String {
        self.source.get().map(SocketAddr::to_string).unwrap_or_default()
    }

    /// So many octets more were passed on.
    pub(super) fn pass(&self, direction: Direction, octets: u64) {
        self.count(direction).fetch_add(octets, Ordering::SeqCst);
    }

    /// The proxy ended it.
    pub(super) fn cut(&self, reset: bool) {
        self.cut.store(true, Ordering::SeqCst);
        self.reset.store(reset, Ordering::SeqCst);
    }

    /// Octets that were passed on in this direction.
    #[must_use]
    pub fn passed(&self, direction: Direction) -> u64 {
        self.count(direction).load(Ordering::SeqCst)
    }

    /// Whether the proxy ended it.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Whether the proxy ended it by RST, which may overtake what was passed on before.
    #[must_use]
    pub fn was_reset(&self) -> bool {
        self.reset.load(Ordering::SeqCst)
    }
}
