//! Outcomes on their way to the store, in batches, off the couriers' way.

use std::sync::Arc;

use restante_queue::{Settlement, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::lane::Shared;
use crate::events;
use crate::limits::{SETTLE_BATCH, SETTLE_LINGER, SETTLE_PAUSE, SETTLE_TRIES};

/// Runs until the last courier has let go of the feed and everything is settled.
pub(super) async fn run(shared: Arc<Shared>, mut outcomes: mpsc::Receiver<Settlement>) {
    let mut batch = Vec::with_capacity(SETTLE_BATCH);
    while let Some(first) = outcomes.recv().await {
        batch.push(first);
        let deadline = Instant::now() + SETTLE_LINGER;
        while batch.len() < SETTLE_BATCH {
            let room = SETTLE_BATCH - batch.len();
            match timeout_at(deadline, outcomes.recv_many(&mut batch, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        shared.settle(&mut batch).await;
    }
}

impl Shared {
    /// Records a batch. A store that is unavailable is asked again for a while; if that does not help, these messages
    /// will be sent a second time, which is the smaller harm.
    async fn settle(&self, batch: &mut Vec<Settlement>) {
        let mut pause = SETTLE_PAUSE;
        for tries in 1..=SETTLE_TRIES {
            match self.store.settle(&self.lease, batch.clone()).await {
                Ok(()) => break,
                Err(StoreError::Unavailable(_) | StoreError::Full) if tries < SETTLE_TRIES => {
                    sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => {
                    events::settle_failed(&self.domain, batch.len(), &error);
                    self.state().stop(Some(format!("outcomes could not be recorded: {error}")));
                    self.changed.notify_waiters();
                    // Still known, so nothing of it is handed out again by this drain.
                    batch.clear();
                    return;
                }
            }
        }
        let mut state = self.state();
        let was_full = state.is_full();
        for settlement in batch.drain(..) {
            self.clerk.settled(&self.domain, &settlement);
            state.forget(settlement.id);
        }
        drop(state);
        if was_full {
            self.changed.notify_waiters();
        }
    }
}
