//! A domain's oldest, newest and next due entry, looked up after those known went.

use std::ops::Bound;

use restante_types::{Domain, QueueId, UnixMillis};

use super::books::{Books, State};
use super::counts::Stale;
use crate::entry::EntryKey;
use crate::index::{
    Arrival, EntryValue, Index, IndexError, Standing, TimeKind, Value, domain_range, entry_key,
    read_entry_key, read_time_key, times,
};

/// Puts right what a domain's counts no longer know, after the entries from `changed.0` to `changed.1` changed.
///
/// Only the owner thread changes the index, and calls this, so what is found stands; new mail is in `fresh` and is
/// counted in under the lock. The walk over what does not wait is paid once for each such entry, as the edge moves.
pub(super) fn put_right(
    index: &Index,
    books: &Books,
    domain: &Domain,
    stale: Stale,
    changed: (QueueId, QueueId),
) -> Result<(), IndexError> {
    if !stale.any() {
        books.lock().refresh_due(domain);
        return Ok(());
    }
    let oldest = if stale.oldest { first_from(index, domain, changed.0, |_| true)? } else { None };
    let minted = |id: QueueId| !id.is_derived();
    let first_minted = if stale.first_minted { first_from(index, domain, changed.0, minted)? } else { None };
    let newest = if stale.newest { newest_until(index, domain, changed.1)? } else { None };
    let next = index.range(times(domain, TimeKind::Attempt, UnixMillis::MAX)).next().transpose()?;
    let next = next.and_then(|(key, _)| read_time_key(&key)).map(|(time, _)| time);
    let mut state = books.lock();
    let State { domains, fresh, .. } = &mut *state;
    if let Some(book) = domains.get_mut(domain) {
        let counts = &mut book.counts;
        counts.oldest = if stale.oldest { oldest } else { counts.oldest };
        counts.first_minted = if stale.first_minted { first_minted } else { counts.first_minted };
        counts.newest = if stale.newest { newest } else { counts.newest };
        counts.next_due = if stale.next_due { next } else { counts.next_due };
        let first = EntryKey { domain: domain.clone(), id: QueueId::MIN };
        let last = EntryKey { domain: domain.clone(), id: QueueId::MAX };
        for (key, entry) in fresh.range(first..=last).filter(|(_, entry)| entry.standing() == Standing::Waits)
        {
            counts.waits(key.id, entry);
        }
    }
    state.refresh_due(domain);
    Ok(())
}

/// The first of this kind that waits; none does before `from`.
fn first_from(
    index: &Index,
    domain: &Domain,
    from: QueueId,
    kind: impl Fn(QueueId) -> bool,
) -> Result<Option<Arrival>, IndexError> {
    let range = (Bound::Included(entry_key(domain, from)), Bound::Included(entry_key(domain, QueueId::MAX)));
    let found = index.range(range).map(|item| waiting(item).map(|found| found.filter(|(id, _)| kind(*id))));
    found.filter_map(Result::transpose).next().transpose()
}

/// The last that waits; none does behind `until`.
fn newest_until(index: &Index, domain: &Domain, until: QueueId) -> Result<Option<Arrival>, IndexError> {
    let range = (domain_range(domain, None).0, Bound::Included(entry_key(domain, until)));
    index.range(range).rev().find_map(|item| waiting(item).transpose()).transpose()
}

fn waiting(item: Result<(Vec<u8>, Value), IndexError>) -> Result<Option<Arrival>, IndexError> {
    let (key, value) = item?;
    let Some(key) = read_entry_key(&key) else { return Ok(None) };
    let entry = EntryValue::decode(key.id, value.as_ref())?;
    Ok((entry.standing() == Standing::Waits).then_some((key.id, entry.arrived)))
}
