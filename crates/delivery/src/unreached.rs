//! Drains to a primary that has not been reached: they give way to a customer that calls.
//!
//! A primary that is dead, or was never meant to be connected to, is tried for minutes; meanwhile its lease must not
//! keep a customer from its mail that stands at the door.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use restante_types::Domain;
use tokio::sync::watch;
use tokio::time::timeout;

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No server was ready for mail yet.
    Trying,
    /// A message was taken up: it is not cut any more.
    Reached,
    /// It must end.
    GaveWay,
}

/// The drains that run over connections of our own. A clone is the same registry. Bounded by the drains at one time.
#[derive(Debug, Clone, Default)]
pub struct Unreached(Arc<Mutex<HashMap<Domain, watch::Sender<Stage>>>>);

/// A drain in the registry; dropped when its lease is back.
pub(crate) struct Trying {
    domain: Domain,
    registry: Unreached,
    stage: watch::Receiver<Stage>,
}

/// A courier's end of it.
#[derive(Clone)]
pub(crate) struct Reach {
    domain: Domain,
    registry: Unreached,
    /// So that only the first message of a drain costs a look into the registry.
    done: Arc<AtomicBool>,
}

impl Unreached {
    /// [2645-unreached] Ends the drains of these domains that have not reached their primary, and waits, at most `patience`, until
    /// their leases are back.
    pub async fn give_way(&self, domains: &[Domain], patience: Duration) {
        let ending: Vec<watch::Sender<Stage>> = {
            let registry = self.lock();
            let known = domains.iter().filter_map(|domain| registry.get(domain));
            known.filter(|stage| advance(stage, Stage::GaveWay)).cloned().collect()
        };
        let gone = async {
            for stage in ending {
                stage.closed().await;
            }
        };
        // What is not back by then is still busy, and is found so.
        let _in_time = timeout(patience, gone).await;
    }

    pub(crate) fn enter(&self, domain: &Domain) -> Trying {
        let (sender, stage) = watch::channel(Stage::Trying);
        self.lock().insert(domain.clone(), sender);
        Trying { domain: domain.clone(), registry: self.clone(), stage }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Domain, watch::Sender<Stage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From trying to this; whether it is this now.
fn advance(stage: &watch::Sender<Stage>, to: Stage) -> bool {
    stage.send_if_modified(|stage| {
        let trying = *stage == Stage::Trying;
        if trying {
            *stage = to;
        }
        trying
    });
    *stage.borrow() == to
}

impl Trying {
    pub(crate) fn reach(&self) -> Reach {
        Reach { domain: self.domain.clone(), registry: self.registry.clone(), done: Arc::default() }
    }

    /// Ready when the drain has to give way.
    pub(crate) async fn gave_way(&self) {
        let told = self.stage.clone().wait_for(|stage| *stage == Stage::GaveWay).await.is_ok();
        if !told {
            // The registry holds the other end as long as we are in it.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.domain);
    }
}

impl Reach {
    /// A server is ready; false when the drain gave way before.
    pub(crate) fn reached(&self) -> bool {
        if self.done.load(Ordering::Relaxed) {
            return true;
        }
        let reached =
            self.registry.lock().get(&self.domain).is_none_or(|stage| advance(stage, Stage::Reached));
        self.done.store(reached, Ordering::Relaxed);
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// [2645-unreached]
    #[tokio::test]
    async fn only_who_has_reached_nobody_gives_way() {
        let unreached = Unreached::default();
        let names: Vec<Domain> =
            ["a.example", "b.example", "c.example"].map(|name| name.parse().unwrap()).into();
        let (trying, reached) = (unreached.enter(&names[0]), unreached.enter(&names[1]));
        let (late, early) = (trying.reach(), reached.reach());
        assert!(early.reached());
        let ended = tokio::spawn(async move {
            trying.gave_way().await;
            drop(trying);
        });
        unreached.give_way(&names, SOON).await;
        ended.await.unwrap();
        assert!(!unreached.lock().contains_key(&names[0]));
        assert!(late.reached(), "another drain of the domain may go");
        assert!(timeout(Duration::from_millis(10), reached.gave_way()).await.is_err());
        let stubborn = unreached.enter(&names[0]);
        unreached.give_way(&names, Duration::from_millis(10)).await;
        assert!(!stubborn.reach().reached(), "nothing is taken up any more");
    }
}
