//! Connections that are turned: what must be had before the yes, and who gets them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use restante_net::{Reversal, Stream};
use restante_queue::{DomainLease, DrainCause, LeaseAnswer, QueueStore};
use restante_turn::{Drains, RunningDrain};
use restante_types::{Domain, Reply};
use tokio::sync::mpsc::{OwnedPermit, Sender};

use crate::authority::Collect;
use crate::events;
use crate::limits::{GIVE_WAY, QUEUES_OF_A_CALL};
use crate::replies;
use crate::slots::Slot;

/// A connection that was turned: its client waits, as a server, to be sent the mail of these domains.
///
/// What is in it is dropped in this order: the drain leaves its registry when the leases are back.
#[derive(Debug)]
pub struct Turned {
    /// It. The yes is out, and nothing came behind the command.
    pub stream: Stream,
    /// Whose mail it is.
    pub identity: String,
    /// [`DrainCause::Atrn`] or [`DrainCause::Turn`].
    pub cause: DrainCause,
    /// The domains; none where nothing is held and TURN was granted all the same.
    pub leases: Vec<DomainLease>,
    /// Tells when it is to end; wants to know when the customer has greeted.
    pub drain: RunningDrain,
    /// Its place among the connections of its listener; kept for as long as it stands.
    pub place: Place,
}

/// A connection's place among those of its listener; free again when dropped.
pub struct Place(#[expect(dead_code, reason = "held for its Drop")] pub(crate) Option<Slot>);

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// Everything that a yes stands for, until the stream is there.
pub(crate) struct Ready {
    identity: String,
    cause: DrainCause,
    leases: Vec<DomainLease>,
    drain: RunningDrain,
    permit: OwnedPermit<Turned>,
}

impl Ready {
    /// Hands the connection over.
    pub(crate) fn go(self, stream: Stream, place: Place) {
        let Self { identity, cause, leases, drain, permit } = self;
        permit.send(Turned { stream, identity, cause, leases, drain, place });
    }
}

/// Drains that we began by ourselves, or because somebody asked, over connections of our own.
pub trait Others: Send + Sync + 'static {
    /// Ends those of these domains that have not reached anybody, and waits a while until their leases are back.
    fn give_way<'a>(
        &'a self,
        domains: &'a [Domain],
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// Takes leases, and hands connections over.
pub(crate) struct Turning {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) drains: Drains,
    pub(crate) others: Arc<dyn Others>,
    pub(crate) calls: Sender<Turned>,
}

/// What was got of the domains that were wanted.
#[derive(Default)]
struct Got {
    leases: Vec<DomainLease>,
    held: usize,
    busy: usize,
    failed: bool,
}

impl Turning {
    /// Gets everything ready for a client that may collect.
    ///
    /// # Errors
    /// The refusal: for ATRN 451 [2645-7-451], for TURN 502.
    pub(crate) async fn prepare(
        &self,
        wanted: &Reversal,
        collect: Collect,
        may: impl Fn(&str, &Domain) -> bool,
    ) -> Result<Ready, Reply> {
        let (cause, refusal) = match wanted {
            Reversal::Atrn(_) => (DrainCause::Atrn, replies::not_now()),
            Reversal::Turn => (DrainCause::Turn, replies::no_turn()),
        };
        let Collect { identity, mut domains } = collect;
        // With the oldest first, what is left out is what can best wait for the next call.
        domains.truncate(QUEUES_OF_A_CALL);
        let Ok(permit) = self.calls.clone().try_reserve_owned() else {
            events::not_turned(&identity, cause, "too many");
            return Err(refusal);
        };
        // [2645-redial] The customer's earlier drain may still wait for a line that is dead.
        self.drains.give_way(&identity, &domains, GIVE_WAY).await;
        self.others.give_way(&domains, GIVE_WAY).await;
        let drain = self.drains.begin(&identity, domains.clone());
        // [4954-9-revoked] A right that was taken away while the earlier drain was waited for: this one was not in the
        // registry then, and from here on it is.
        if !domains.iter().all(|domain| may(&identity, domain)) {
            events::not_turned(&identity, cause, "no longer allowed");
            return Err(refusal);
        }
        let got = self.lease(&identity, &domains, cause).await;
        if got.leases.is_empty() && !domains.is_empty() {
            let why = if got.failed {
                "store"
            } else if got.busy > 0 {
                "busy"
            } else {
                "held"
            };
            events::not_turned(&identity, cause, why);
            return Err(refusal);
        }
        Ok(Ready { identity, cause, leases: got.leases, drain, permit })
    }

    /// Leases of the domains that are free. The mail of one that somebody else is at is under way already.
    async fn lease(&self, identity: &str, domains: &[Domain], cause: DrainCause) -> Got {
        let mut got = Got::default();
        for domain in domains {
            let other = self.store.stats(domain).draining;
            // The store lets a turned drain take the place of another, which is right for one of its own that did not
            // end in time: whoever else runs one now was greeted, and is not to be cut.
            let turned = |cause| matches!(cause, DrainCause::Atrn | DrainCause::Turn);
            let own = |cause| turned(cause) && !self.drains.is_anothers(identity, domain);
            if other.is_some_and(|other| !own(other.cause)) {
                got.busy += 1;
                continue;
            }
            match self.store.lease(domain, cause).await {
                Ok(LeaseAnswer::Leased(lease)) => got.leases.push(lease),
                Ok(LeaseAnswer::Busy) => got.busy += 1,
                Ok(LeaseAnswer::Held) => got.held += 1,
                Err(error) => {
                    events::lease_failed(domain, cause, &error);
                    got.failed = true;
                }
            }
        }
        got
    }
}
