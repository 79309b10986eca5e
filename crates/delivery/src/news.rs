//! What an operator, or the owner of a domain, wants to be told about delivery: each once per change.

use restante_types::Domain;

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The primary could not be reached several times in a row.
    PrimaryDown {
        /// Whose.
        domain: Domain,
        /// What was said last, by it or for it.
        why: String,
    },
    /// It takes mail again.
    PrimaryUp {
        /// Whose.
        domain: Domain,
    },
    /// The domain leads to ourselves or takes no mail: it is stopped until it is released.
    Misrouted {
        /// Which.
        domain: Domain,
        /// What was found.
        why: String,
    },
    /// The primary refused too much for good: the domain is stopped until it is released, and nothing is bounced.
    CircuitOpen {
        /// Which.
        domain: Domain,
        /// How much of how much, and what was said last.
        why: String,
    },
}

/// Is told. Must not wait: it is called from the middle of a drain.
pub trait Witness: Send + Sync + 'static {
    /// Something changed.
    fn tell(&self, news: News);

    /// A notice of this kind (`failed`, `delayed`, `relayed`) was queued, or is `dead`: kept for the domain's owner.
    fn notice(&self, _kind: &'static str, _dead: bool) {}
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Witness for Nobody {
    fn tell(&self, _: News) {}
}
