//! What a courier has in hand: which recipients of which message went into which transaction, and what came of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use restante_queue::{Outcome, Settlement, Work};
use restante_smtp::client::limits::MAX_RECIPIENTS;
use restante_smtp::{Fate, Finished, TransactionId};
use restante_types::{Envelope, QueueId, Reply};

/// Some recipients of one message: what goes into one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) id: QueueId,
    /// Indices into the envelope's recipients; 1 to [`MAX_RECIPIENTS`].
    pub(super) recipients: Vec<u16>,
}

/// One message until all of its recipients have an outcome.
#[derive(Debug)]
struct Parcel {
    work: Work,
    outcomes: Vec<(u16, Outcome)>,
    /// Groups that are not over yet.
    open: usize,
    spoiled: bool,
}

/// How a message leaves the courier's hands.
#[derive(Debug)]
pub(super) enum Return {
    /// Something was said about it.
    Done(Settlement),
    /// Nothing was said about it.
    PutBack(Work),
    /// It cannot be read.
    Skip(QueueId),
}

/// What became of a group.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) id: QueueId,
    pub(super) envelope: Arc<Envelope>,
    pub(super) outcomes: Vec<(u16, Outcome)>,
    /// The message, if this was the last of it.
    pub(super) back: Option<Return>,
}

/// Everything in hand. Bounded by the client machine's window and one message more.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    parcels: HashMap<QueueId, Parcel>,
    unsent: VecDeque<Group>,
    sent: VecDeque<(TransactionId, Group)>,
}

impl Parcels {
    /// Takes a message; its recipients are split into groups that one transaction can hold ([5321-4.5.3.1.8]).
    pub(super) fn take(&mut self, work: Work) {
        let id = work.id;
        let groups = work.waiting.chunks(MAX_RECIPIENTS);
        let open = groups.len();
        self.unsent.extend(groups.map(|some| Group { id, recipients: some.to_vec() }));
        self.parcels.insert(id, Parcel { work, outcomes: Vec::new(), open, spoiled: false });
    }

    /// The next group to send, with its message.
    pub(super) fn next(&self) -> Option<(&Group, &Work)> {
        let group = self.unsent.front()?;
        self.parcels.get(&group.id).map(|parcel| (group, &parcel.work))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// The next group went into this transaction.
    pub(super) fn sent(&mut self, transaction: TransactionId) {
        if let Some(group) = self.unsent.pop_front() {
            self.sent.push_back((transaction, group));
        }
    }

    /// A transaction is over. Transactions end in the order in which they began, so any other than the oldest is none
    /// of ours.
    pub(super) fn finished(&mut self, finished: Finished) -> Option<Over> {
        let (_, group) = self.sent.pop_front_if(|(transaction, _)| *transaction == finished.id)?;
        let (mut outcomes, mut again) = (Vec::new(), Vec::new());
        for (index, fate) in group.recipients.iter().zip(finished.fates) {
            match fate {
                Fate::Delivered => outcomes.push((*index, Outcome::Delivered)),
                Fate::Deferred(reply) => outcomes.push((*index, deferred(reply))),
                Fate::Failed(reply) => outcomes.push((*index, Outcome::Failed { reply })),
                Fate::AnotherTransaction => again.push(*index),
            }
        }
        // [5321-4.5.3.1.10-client]: what was one too many goes in a transaction of its own, at once.
        let more = !again.is_empty();
        if more {
            self.unsent.push_front(Group { id: group.id, recipients: again });
        }
        self.end(group.id, outcomes, more)
    }

    /// The same outcome for the whole next group, without sending it.
    pub(super) fn settle_next(&mut self, outcome: &Outcome) -> Option<Over> {
        let group = self.unsent.pop_front()?;
        self.end(group.id, same(&group, outcome), false)
    }

    /// The same outcome for the oldest group under way, whose answer never came.
    pub(super) fn settle_oldest(&mut self, outcome: &Outcome) -> Option<Over> {
        let (_, group) = self.sent.pop_front()?;
        self.end(group.id, same(&group, outcome), false)
    }

    /// Sends no more of a message; `spoiled` when it cannot be read. It comes back now, or with the last answer that
    /// is still owed about it.
    pub(super) fn withdraw(&mut self, id: QueueId, spoiled: bool) -> Option<Return> {
        let before = self.unsent.len();
        self.unsent.retain(|group| group.id != id);
        let withdrawn = before - self.unsent.len();
        let parcel = self.parcels.get_mut(&id)?;
        parcel.spoiled |= spoiled;
        parcel.open = parcel.open.saturating_sub(withdrawn);
        self.close_if_over(id)
    }

    /// The connection is over: everything comes back.
    pub(super) fn give_up(&mut self) -> Vec<Return> {
        self.unsent.clear();
        self.sent.clear();
        let mut all: Vec<Parcel> = self.parcels.drain().map(|(_, parcel)| parcel).collect();
        all.sort_by_key(|parcel| parcel.work.id);
        all.into_iter().map(Parcel::into_return).collect()
    }

    fn end(&mut self, id: QueueId, outcomes: Vec<(u16, Outcome)>, more: bool) -> Option<Over> {
        let parcel = self.parcels.get_mut(&id)?;
        parcel.outcomes.extend(outcomes.iter().cloned());
        if !more {
            parcel.open = parcel.open.saturating_sub(1);
        }
        let envelope = parcel.work.envelope.clone();
        Some(Over { id, envelope, outcomes, back: self.close_if_over(id) })
    }

    fn close_if_over(&mut self, id: QueueId) -> Option<Return> {
        if self.parcels.get(&id)?.open > 0 {
            return None;
        }
        self.parcels.remove(&id).map(Parcel::into_return)
    }
}

impl Parcel {
    /// A message of which a part was answered is done with what was said: given out once more in this drain it would
    /// go a second time to those who have it. Recipients that have no outcome stay as they are in the queue.
    fn into_return(self) -> Return {
        match (self.outcomes.is_empty(), self.spoiled) {
            (false, _) => Return::Done(Settlement { id: self.work.id, outcomes: self.outcomes }),
            (true, true) => Return::Skip(self.work.id),
            (true, false) => Return::PutBack(self.work),
        }
    }
}

fn same(group: &Group, outcome: &Outcome) -> Vec<(u16, Outcome)> {
    group.recipients.iter().map(|index| (*index, outcome.clone())).collect()
}

/// Stays, with this said.
pub(super) fn deferred(reply: Reply) -> Outcome {
    Outcome::Deferred { reply, next_attempt: None }
}
