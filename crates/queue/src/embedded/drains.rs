//! What there is to do under a lease.

use std::collections::BTreeSet;
use std::sync::Arc;

use restante_types::{Domain, QueueId, UnixMillis};

use super::shared::{Shared, Stretch};
use crate::entry::{EntryKey, Work};
use crate::error::StoreError;
use crate::index::{EntryValue, Standing, TimeKind, read_time_key, times};
use crate::lease::{DomainLease, Scope};
use crate::limits::{DUE_TIMES_PER_PAGE, LIST_WORK, MAX_PAGE};
use crate::log::{Place, StoredMessage};

/// What was found, and what cannot be read.
#[derive(Default)]
struct Found {
    work: Vec<Work>,
    damaged: Vec<(EntryKey, Place, String)>,
}

impl Shared {
    pub(super) async fn due(
        self: &Arc<Self>,
        lease: &DomainLease,
        scope: Scope,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Work>, StoreError> {
        if self.is_fenced(lease) {
            return Err(StoreError::Fenced);
        }
        let (domain, limit) = (lease.domain().clone(), limit.min(MAX_PAGE));
        let found = self.blocking(move |shared| shared.find_due(&domain, scope, after, limit)).await?;
        for (key, place, what) in found.damaged {
            self.park_damaged(key, place, &what).await?;
        }
        Ok(found.work)
    }

    pub(super) fn is_fenced(&self, lease: &DomainLease) -> bool {
        let mut state = self.books.lock();
        state.current(lease.domain(), lease.generation()).is_none_or(|lease| lease.stopped)
    }

    fn find_due(
        &self,
        domain: &Domain,
        scope: Scope,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let mut found = Found::default();
        if let Scope::DueBy(time) = scope
            && let Some(ids) = self.due_ids(domain, time, after)?
        {
            for id in ids {
                let key = EntryKey { domain: domain.clone(), id };
                if let Some(entry) = self.entry(&key)?.filter(|entry| wanted(entry, scope)) {
                    self.take(key, &entry, &mut found)?;
                }
                if found.work.len() == limit {
                    break;
                }
            }
            return Ok(found);
        }
        let mut after = self.before_oldest(domain).max(after);
        while found.work.len() < limit {
            let entries = self.entries(&Stretch::Of(domain, after), LIST_WORK.min(limit.max(16)))?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.id);
            for (key, entry) in entries.into_iter().filter(|(_, entry)| wanted(entry, scope)) {
                if found.work.len() < limit {
                    self.take(key, &entry, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    /// Nothing up to here waits: what is parked at the head of a queue is not walked over by every drain.
    fn before_oldest(&self, domain: &Domain) -> Option<QueueId> {
        let state = self.books.lock();
        let (oldest, _) = state.domains.get(domain)?.counts.oldest?;
        let before = u128::from_be_bytes(oldest.to_bytes()).checked_sub(1)?;
        Some(QueueId::from_bytes(before.to_be_bytes()))
    }

    /// Ids behind `after` that are due, in order; `None` if there are too many times to look at, and a walk through
    /// the entries finds a page sooner.
    fn due_ids(
        &self,
        domain: &Domain,
        time: UnixMillis,
        after: Option<QueueId>,
    ) -> Result<Option<BTreeSet<QueueId>>, StoreError> {
        let behind = |id: &QueueId| after.is_none_or(|after| *id > after);
        let mut ids: BTreeSet<QueueId> = {
            let state = self.books.lock();
            let first = EntryKey { domain: domain.clone(), id: QueueId::MIN };
            let last = EntryKey { domain: domain.clone(), id: QueueId::MAX };
            let range = state.applying.range(&first..=&last).chain(state.fresh.range(&first..=&last));
            let due = range.filter(|(_, entry)| entry.due().is_some_and(|due| due <= time));
            due.map(|(key, _)| key.id).filter(behind).take(DUE_TIMES_PER_PAGE + 1).collect()
        };
        for item in self.index()?.range(times(domain, TimeKind::Attempt, time)).take(DUE_TIMES_PER_PAGE + 1) {
            let (key, _) = item?;
            ids.extend(read_time_key(&key).map(|(_, id)| id).filter(behind));
            if ids.len() > DUE_TIMES_PER_PAGE {
                return Ok(None);
            }
        }
        Ok(Some(ids))
    }

    /// Reads an entry's record and takes what still waits in it. The log is asked too: after a crash the index may
    /// not yet know what was done.
    fn take(&self, key: EntryKey, entry: &EntryValue, found: &mut Found) -> Result<(), StoreError> {
        let message = match self.log.read(entry.place) {
            Ok(message) if message.id == key.id => message,
            // Given back since we looked: somebody else was done with it.
            Ok(_) | Err(StoreError::NotFound) => return Ok(()),
            Err(StoreError::Damaged(what)) => {
                found.damaged.push((key, entry.place, what));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let waiting = waiting(entry, &message);
        if !waiting.is_empty() {
            let StoredMessage { id, envelope, client, size, arrived, vouched, .. } = message;
            let (envelope, client, attempts) = (Arc::new(envelope), Arc::new(client), entry.attempts);
            found.work.push(Work { id, envelope, size, arrived, waiting, attempts, client, vouched });
        }
        Ok(())
    }
}

fn wanted(entry: &EntryValue, scope: Scope) -> bool {
    match scope {
        Scope::All => entry.standing() == Standing::Waits,
        Scope::DueBy(time) => entry.due().is_some_and(|due| due <= time),
    }
}

/// The recipients that wait by the index and by the log.
fn waiting(entry: &EntryValue, message: &StoredMessage) -> Vec<u16> {
    let in_log = |index: u16| {
        message
            .states
            .get(usize::from(index))
            .is_some_and(|state| state.state().waits() && !state.is_deleted() && !state.is_held())
    };
    let waiting = entry.recipients.iter().filter(|recipient| recipient.state.waits());
    waiting.map(|recipient| recipient.index).filter(|index| in_log(*index)).collect()
}
