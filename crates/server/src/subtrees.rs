//! How many queues stand below a domain, and how much is in them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use restante_queue::QueueStore;
use restante_types::{Domain, DomainMap};

use crate::limits::{SUBTREE_AGE, SUBTREE_AGE_FACTOR, SUBTREE_PAGE};
use crate::settings::HeldDomain;

/// Counts for all configured domains with `subdomains = true`, taken in one walk over the queues when they are asked
/// for and old: no message pays for more than a look into a table.
#[derive(Debug, Default)]
pub(crate) struct Subtrees {
    counted: Mutex<Option<Counted>>,
}

#[derive(Debug)]
struct Counted {
    at: Instant,
    good_for: Duration,
    trees: HashMap<Domain, Tree>,
}

#[derive(Debug, Default)]
struct Tree {
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
        let trees = fresh(&mut counted, store, domains, now);
        let tree = trees.entry(top.clone()).or_default();
        let known = tree.queues.contains(queue);
        if !known && tree.queues.len() < most {
            return tree.queues.insert(queue.clone());
        }
        known
    }

    /// Octets held for `top` and everything below it, as of the last count.
    pub(crate) fn bytes(
        &self,
        store: &dyn QueueStore,
        domains: &DomainMap<HeldDomain>,
        top: &Domain,
        now: Instant,
    ) -> u64 {
        fresh(&mut self.lock(), store, domains, now).get(top).map_or(0, |tree| tree.bytes)
    }

    /// Forgets everything: the domains are others now.
    pub(crate) fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh<'a>(
    counted: &'a mut Option<Counted>,
    store: &dyn QueueStore,
    domains: &DomainMap<HeldDomain>,
    now: Instant,
) -> &'a mut HashMap<Domain, Tree> {
    let good = counted.take().filter(|counted| now.duration_since(counted.at) < counted.good_for);
    let good = good.unwrap_or_else(|| {
        let started = Instant::now();
        let trees = count(store, domains);
        let good_for = SUBTREE_AGE.max(started.elapsed() * SUBTREE_AGE_FACTOR);
        Counted { at: now, good_for, trees }
    });
    &mut counted.insert(good).trees
}

fn count(store: &dyn QueueStore, domains: &DomainMap<HeldDomain>) -> HashMap<Domain, Tree> {
    let mut trees: HashMap<Domain, Tree> = HashMap::new();
    let mut after: Option<Domain> = None;
    loop {
        let page = store.stats_page(after.as_ref(), SUBTREE_PAGE);
        let Some(last) = page.last() else { return trees };
        after = Some(last.domain.clone());
        for stats in page {
            let Some((top, _)) = domains.find(&stats.domain).filter(|(_, held)| held.subdomains) else {
                continue;
            };
            let tree = trees.entry(top.clone()).or_default();
            tree.bytes += stats.bytes;
            if stats.domain != *top {
                tree.queues.insert(stats.domain);
            }
        }
    }
}
