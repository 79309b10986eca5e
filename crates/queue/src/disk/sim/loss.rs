//! What a loss of power leaves of what was not synced: for the disk in memory, and for the tests from outside, which look
//! at what was really written.

use rand::Rng;
use rand::rngs::StdRng;

/// The least that a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// What a loss of power leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing of it.
    All,
    /// All of it.
    None,
    /// What was done before some moment, the last change torn.
    Suffix,
    /// Any sectors, any entries, any lengths.
    Random,
}

impl Loss {
    pub(crate) const EVERY: [Self; 4] = [Self::All, Self::None, Self::Suffix, Self::Random];

    /// Whether a piece of what was done then is left; `cut` is the moment, `chance` that of any piece.
    pub(crate) fn keeps<T: Ord>(self, then: T, cut: T, chance: f64, rng: &mut StdRng) -> bool {
        match self {
            Self::All => false,
            Self::None => true,
            Self::Suffix if then == cut => rng.random_bool(0.5),
            Self::Suffix => then < cut,
            Self::Random => rng.random_bool(chance),
        }
    }
}

/// A change of a file's octets.
#[derive(Debug, Clone)]
pub(crate) enum FileChange {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Punch(u64, u64),
}

impl FileChange {
    pub(crate) fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let (from, to) = (*offset as usize, *offset as usize + data.len());
                if octets.len() < to {
                    octets.resize(to, 0);
                }
                octets[from..to].copy_from_slice(data);
            }
            Self::SetLen(len) => octets.resize(*len as usize, 0),
            Self::Punch(from, len) => {
                let to = (from + len).min(octets.len() as u64) as usize;
                octets[(*from as usize).min(to)..to].fill(0);
            }
        }
    }

    /// Cuts a write at the borders of sectors.
    fn pieces(&self) -> Vec<Self> {
        let Self::Write(offset, data) = self else { return vec![self.clone()] };
        let (mut all, mut at) = (Vec::new(), 0);
        while at < data.len() {
            let here = offset + at as u64;
            let step = ((SECTOR - here % SECTOR) as usize).min(data.len() - at);
            all.push(Self::Write(here, data[at..at + step].to_vec()));
            at += step;
        }
        all
    }
}

/// What is found of a file: what was synced, and of what was not whatever `keep` lets stand.
pub(crate) fn found<T: Copy>(
    durable: &[u8],
    pending: &[(T, FileChange)],
    mut keep: impl FnMut(T) -> bool,
) -> Vec<u8> {
    let mut octets = durable.to_vec();
    for (then, change) in pending {
        for piece in change.pieces() {
            if keep(*then) {
                piece.apply(&mut octets);
            }
        }
    }
    octets
}
