//! Faults on purpose: a disk that loses power, a process that is killed, calls that fail, bits that flip; and the
//! account of every message over all of it.

mod account;
mod calls;

mod mounts;
mod power_disk;
mod traffic;
mod volatile;

pub use account::{Account, Sums};
pub use calls::{Call, FailingCalls};

pub use mounts::{FileSystem, LoopMount, may_mount};
pub use power_disk::PowerDisk;
pub use traffic::{Recipient, Traffic, body_of};
pub use volatile::{Loss, Snapshot};

/// Chance with a seed (splitmix64): the same seed, the same faults.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Begins with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True in so many of 100 cases.
    pub const fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// A number from the environment, or this one.
///
/// # Panics
/// When it is there and no number.
#[must_use]
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// Where the chances of a run begin: `RESTANTE_SEED`, else the clock. Printed, so that it can be given again.
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("RESTANTE_SEED", clock.map_or(0, |since| u64::from(since.subsec_nanos())));
    say(&format!("RESTANTE_SEED={seed}"));
    seed
}

/// Tells what happens, past the test harness, which keeps what a passing test prints.
pub fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}
