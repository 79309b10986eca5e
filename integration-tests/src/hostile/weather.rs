//! How bad the network is, and what a connection meets in it.

use std::time::Duration;

use super::{Direction, Random};

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// What everything at random follows from.
    pub seed: u64,
    /// Of a hundred connections, so many meet a fault.
    pub faulty: u64,
    /// Of a hundred connections, so many are repeated.
    pub replayed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Refuse,
    Cut {
        direction: Direction,
        after: u64,
        reset: bool,
    },
    /// Nothing is passed on for this long; then the connection is cut, or goes on.
    Stall {
        direction: Direction,
        after: u64,
        pause: Duration,
        reset: Option<bool>,
    },
    /// Nothing is passed on until a connection that came later went through, or as long as that may take.
    Behind {
        direction: Direction,
        after: u64,
    },
}

/// The kinds of fault.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Shape,
    Refuse,
    Fin,
    Reset,
    Stall,
    Behind,
}

/// Which connection that is to meet a fault meets which; the next twenty likewise.
const TURNS: [Kind; 20] = [
    Kind::Fin,
    Kind::Behind,
    Kind::Reset,
    Kind::Shape,
    Kind::Stall,
    Kind::Fin,
    Kind::Reset,
    Kind::Shape,
    Kind::Refuse,
    Kind::Fin,
    Kind::Reset,
    Kind::Stall,
    Kind::Behind,
    Kind::Shape,
    Kind::Fin,
    Kind::Reset,
    Kind::Stall,
    Kind::Shape,
    Kind::Fin,
    Kind::Reset,
];

/// How segments travel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Octets of one piece at most.
    pub(super) piece: usize,
    /// Before each piece, at most.
    pub(super) delay: Duration,
    /// What comes within this time is joined.
    pub(super) join: Duration,
}

impl Pace {
    /// As it comes.
    pub(super) const PLAIN: Self = Self { piece: usize::MAX, delay: Duration::ZERO, join: Duration::ZERO };

    pub(super) fn is_shaped(&self) -> bool {
        self.piece != usize::MAX || !self.join.is_zero()
    }
}

/// What a connection meets that is to meet a fault, in its turn.
pub(super) fn fate(turn: usize, random: &mut Random) -> (Fault, Pace) {
    let direction = if random.percent(50) { Direction::Up } else { Direction::Down };
    // Most answers of a dialogue are within the first few hundred octets, most mail within some thousand.
    let after = match direction {
        Direction::Up if random.percent(30) => random.below(300),
        Direction::Up => random.below(40_000),
        Direction::Down => random.below(900),
    };
    let millis = |random: &mut Random, below| Duration::from_millis(random.below(below));
    let fault = match TURNS[turn % TURNS.len()] {
        Kind::Shape => Fault::None,
        Kind::Refuse => Fault::Refuse,
        Kind::Fin => Fault::Cut { direction, after, reset: false },
        Kind::Reset => Fault::Cut { direction, after, reset: true },
        Kind::Stall => {
            let reset = random.percent(60).then(|| random.percent(50));
            Fault::Stall { direction, after, pause: millis(random, 2500), reset }
        }
        // Where there is something for sure: the greeting, or what is said first.
        Kind::Behind => Fault::Behind { direction, after: after % 120 },
    };
    let pace = match random.below(4) {
        0 => Pace { piece: 1 + usize::try_from(random.below(7)).expect("below 7"), ..Pace::PLAIN },
        1 => Pace {
            piece: 1 + usize::try_from(random.below(600)).expect("below 600"),
            delay: millis(random, 8),
            ..Pace::PLAIN
        },
        2 => Pace { delay: millis(random, 60), join: millis(random, 60), ..Pace::PLAIN },
        _ => Pace::PLAIN,
    };
    (fault, pace)
}
