//! What the operator and the passing of time do to entries: hold, release, delete, restore, expire, purge.

use std::sync::Arc;

use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};

use super::shared::Shared;
use super::turn::Turn;
use crate::entry::EntryKey;
use crate::error::StoreError;
use crate::events;
use crate::index::{EntryValue, Standing, TimeKind, kept_reason};
use crate::limits::KEYS_PER_COMMAND;

/// Changes an entry and says whether it did; afterwards its times are put right.
type Edit = Arc<dyn Fn(&mut EntryValue, UnixMillis) -> bool + Send + Sync>;

impl Shared {
    /// Edits these entries, in groups; returns how many were changed.
    async fn edit(self: &Arc<Self>, keys: &[EntryKey], edit: Edit) -> Result<u64, StoreError> {
        let mut changed = 0;
        for keys in keys.chunks(KEYS_PER_COMMAND) {
            self.books.lock().condition.check()?;
            let (keys, edit) = (keys.to_vec(), Arc::clone(&edit));
            changed += self.desk.ask(move |turn| edit_all(turn, &keys, &*edit)).await?;
        }
        Ok(changed)
    }

    pub(super) async fn hold(self: &Arc<Self>, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        let reason = kept_reason(reason);
        self.edit(keys, Arc::new(move |entry, _| hold(entry, &reason))).await
    }

    pub(super) async fn release(self: &Arc<Self>, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.edit(keys, Arc::new(release)).await
    }

    pub(super) async fn delete(self: &Arc<Self>, keys: &[EntryKey], reason: &str) -> Result<u64, StoreError> {
        let note = kept_reason(reason);
        let deleted = self.edit(keys, Arc::new(move |entry, now| delete(entry, &note, now))).await?;
        events::deleted(deleted, reason);
        Ok(deleted)
    }

    pub(super) async fn restore(self: &Arc<Self>, keys: &[EntryKey]) -> Result<u64, StoreError> {
        self.edit(keys, Arc::new(restore)).await
    }

