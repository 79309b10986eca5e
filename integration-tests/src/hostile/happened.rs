//! What a proxy did to the connections through it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What happened to the connections so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicUsize,
    pub(super) refused: AtomicUsize,
    pub(super) fins: AtomicUsize,
    pub(super) resets: AtomicUsize,
    pub(super) stalls: AtomicUsize,
    pub(super) held_back: AtomicUsize,
    pub(super) overtaken: AtomicUsize,
    pub(super) shaped: AtomicUsize,
    pub(super) replays: AtomicUsize,
}

impl Counts {
    pub(super) fn read(&self) -> Happened {
        let Self { connections, refused, fins, resets, stalls, held_back, overtaken, shaped, replays } = self;
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        Happened {
            connections: count(connections),
            refused: count(refused),
            fins: count(fins),
            resets: count(resets),
            stalls: count(stalls),
            held_back: count(held_back),
            overtaken: count(overtaken),
            shaped: count(shaped),
            replays: count(replays),
        }
    }
}

/// What happened to connections so far, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Happened {
    /// Connections that came.
    pub connections: usize,
    /// Not let through.
    pub refused: usize,
    /// Cut by FIN.
    pub fins: usize,
    /// Cut by RST.
    pub resets: usize,
    /// Stood still for a while.
    pub stalls: usize,
    /// Held back for others.
    pub held_back: usize,
    /// Of those, how many went on behind a connection that came later.
    pub overtaken: usize,
    /// Delayed, split or joined.
    pub shaped: usize,
    /// Said again.
    pub replays: usize,
}

impl Happened {
    /// With what happened elsewhere.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            refused: self.refused + other.refused,
            fins: self.fins + other.fins,
            resets: self.resets + other.resets,
            stalls: self.stalls + other.stalls,
            held_back: self.held_back + other.held_back,
            overtaken: self.overtaken + other.overtaken,
            shaped: self.shaped + other.shaped,
            replays: self.replays + other.replays,
        }
    }

    /// Connections that met a fault.
    #[must_use]
    pub const fn faults(&self) -> usize {
        self.refused + self.fins + self.resets + self.stalls + self.held_back
    }

    /// Whether each kind of fault happened, and what was held back went on behind what came later.
    #[must_use]
    pub fn has_each(&self) -> bool {
        let Self { connections: _, refused, fins, resets, stalls, held_back, overtaken, shaped, replays } =
            *self;
        [refused, fins, resets, stalls, held_back, overtaken, shaped, replays].iter().all(|count| *count > 0)
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, refused, fins, resets, stalls, held_back, overtaken, shaped, replays } = self;
        write!(
            out,
            "{connections} connections: {refused} refused, {fins} cut by FIN, {resets} by RST, {stalls} stalled, \
             {held_back} held back ({overtaken} until a later one was through), {shaped} delayed, split or joined, \
             {replays} repeated"
        )
    }
}
