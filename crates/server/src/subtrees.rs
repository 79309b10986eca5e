//! How many queues stand below a domain, and how much is in them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use restante_queue::QueueStore;
use restante_types::Domain;

use crate::limits::{SUBTREE_AGE, SUBTREE_PAGE};

/// Counts per configured domain with `subdomains = true`, taken again when they are old: a walk over all queues is
/// nothing for the way of each message.
#[derive(Debug, Default)]
pub(crate) struct Subtrees {
    counted: Mutex<HashMap<Domain, Counted>>,
}

#[derive(Debug)]
struct Counted {
    at: Instant,
    queues: HashSet<Domain>,
    bytes: u64,
}

impl Subtrees {
    /// Whether mail for `queue` would make no more than `most` queues below `top`. It counts as made from then on.
    pub(crate) fn has_room(
        &self,
        store: &dyn QueueStore,
        (top, queue): (&Domain, &Domain),
        most: usize,
        now: Instant,
    ) -> bool {
        self.with(store, top, now, |counted| {
            if counted.queues.contains(queue) {
                return true;
            }
            let room = counted.queues.len() < most;
            if room {
                counted.queues.insert(queue.clone());
            }
            room
        })
    }

    /// Octets held for `top` and everything below it, at most [`SUBTREE_AGE`] ago.
    pub(crate) fn bytes(&self, store: &dyn QueueStore, top: &Domain, now: Instant) -> u64 {
        self.with(store, top, now, |counted| counted.bytes)
    }

    fn with<T>(
        &self,
        store: &dyn QueueStore,
        top: &Domain,
        now: Instant,
        look: impl FnOnce(&mut Counted) -> T,
    ) -> T {
        let mut all = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = all.get_mut(top).filter(|counted| now.duration_since(counted.at) < SUBTREE_AGE)
        {
            return look(counted);
        }
        let mut counted = count(store, top, now);
        let answer = look(&mut counted);
        all.insert(top.clone(), counted);
        answer
    }

    /// Forgets everything: the domains are others now.
    pub(crate) fn clear(&self) {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn count(store: &dyn QueueStore, top: &Domain, at: Instant) -> Counted {
    let mut counted = Counted { at, queues: HashSet::new(), bytes: 0 };
    let mut after: Option<Domain> = None;
    loop {
        let page = store.stats_page(after.as_ref(), SUBTREE_PAGE);
        let Some(last) = page.last() else { return counted };
        after = Some(last.domain.clone());
        for stats in page {
            if stats.domain == *top {
                counted.bytes += stats.bytes;
            } else if stats.domain.is_below(top) {
                counted.bytes += stats.bytes;
                counted.queues.insert(stats.domain);
            }
        }
    }
}
