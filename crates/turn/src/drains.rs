//! Drains over turned connections, and how they are ended from outside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use restante_types::Domain;
use tokio::sync::watch;
use tokio::time::timeout;

/// The drains over turned connections that run now. A clone is the same registry.
///
/// A customer whose line was lost redials while we still wait for its dead socket: [`Drains::give_way`] ends what the
/// same identity left behind, and whatever drain of these domains has not been greeted yet.
#[derive(Debug, Clone, Default)]
pub struct Drains(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    running: HashMap<u64, Running>,
}

#[derive(Debug)]
struct Running {
    identity: String,
    domains: Vec<Domain>,
    greeted: bool,
    cancel: watch::Sender<bool>,
}

/// A drain that runs, for whoever runs it. Dropping it takes it off the registry: drop it after its leases.
#[derive(Debug)]
pub struct RunningDrain {
    id: u64,
    drains: Drains,
    cancelled: watch::Receiver<bool>,
}

impl Drains {
    /// Enters a drain. At most one per connection, so the listeners' limits bound the registry.
    #[must_use]
    pub fn begin(&self, identity: &str, domains: Vec<Domain>) -> RunningDrain {
        let (cancel, cancelled) = watch::channel(false);
        let running = Running { identity: identity.to_owned(), domains, greeted: false, cancel };
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.running.insert(id, running);
        RunningDrain { id, drains: self.clone(), cancelled }
    }

    /// [2645-redial] Ends the drains that a new request of this identity for these domains takes the place of, and waits, at most
    /// `patience`, until they have given their leases back. False when one of them still runs then.
    pub async fn give_way(&self, identity: &str, domains: &[Domain], patience: Duration) -> bool {
        let ending = self.cancel(|running| {
            let meets = running.domains.iter().any(|domain| domains.contains(domain));
            meets && (running.identity == identity || !running.greeted)
        });
        let gone = async {
            for cancel in ending {
                cancel.closed().await;
            }
        };
        timeout(patience, gone).await.is_ok()
    }

    /// Whether a drain of this domain runs that another identity called for.
    #[must_use]
    pub fn is_anothers(&self, identity: &str, domain: &Domain) -> bool {
        let state = self.lock();
        state.running.values().any(|one| one.identity != identity && one.domains.contains(domain))
    }

    /// Ends every drain for which `may` is false for one of its domains: called when accounts lost rights. Returns how
    /// many there were.
    pub fn end_unless(&self, may: impl Fn(&str, &Domain) -> bool) -> usize {
        self.cancel(|running| !running.domains.iter().all(|domain| may(&running.identity, domain))).len()
    }

    /// How many run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().running.len()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn cancel(&self, which: impl Fn(&Running) -> bool) -> Vec<watch::Sender<bool>> {
        let state = self.lock();
        let ending = state.running.values().filter(|running| which(running));
        let tell = |running: &Running| {
            running.cancel.send_replace(true);
            running.cancel.clone()
        };
        ending.map(tell).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningDrain {
    /// Waits until the drain is to end at once. Cancel safe.
    pub async fn cancelled(&mut self) {
        let told = self.cancelled.wait_for(|cancelled| *cancelled).await.is_ok();
        if !told {
            // The registry holds the other end as long as we are in it.
            std::future::pending::<()>().await;
        }
    }

    /// Whether it is to end at once.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// The customer has greeted: from now on only its own identity takes its place.
    pub fn greeted(&self) {
        if let Some(running) = self.drains.lock().running.get_mut(&self.id) {
            running.greeted = true;
        }
    }
}

impl Drop for RunningDrain {
    fn drop(&mut self) {
        self.drains.lock().running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn names(texts: &[&str]) -> Vec<Domain> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// [2645-redial]
    #[tokio::test]
    async fn a_redial_ends_the_drain_before_it_and_waits_for_its_end() {
        let drains = Drains::default();
        let mut old = drains.begin("customer", names(&["a.example", "b.example"]));
        old.greeted();
        let ended = tokio::spawn(async move {
            old.cancelled().await;
            drop(old);
        });
        assert!(drains.give_way("customer", &names(&["b.example"]), SOON).await);
        ended.await.unwrap();
        assert!(drains.is_empty());
    }

    /// [2645-redial] Who shares a domain waits for a drain that is under way, and takes the place of one that is not.
    #[tokio::test]
    async fn a_drain_that_was_greeted_gives_way_to_its_own_identity_only() {
        let drains = Drains::default();
        let old = drains.begin("customer", names(&["a.example"]));
        old.greeted();
        assert!(drains.give_way("other", &names(&["a.example"]), SOON).await);
        assert!(!old.is_cancelled());
        let [domain] = &names(&["a.example"])[..] else { unreachable!() };
        assert!(drains.is_anothers("other", domain) && !drains.is_anothers("customer", domain));
        let young = drains.begin("customer", names(&["b.example"]));
        assert!(!drains.give_way("other", &names(&["b.example"]), Duration::from_millis(10)).await);
        assert!(young.is_cancelled() && !old.is_cancelled());
    }

    #[tokio::test]
    async fn a_drain_ends_with_the_right_to_it() {
        let drains = Drains::default();
        let both = drains.begin("customer", names(&["a.example", "b.example"]));
        let mut other = drains.begin("other", names(&["c.example"]));
        assert_eq!(drains.end_unless(|_, domain| domain.as_str() != "b.example"), 1);
        assert!(both.is_cancelled() && !other.is_cancelled());
        assert!(timeout(Duration::from_millis(10), other.cancelled()).await.is_err());
    }
}
