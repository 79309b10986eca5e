//! Content read ahead: while one message is on the wire, the next ones come off the disk.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use restante_queue::{ContentReader, EntryKey, QueueStore, StoreError, Work};
use restante_types::QueueId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::limits::{AHEAD_MESSAGES, AHEAD_OCTETS, AHEAD_TOTAL};

/// What all drains together may hold of content that nobody asked for yet.
#[derive(Clone)]
pub(crate) struct AheadBudget(Arc<Semaphore>);

impl Default for AheadBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AHEAD_TOTAL)))
    }
}

type Reading = JoinHandle<Result<(Bytes, OwnedSemaphorePermit), StoreError>>;

/// One drain's content on its way from the disk.
#[derive(Default)]
pub(super) struct Ahead {
    readings: HashMap<QueueId, Reading>,
}

impl Ahead {
    /// Starts reading what is next and not too large. What finds no room is read when it is asked for.
    pub(super) fn read<'a>(
        &mut self,
        store: &Arc<dyn QueueStore>,
        domain: &restante_types::Domain,
        budget: &AheadBudget,
        next: impl Iterator<Item = &'a Work>,
    ) {
        for work in next.take(AHEAD_MESSAGES).filter(|work| work.size <= AHEAD_OCTETS) {
            if self.readings.len() >= 2 * AHEAD_MESSAGES {
                return;
            }
            if self.readings.contains_key(&work.id) {
                continue;
            }
            let octets = u32::try_from(work.size).unwrap_or(u32::MAX);
            let Ok(permit) = budget.0.clone().try_acquire_many_owned(octets) else { return };
            let key = EntryKey { domain: domain.clone(), id: work.id };
            let store = store.clone();
            let reading = tokio::spawn(async move { Ok((read(&*store, &key).await?, permit)) });
            self.readings.insert(work.id, reading);
        }
    }

    pub(super) fn take(&mut self, id: QueueId) -> Option<Reading> {
        self.readings.remove(&id)
    }

    pub(super) fn clear(&mut self) {
        self.readings.clear();
    }
}

/// The whole of a small content. More than a store says it has is damage, and for the reader after us to report.
async fn read(store: &dyn QueueStore, key: &EntryKey) -> Result<Bytes, StoreError> {
    let mut content = store.open_content(key).await?;
    let first = content.next().await?.unwrap_or_default();
    if content.remaining() > 0 {
        return Err(StoreError::Damaged("larger than its entry says".to_owned()));
    }
    Ok(first)
}

/// What was read ahead; `None` if that failed, so that the failure is met again, and reported, by whoever needs it.
pub(super) async fn arrived(reading: Reading) -> Option<ContentReader> {
    let (octets, _permit) = reading.await.ok()?.ok()?;
    Some(octets.into())
}
