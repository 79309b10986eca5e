//! How many queues stand below a domain, and how much is in them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use restante_queue::QueueStore;
use restante_types::{Domain, DomainMap};

use crate::limits::{SUBTREE_AGE, SUBTREE_AGE_FACTOR, SUBTREE_PAGE};
use crate::settings::HeldDomain;

/// Counts for the configured domains with `subdomains = true`, each taken in one walk over its own queues when it is
/// asked for and old: no message pays for more than a look into a table.
#[derive(Debug, Default)]
pub(crate) struct Subtrees {
    counted: Mutex<HashMap<Domain, Tree>>,
}

#[derive(Debug)]
struct Tree {
    at: Instant,
    good_for: Duration,
    queues: HashSet<Domain>,
    bytes: u64,
}

impl Subtrees {
    /// Whether there may be a queue of this name below `top`, of which there are to be at most `most`. A new one counts
    /// from now on.
    pub(crate) fn make_room(
        &self,
        store: &dyn QueueStore,
        domains: &DomainMap<HeldDomain>,
        (top, queue): (&Domain, &Domain),
        most: usize,
        now: Instant,
    ) -> bool {
        let mut counted = self.lock();
        let tree = fresh(&mut counted, store, domains, top, now);
        let known = tree.queues.contains(queue);
        if !known && tree.queues.len() < most {
            return tree.queues.insert(queue.clone());
        }
        known
    }

    /// The same, and nothing counts from now on.
    pub(crate) fn has_room(
        &self,
        store: &dyn QueueStore,
        domains: &DomainMap<HeldDomain>,
        (top, queue): (&Domain, &Domain),
        most: usize,
        now: Instant,
    ) -> bool {
        let mut counted = self.lock();
        let tree = fresh(&mut counted, store, domains, top, now);
        tree.queues.contains(queue) || tree.queues.len() < most
    }

    /// Octets held for `top` and everything below it, as of the last count.
    pub(crate) fn bytes(
        &self,
        store: &dyn QueueStore,
        domains: &DomainMap<HeldDomain>,
        top: &Domain,
        now: Instant,
    ) -> u64 {
        fresh(&mut self.lock(), store, domains, top, now).bytes
    }

    /// Forgets everything: the domains are others now.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Domain, Tree>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The count of one of the configured domains; there are no more of them than are configured.
fn fresh<'a>(
    counted: &'a mut HashMap<Domain, Tree>,
    store: &dyn QueueStore,
    domains: &DomainMap<HeldDomain>,
    top: &Domain,
    now: Instant,
) -> &'a mut Tree {
    let good = counted.remove(top).filter(|tree| now.duration_since(tree.at) < tree.good_for);
    let tree = good.unwrap_or_else(|| count(store, domains, top, now));
    counted.entry(top.clone()).or_insert(tree)
}

fn count(store: &dyn QueueStore, domains: &DomainMap<HeldDomain>, top: &Domain, now: Instant) -> Tree {
    let started = Instant::now();
    let (mut queues, mut bytes, mut after) = (HashSet::new(), store.stats(top).bytes, None);
    loop {
        let page = store.queues_below(top, after.as_ref(), SUBTREE_PAGE);
        let Some(last) = page.last() else { break };
        after = Some(last.domain.clone());
        // What is configured itself, or stands below such a name, counts there.
        let of_top = |name: &Domain| domains.find(name).is_some_and(|(configured, _)| configured == top);
        for stats in page.into_iter().filter(|stats| of_top(&stats.domain)) {
            bytes += stats.bytes;
            queues.insert(stats.domain);
        }
    }
    let good_for = SUBTREE_AGE.max(started.elapsed() * SUBTREE_AGE_FACTOR);
    Tree { at: now, good_for, queues, bytes }
}
