//! How many notices are kept that may not be sent: strangers decide how many there could be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_queue::QueueStore;
use restante_types::{DeliveryState, Domain, NOTICES, UnixMillis};

use crate::limits::{DEAD_NOTICES, HOUSEKEEPING_DOMAINS};
use crate::sync::lock;

/// How long a count is good for: what is let go or purged meanwhile makes room a little later.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// Counts them now and then, and those that are added in between one by one. A clone counts the same.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    counted: Arc<Mutex<Option<(UnixMillis, u64)>>>,
    most: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self::at_most(DEAD_NOTICES)
    }
}

impl Kept {
    pub(super) fn at_most(most: u64) -> Self {
        Self { counted: Arc::default(), most }
    }

    /// Whether one more may be kept; it counts from now on.
    pub(super) fn make_room(&self, store: &dyn QueueStore, now: UnixMillis) -> bool {
        let mut counted = lock(&self.counted);
        let fresh = counted.filter(|(at, _)| now >= *at && now.since(*at) < GOOD_FOR);
        let (at, count) = fresh.unwrap_or_else(|| (now, count(store)));
        let room = count < self.most;
        *counted = Some((at, count + u64::from(room)));
        room
    }
}

/// Counts of queues, no look at what is in them.
fn count(store: &dyn QueueStore) -> u64 {
    let Ok(top) = Domain::parse(NOTICES) else { return 0 };
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.queues_below(&top, after.as_ref(), HOUSEKEEPING_DOMAINS);
        let Some(last) = page.last() else { return count };
        after = Some(last.domain.clone());
        count += page.iter().filter_map(|stats| stats.parked.get(&DeliveryState::Dead)).copied().sum::<u64>();
    }
}
