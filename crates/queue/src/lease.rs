//! One drain at a time per domain, and what it reports.

use std::fmt;
use std::sync::Arc;

use restante_types::{Domain, QueueId, Reply, UnixMillis};

/// Why a drain is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DrainCause {
    /// RFC 1985.
    Etrn,
    /// RFC 2645.
    Atrn,
    /// RFC 821, authenticated.
    Turn,
    /// The operator.
    Flush,
    /// `mode = "push"`: new mail, or a retry that is due.
    Schedule,
    /// The primary answers again after an outage: everything for it goes.
    Returned,
}

impl fmt::Display for DrainCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Etrn => "etrn",
            Self::Atrn => "atrn",
            Self::Turn => "turn",
            Self::Flush => "flush",
            Self::Schedule => "schedule",
            Self::Returned => "returned",
        })
    }
}

/// Somebody wants this domain's mail to flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainRequest {
    /// Whose.
    pub domain: Domain,
    /// Why.
    pub cause: DrainCause,
}

/// What `start_drain` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Messages waiting (not recipients), those of a running drain included.
    pub messages: u64,
    /// A drain was running already; its holder looks once more before it ends.
    pub running: bool,
}

/// Which of a domain's entries a drain takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything that waits, whatever its next attempt (the primary or the operator asked).
    All,
    /// Only what is due by this time.
    DueBy(UnixMillis),
}

/// The right to drain one domain. Dropping it gives the domain back; `end_lease` also records what happened.
pub struct DomainLease {
    domain: Domain,
    generation: u64,
    /// Gives the domain back when the last clone goes; what it is is the store's business.
    #[expect(dead_code, reason = "held for its Drop")]
    guard: Arc<dyn Send + Sync>,
}

impl DomainLease {
    /// For stores, also those outside this crate: `guard` gives the domain back when it is dropped.
    #[must_use]
    pub fn new(domain: Domain, generation: u64, guard: Arc<dyn Send + Sync>) -> Self {
        Self { domain, generation, guard }
    }

    /// The domain it is for.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Grows with every lease of the domain; a store refuses what an older one settles.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Debug for DomainLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainLease({} #{})", self.domain, self.generation)
    }
}

/// The answer to `lease`.
#[derive(Debug)]
pub enum LeaseAnswer {
    /// Yours.
    Leased(DomainLease),
    /// Another drain is at it; it has been told to look once more.
    Busy,
    /// The operator stopped the domain, or it is orphaned.
    Held,
}

/// What became of one recipient in one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx after the content: the next hop took responsibility.
    Delivered,
    /// Stays in the queue.
    Deferred {
        /// What was said.
        reply: Reply,
        /// When to try on our own again, if at all.
        next_attempt: Option<UnixMillis>,
    },
    /// 5xx to the recipient or after the content: parked.
    Failed {
        /// What was said.
        reply: Reply,
    },
}

/// The outcomes of one entry in one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which message.
    pub id: QueueId,
    /// Index into the envelope's recipients, and what became of it. Recipients not named stay as they are.
    pub outcomes: Vec<(u16, Outcome)>,
}

/// What a drain did, recorded when its lease ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrainReport {
    /// One line for `status`: `delivered all`, `450 4.4.1 connection refused by [192.0.2.1]:25`.
    pub result: String,
    /// The whole domain is not tried on our own before this (a dead primary is not asked once per message).
    pub not_before: Option<UnixMillis>,
    /// No way leads to the primary but through ourselves: the domain is parked as misrouted until released.
    pub misrouted: bool,
}
