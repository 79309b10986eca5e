//! Recipients that failed or expired, until somebody saw to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use restante_types::{DeliveryState, Domain, QueueId, UnixMillis};

use super::shared::Shared;
use super::turn::Turn;
use crate::entry::{Conclusion, Entry, EntryKey};
use crate::error::StoreError;
use crate::index::{EntryValue, RecipientState, read_time_key, unreported_behind};
use crate::limits::MAX_PAGE;

impl Shared {
    pub(super) async fn conclude(
        self: &Arc<Self>,
        key: &EntryKey,
        recipients: &[u16],
        how: Conclusion,
    ) -> Result<u64, StoreError> {
        self.books.lock().condition.check()?;
        let (key, recipients) = (key.clone(), recipients.iter().copied().collect());
        self.desk.ask(move |turn| conclude_one(turn, &key, &recipients, how)).await
    }

    pub(super) async fn unreported(
        self: &Arc<Self>,
        domain: &Domain,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let (domain, limit) = (domain.clone(), limit.min(MAX_PAGE));
        self.blocking(move |shared| shared.find_unreported(&domain, after, limit)).await
    }

    /// Nothing that is still on its way into the index can have failed: the index alone is asked.
    fn find_unreported(
        &self,
        domain: &Domain,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.books.lock().condition.check()?;
        let mut found = Vec::new();
        for item in self.index()?.range(unreported_behind(domain, after)) {
            if found.len() >= limit {
                break;
            }
            let Some((_, id)) = read_time_key(&item?.0) else { continue };
            let key = EntryKey { domain: domain.clone(), id };
            let Some(mut value) = self.entry(&key)? else { continue };
            // After a crash the index may not yet know what was concluded; who is told twice is told too much.
            if let Ok(message) = self.log.read(value.place)
                && message.id == id
            {
                value.adopt(&message.states, self.books.clock.wall());
            }
            if value.is_unreported() {
                found.extend(self.show(key, &value)?);
            }
        }
        Ok(found)
    }
}

fn conclude_one(
    turn: &mut Turn<'_>,
    key: &EntryKey,
    recipients: &BTreeSet<u16>,
    how: Conclusion,
) -> Result<u64, StoreError> {
    let now = turn.now;
    Ok(turn.entry(key)?.map_or(0, |entry| conclude(entry, recipients, how, now)))
}

fn conclude(entry: &mut EntryValue, recipients: &BTreeSet<u16>, how: Conclusion, now: UnixMillis) -> u64 {
    let mut concluded = 0;
    let open = |state: RecipientState| match how {
        Conclusion::Reported | Conclusion::Dead => state.is_unreported(),
        Conclusion::Sent => state.shown() == DeliveryState::Dead && !state.purged,
    };
    let named = entry.recipients.iter_mut().filter(|recipient| recipients.contains(&recipient.index));
    for recipient in named.filter(|recipient| open(recipient.state)) {
        match how {
            Conclusion::Reported | Conclusion::Sent => recipient.state.purged = true,
            Conclusion::Dead => recipient.state.state = DeliveryState::Dead,
        }
        concluded += 1;
    }
    if concluded > 0 {
        if how == Conclusion::Dead {
            // The owner has the whole of the grace to look at it.
            entry.parked = None;
        }
        entry.settle_down(now);
    }
    concluded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Standing;
    use crate::index::tests::entry;

    const NOW: UnixMillis = UnixMillis(7);

    #[test]
    fn only_what_failed_or_expired_is_concluded() {
        let mut entry = entry(5);
        let states = [
            DeliveryState::Failed,
            DeliveryState::Expired,
            DeliveryState::Queued,
            DeliveryState::Misrouted,
            DeliveryState::Failed,
        ];
        for (recipient, state) in entry.recipients.iter_mut().zip(states) {
            recipient.state = RecipientState::new(state);
        }
        entry.recipients[4].state.deleted = true;
        assert!(entry.is_unreported());
        assert_eq!(conclude(&mut entry, &[0, 2, 3, 4, 9].into(), Conclusion::Reported, NOW), 1);
        assert!(entry.recipients[0].state.is_done() && entry.is_unreported());
        assert_eq!(conclude(&mut entry, &[0, 1, 2, 3, 4].into(), Conclusion::Dead, NOW), 1);
        assert!(!entry.is_unreported());
        assert_eq!(entry.standing(), Standing::Waits, "one still waits");
        entry.recipients[2].state = RecipientState::new(DeliveryState::Delivered);
        entry.recipients[3].state = RecipientState::new(DeliveryState::Delivered);
        entry.settle_down(NOW);
        assert_eq!((entry.standing(), entry.parked), (Standing::Parked(DeliveryState::Dead), Some(NOW)));
    }

    #[test]
    fn only_a_dead_letter_is_sent() {
        let mut entry = entry(3);
        let states = [DeliveryState::Dead, DeliveryState::Failed, DeliveryState::Queued];
        for (recipient, state) in entry.recipients.iter_mut().zip(states) {
            recipient.state = RecipientState::new(state);
        }
        let all = [0, 1, 2].into();
        assert_eq!(conclude(&mut entry, &[1, 2].into(), Conclusion::Sent, NOW), 0);
        entry.recipients[0].state.deleted = true;
        assert_eq!(conclude(&mut entry, &all, Conclusion::Sent, NOW), 0, "it was deleted");
        entry.recipients[0].state.deleted = false;
        assert_eq!(conclude(&mut entry, &all, Conclusion::Sent, NOW), 1);
        assert!(entry.recipients[0].state.is_done());
        assert_eq!(conclude(&mut entry, &all, Conclusion::Sent, NOW), 0, "once");
    }

    #[test]
    fn the_last_one_reported_ends_the_entry() {
        let mut entry = entry(2);
        entry.recipients[0].state = RecipientState::new(DeliveryState::Delivered);
        entry.recipients[1].state = RecipientState::new(DeliveryState::Expired);
        assert_eq!(conclude(&mut entry, &[0, 1].into(), Conclusion::Reported, NOW), 1);
        assert_eq!(entry.standing(), Standing::Done);
    }
}
