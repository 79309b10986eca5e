//! Outcomes of a drain.

use std::sync::Arc;

use restante_types::{DeliveryState, Domain, UnixMillis};

use super::leases::Tally;
use super::shared::Shared;
use super::turn::Turn;
use crate::entry::EntryKey;
use crate::error::StoreError;
use crate::index::EntryValue;
use crate::lease::{DomainLease, Outcome, Settlement};

impl Shared {
    pub(super) async fn settle(
        self: &Arc<Self>,
        lease: &DomainLease,
        settlements: Vec<Settlement>,
    ) -> Result<(), StoreError> {
        let (domain, generation) = (lease.domain().clone(), lease.generation());
        self.desk.ask(move |turn| settle(turn, &domain, generation, settlements)).await
    }
}

fn settle(
    turn: &mut Turn<'_>,
    domain: &Domain,
    generation: u64,
    settlements: Vec<Settlement>,
) -> Result<(), StoreError> {
    let fenced = turn.books.lock().current(domain, generation).is_none();
    let now = turn.now;
    let mut tally = Tally::default();
    for mut settlement in settlements {
        if fenced {
            // What the next hop took is not to be sent again, whoever has the domain now.
            settlement.outcomes.retain(|(_, outcome)| *outcome == Outcome::Delivered);
            if settlement.outcomes.is_empty() {
                continue;
            }
        }
        let key = EntryKey { domain: domain.clone(), id: settlement.id };
        // What was purged meanwhile has nothing left to record.
        if let Some(entry) = turn.entry(&key)? {
            record(entry, &settlement, now, &mut tally);
        }
    }
    turn.count(domain, generation, tally);
    if fenced { Err(StoreError::Fenced) } else { Ok(()) }
}

/// Writes the outcomes of one attempt into its entry. What was delivered is delivered, whatever the operator did in
/// the meantime; anything else leaves a deletion in place.
fn record(entry: &mut EntryValue, settlement: &Settlement, now: UnixMillis, tally: &mut Tally) {
    entry.attempts = entry.attempts.saturating_add(1);
    let mut next = None;
    for (index, outcome) in &settlement.outcomes {
        let Some(place) = entry.recipients.iter().position(|recipient| recipient.index == *index) else {
            continue;
        };
        let recipient = &mut entry.recipients[place];
        if recipient.state.is_done() {
            continue;
        }
        recipient.attempts = recipient.attempts.saturating_add(1);
        match outcome {
            Outcome::Delivered => {
                tally.delivered += 1;
                recipient.state.state = DeliveryState::Delivered;
            }
            Outcome::Deferred { reply, next_attempt } => {
                tally.deferred += 1;
                if recipient.state.state.waits() {
                    recipient.state.state = DeliveryState::Deferred;
                }
                next = [next, *next_attempt].into_iter().flatten().min();
                entry.set_reply(place, reply);
            }
            Outcome::Failed { reply } => {
                tally.failed += 1;
                recipient.state.state = DeliveryState::Failed;
                entry.set_reply(place, reply);
            }
        }
    }
    if settlement.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Deferred { .. })) {
        entry.next_attempt = next;
    }
    entry.settle_down(now);
}

#[cfg(test)]
mod tests {
    use restante_types::{QueueId, Reply};

    use super::*;
    use crate::index::Standing;
    use crate::index::tests::entry;

    fn settle(entry: &mut EntryValue, outcomes: Vec<(u16, Outcome)>) -> Tally {
        let mut tally = Tally::default();
        record(entry, &Settlement { id: QueueId::MIN, outcomes }, UnixMillis(5), &mut tally);
        tally
    }

    fn deferred(next: Option<u64>) -> Outcome {
        Outcome::Deferred { reply: Reply::new(450, (4, 2, 1), "later"), next_attempt: next.map(UnixMillis) }
    }

    #[test]
    fn each_recipient_gets_its_own_outcome() {
        let mut entry = entry(3);
        let failed = Outcome::Failed { reply: Reply::new(550, (5, 1, 1), "no such user") };
        let tally = settle(
            &mut entry,
            vec![(0, Outcome::Delivered), (1, deferred(Some(9))), (2, failed), (7, Outcome::Delivered)],
        );
        assert_eq!(tally, Tally { delivered: 1, deferred: 1, failed: 1 });
        assert_eq!((entry.next_attempt, entry.attempts, entry.parked), (Some(UnixMillis(9)), 1, None));
        assert_eq!(entry.reply(&entry.recipients[2]).unwrap().code.get(), 550);
        assert_eq!(settle(&mut entry, vec![(0, deferred(None))]), Tally::default(), "done is done");
        settle(&mut entry, vec![(1, Outcome::Delivered)]);
        assert_eq!(entry.standing(), Standing::Parked(DeliveryState::Failed));
        assert_eq!((entry.parked, entry.next_attempt), (Some(UnixMillis(5)), None));
    }

    #[test]
    fn a_deletion_stays_unless_the_message_was_delivered() {
        let mut entry = entry(2);
        entry.recipients.iter_mut().for_each(|recipient| recipient.state.deleted = true);
        settle(&mut entry, vec![(0, deferred(Some(9))), (1, Outcome::Delivered)]);
        assert_eq!(entry.standing(), Standing::Parked(DeliveryState::Deleted));
        assert!(entry.recipients[1].state.is_done());
        assert_eq!(entry.due(), None);
    }
}