    pub(super) async fn reset_retries(self: &Arc<Self>, domain: &Domain) -> Result<(), StoreError> {
        self.books.lock().condition.check()?;
        let mut after = None;
        loop {
            let domain = domain.clone();
            after = self.desk.ask(move |turn| reset(turn, &domain, after)).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    pub(super) async fn expire(
        self: &Arc<Self>,
        domain: &Domain,
        cutoff: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        if self.clock_doubted() {
            return Ok(Vec::new());
        }
        {
            let state = self.books.lock();
            state.condition.check()?;
            let oldest = state.domains.get(domain).and_then(|book| book.counts.oldest_arrival());
            // A stopped domain's clock is stopped too.
            if state.held(domain).is_some() || oldest.is_none_or(|arrived| arrived >= cutoff) {
                return Ok(Vec::new());
            }
        }
        let (name, limit) = (domain.clone(), limit.min(KEYS_PER_COMMAND));
        let expired = self.desk.ask(move |turn| expire(turn, &name, cutoff, limit)).await?;
        if !expired.is_empty() {
            events::expired(domain, expired.len() as u64);
        }
        Ok(expired)
    }

    pub(super) async fn purge(
        self: &Arc<Self>,
        domain: &Domain,
        deleted_before: UnixMillis,
        parked_before: UnixMillis,
        limit: usize,
    ) -> Result<Vec<EntryKey>, StoreError> {
        self.books.lock().condition.check()?;
        if self.clock_doubted() {
            return Ok(Vec::new());
        }
        let (domain, limit) = (domain.clone(), limit.min(KEYS_PER_COMMAND));
        self.desk.ask(move |turn| purge(turn, &domain, deleted_before, parked_before, limit)).await
    }
}

fn edit_all(
    turn: &mut Turn<'_>,
    keys: &[EntryKey],
    edit: &dyn Fn(&mut EntryValue, UnixMillis) -> bool,
) -> Result<u64, StoreError> {
    let now = turn.now;
    let mut changed = 0;
    for key in keys {
        let Some(entry) = turn.entry(key)? else { continue };
        if edit(entry, now) {
            entry.settle_down(now);
            changed += 1;
        }
    }
    Ok(changed)
}

fn hold(entry: &mut EntryValue, reason: &str) -> bool {
    let new = entry.state() != DeliveryState::Deleted && entry.held.as_deref() != Some(reason);
    if new {
        entry.held = Some(reason.to_owned());
    }
    new
}

fn release(entry: &mut EntryValue, now: UnixMillis) -> bool {
    let mut changed = entry.held.take().is_some();
    for recipient in &mut entry.recipients {
        let parked = matches!(
            recipient.state.shown(),
            DeliveryState::Failed | DeliveryState::Expired | DeliveryState::Misrouted | DeliveryState::Dead
        );
        if parked && !recipient.state.purged {
            recipient.state.state = DeliveryState::Queued;
            changed = true;
        }
    }
    if changed && entry.scheduled {
        entry.next_attempt = Some(now);
    }
    changed
}

fn delete(entry: &mut EntryValue, note: &str, now: UnixMillis) -> bool {
    let mut changed = false;
    for recipient in entry.recipients.iter_mut().filter(|recipient| !recipient.state.is_done()) {
        changed |= !std::mem::replace(&mut recipient.state.deleted, true);
    }
    if changed {
        entry.note = Some(note.to_owned());
        // The grace counts from the deletion, not from when it was parked before.
        entry.parked = Some(now);
    }
    changed
}

fn restore(entry: &mut EntryValue, now: UnixMillis) -> bool {
    let mut changed = false;
    for recipient in &mut entry.recipients {
        changed |= std::mem::take(&mut recipient.state.deleted);
    }
    if changed {
        entry.note = None;
        entry.parked = None;
        entry.next_attempt = entry.scheduled.then_some(now);
    }
    changed
}

fn reset(
    turn: &mut Turn<'_>,
    domain: &Domain,
    after: Option<QueueId>,
) -> Result<Option<QueueId>, StoreError> {
    if after.is_none() {
        let mut state = turn.books.lock();
        state.book(domain).notes.not_before = None;
        state.notes_dirty = true;
        state.refresh_due(domain);
    }
    let now = turn.now;
    let keys = turn.keys(domain, after, KEYS_PER_COMMAND)?;
    for key in &keys {
        let Some(entry) = turn.entry(key)? else { continue };
        entry.attempts = 0;
        // What failed in one attempt is told of together: while nobody was told, the numbers say what belongs to what.
        if !entry.is_unreported() {
            entry.recipients.iter_mut().for_each(|recipient| recipient.attempts = 0);
        }
        if entry.state().waits() {
            entry.next_attempt = entry.scheduled.then_some(now);
        }
    }
    Ok(keys.last().filter(|_| keys.len() == KEYS_PER_COMMAND).map(|key| key.id))
}

/// Ids sort by arrival and are never minted before it, so the walk ends at the first id minted behind the cutoff.
fn expire(
    turn: &mut Turn<'_>,
    domain: &Domain,
    cutoff: UnixMillis,
    limit: usize,
) -> Result<Vec<EntryKey>, StoreError> {
    let oldest = turn.books.lock().domains.get(domain).and_then(|book| book.counts.oldest);
    let Some((oldest, _)) = oldest else { return Ok(Vec::new()) };
    let before = u128::from_be_bytes(oldest.to_bytes()).saturating_sub(1);
    let mut after = Some(QueueId::from_bytes(before.to_be_bytes()));
    let (now, mut expired) = (turn.now, Vec::new());
    while let Some(from) = after {
        let keys = turn.keys(domain, Some(from), KEYS_PER_COMMAND)?;
        after = keys.last().filter(|_| keys.len() == KEYS_PER_COMMAND).map(|key| key.id);
        for key in keys {
            if expired.len() == limit || key.id.minted() >= cutoff {
                return Ok(expired);
            }
            let over = |entry: &EntryValue| entry.standing() == Standing::Waits && entry.arrived < cutoff;
            if !turn.peek(&key)?.as_ref().is_some_and(over) {
                continue;
            }
            // After a crash the log may know better.
            let Some(entry) = turn.entry(&key)?.filter(|entry| over(entry)) else { continue };
            for recipient in entry.recipients.iter_mut().filter(|recipient| recipient.state.waits()) {
                recipient.state.state = DeliveryState::Expired;
            }
            entry.settle_down(now);
            expired.push(key);
        }
    }
    Ok(expired)
}

fn purge(
    turn: &mut Turn<'_>,
    domain: &Domain,
    deleted_before: UnixMillis,
    parked_before: UnixMillis,
    limit: usize,
) -> Result<Vec<EntryKey>, StoreError> {
    let mut ids = turn.ids_before(domain, TimeKind::Deleted, deleted_before, limit)?;
    if turn.books.lock().held(domain).is_none() {
        ids.extend(turn.ids_before(domain, TimeKind::Parked, parked_before, limit - ids.len())?);
    }
    let mut purged = Vec::new();
    for id in ids {
        let key = EntryKey { domain: domain.clone(), id };
        // Commands before this one in the same group may have changed it.
        let Some(entry) = turn.entry(&key)? else { continue };
        let since = entry.parked.unwrap_or(UnixMillis::MAX);
        let over = match entry.state() {
            DeliveryState::Deleted => since < deleted_before,
            DeliveryState::Failed | DeliveryState::Expired | DeliveryState::Dead => {
                since < parked_before && entry.held.is_none()
            }
            _ => false,
        };
        if over {
            entry
                .recipients
                .iter_mut()
                .for_each(|recipient| recipient.state.purged |= !recipient.state.is_done());
            purged.push(key);
        }
    }
    Ok(purged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::RecipientState;
    use crate::index::tests::entry;

    const NOW: UnixMillis = UnixMillis(7);

    #[test]
    fn what_is_deleted_comes_back_as_it_was() {
        let mut entry = entry(3);
        entry.recipients[0].state = RecipientState::new(DeliveryState::Delivered);
        entry.recipients[1].state = RecipientState::new(DeliveryState::Failed);
        let before = entry.clone();
        assert!(delete(&mut entry, "spam", NOW) && !delete(&mut entry, "spam", NOW));
        assert_eq!((entry.state(), entry.parked), (DeliveryState::Deleted, Some(NOW)));
        assert!(
            !hold(&mut entry, "x") && !release(&mut entry, NOW),
            "a deletion is only taken back by restore"
        );
        assert!(restore(&mut entry, NOW) && !restore(&mut entry, NOW));
        assert_eq!(entry, before);
    }

    #[test]
    fn release_lets_go_what_was_held_and_what_was_parked() {
        let mut entry = entry(2);
        entry.scheduled = true;
        assert!(hold(&mut entry, "wait") && !hold(&mut entry, "wait"));
        entry.recipients[0].state = RecipientState::new(DeliveryState::Expired);
        assert!(release(&mut entry, NOW) && !release(&mut entry, NOW));
        assert_eq!((entry.standing(), entry.due()), (Standing::Waits, Some(NOW)));
        entry.recipients[0].state = RecipientState::new(DeliveryState::Damaged);
        assert!(!release(&mut entry, NOW), "releasing does not mend it");
    }
}
