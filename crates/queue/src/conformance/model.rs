//! Random operations on a store, and on a model of it that is a map; they must agree after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use restante_types::{DeliveryState, Domain, UnixMillis};

use super::{Subject, deferred, domain, key, reply};
use crate::{
    Clock, Conclusion, EntryKey, Filter, HoldKind, HoldOrder, LeaseAnswer, Outcome, Scope, Settlement,
};

const DOMAINS: [&str; 3] = ["a.example", "a.example.org", "b.example"];
const RECIPIENTS: [&str; 4] = ["x@a.example", "y@a.example", "x@a.example.org", "x@b.example"];
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
struct Modelled {
    arrived: UnixMillis,
    size: u64,
    held: bool,
    /// Since when nothing in it waits, or it was deleted.
    parked: Option<UnixMillis>,
    /// By index into the envelope. Deferred is queued here: after a rebuild the store may have forgotten.
    recipients: BTreeMap<u16, (DeliveryState, bool)>,
}

impl Modelled {
    fn state(&self) -> Option<DeliveryState> {
        let alive = self.recipients.values().filter(|(state, _)| *state != DeliveryState::Delivered);
        alive.map(|(state, deleted)| if *deleted { DeliveryState::Deleted } else { *state }).min()
    }

    fn waits(&self) -> bool {
        !self.held && self.state() == Some(DeliveryState::Queued)
    }

    fn settle_down(&mut self, now: UnixMillis) {
        self.parked =
            if self.state() == Some(DeliveryState::Queued) { None } else { self.parked.or(Some(now)) };
    }
}

#[derive(Debug, Default)]
struct Model {
    entries: BTreeMap<EntryKey, Modelled>,
    held: BTreeSet<Domain>,
}

/// What the world around the store does in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopen {
    /// Closed in order and opened.
    Clean,
    /// Dropped as it is and opened.
    Dropped,
    /// Closed, its index lost, and opened.
    IndexLost,
}

/// Carries out the steps (each number is one; any number is a step) and compares after each. `reopen` closes the
/// store as told and opens it again; for a store that cannot be reopened it gives it back as it is.
pub async fn check<R, F>(mut subject: Subject, steps: &[u32], mut reopen: R)
where
    R: FnMut(Subject, Reopen) -> F,
    F: Future<Output = Subject>,
{
    let mut model = Model::default();
    for step in steps {
        let argument = step / 17;
        match step % 17 {
            0..=3 => model.accept(&subject, argument).await,
            4..=6 => model.drain(&subject, argument).await,
            7 => model.hold(&subject, argument).await,
            8 => model.release(&subject, argument).await,
            9 => model.delete(&subject, argument).await,
            10 => model.restore(&subject, argument).await,
            11 => model.toggle_domain(&subject, argument).await,
            12 => subject.clock.pass(HOUR * (argument % 5)),
            13 => model.expire(&subject, argument).await,
            14 => model.purge(&subject, argument).await,
            15 => model.conclude(&subject, argument).await,
            _ => {
                let how = [Reopen::Clean, Reopen::Dropped, Reopen::IndexLost][argument as usize % 3];
                subject = reopen(subject, how).await;
                if how == Reopen::IndexLost {
                    model.forget_times(&subject);
                }
            }
        }
        model.compare(&subject).await;
        model.compare_unreported(&subject).await;
    }
}

fn is_unreported((state, deleted): &(DeliveryState, bool)) -> bool {
    matches!(state, DeliveryState::Failed | DeliveryState::Expired) && !deleted
}

impl Model {
    /// The index lost when things were parked; it counts from the rebuild.
    fn forget_times(&mut self, subject: &Subject) {
        for entry in self.entries.values_mut().filter(|entry| entry.parked.is_some()) {
            entry.parked = Some(subject.clock.wall());
        }
    }

    fn pick(&self, argument: u32) -> Vec<EntryKey> {
        let chosen = |place: usize| argument >> (place % 13) & 1 == 1;
        let keys = self.entries.keys().enumerate().filter(|(place, _)| chosen(*place));
        keys.map(|(_, key)| key.clone()).collect()
    }

    async fn accept(&mut self, subject: &Subject, argument: u32) {
        let chosen: Vec<_> =
            (0..4).filter(|bit| argument >> bit & 1 == 1).map(|bit| RECIPIENTS[bit]).collect();
        let chosen = if chosen.is_empty() { vec![RECIPIENTS[0]] } else { chosen };
        let content = vec![b'x'; argument as usize % 3000];
        let mut message = subject.message(&chosen, &content).await;
        for (place, destination) in message.destinations.iter_mut().enumerate() {
            destination.dead = argument >> (4 + place) & 3 == 3;
            let state = if destination.dead { DeliveryState::Dead } else { DeliveryState::Queued };
            let entry = Modelled {
                arrived: message.arrived,
                size: content.len() as u64,
                held: false,
                parked: destination.dead.then_some(message.arrived),
                recipients: destination.recipients.iter().map(|index| (*index, (state, false))).collect(),
            };
            self.entries.insert(EntryKey { domain: destination.domain.clone(), id: message.id }, entry);
        }
        subject.store.accept(message).await.unwrap();
    }

    async fn drain(&mut self, subject: &Subject, argument: u32) {
        let name = domain(DOMAINS[argument as usize % 3]);
        let lease = match subject.store.lease(&name, crate::DrainCause::Etrn).await.unwrap() {
            LeaseAnswer::Leased(lease) => lease,
            LeaseAnswer::Held => return assert!(self.held.contains(&name)),
            LeaseAnswer::Busy => panic!("nobody else has it"),
        };
        assert!(!self.held.contains(&name));
        let work = subject.store.due(&lease, Scope::All, None, 1 + argument as usize % 7).await.unwrap();
        let (mut settlements, mut luck) = (Vec::new(), argument / 3);
        for work in work {
            let modelled = self.entries.get_mut(&EntryKey { domain: name.clone(), id: work.id }).unwrap();
            let waiting =
                modelled.recipients.iter().filter(|(_, state)| **state == (DeliveryState::Queued, false));
            assert_eq!(work.waiting, waiting.map(|(index, _)| *index).collect::<Vec<_>>());
            let mut outcomes = Vec::new();
            for index in work.waiting {
                luck = luck.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (outcome, state) = match luck >> 24 & 3 {
                    0 => (deferred(None), DeliveryState::Queued),
                    1 => (Outcome::Failed { reply: reply(550) }, DeliveryState::Failed),
                    _ => (Outcome::Delivered, DeliveryState::Delivered),
                };
                outcomes.push((index, outcome));
                modelled.recipients.insert(index, (state, false));
            }
            modelled.settle_down(subject.clock.wall());
            settlements.push(Settlement { id: work.id, outcomes });
        }
        subject.store.settle(&lease, settlements).await.unwrap();
        self.entries.retain(|_, entry| entry.state().is_some());
    }

    async fn hold(&mut self, subject: &Subject, argument: u32) {
        let keys = self.pick(argument);
        let mut changed = 0;
        for key in &keys {
            let entry = self.entries.get_mut(key).unwrap();
            let new = entry.state() != Some(DeliveryState::Deleted) && !entry.held;
            entry.held |= new;
            changed += u64::from(new);
        }
        let held =
            subject.store.hold(&keys, "stopped by the operator; the reason was lost with the index").await;
        assert_eq!(held.unwrap(), changed);
    }

    async fn release(&mut self, subject: &Subject, argument: u32) {
        let (keys, now) = (self.pick(argument), subject.clock.wall());
        let mut changed = 0;
        for key in &keys {
            let entry = self.entries.get_mut(key).unwrap();
            let mut new = std::mem::take(&mut entry.held);
            for (state, _) in entry.recipients.values_mut().filter(|(_, deleted)| !deleted) {
                if matches!(state, DeliveryState::Failed | DeliveryState::Expired | DeliveryState::Dead) {
                    (*state, new) = (DeliveryState::Queued, true);
                }
            }
            entry.settle_down(now);
            changed += u64::from(new);
        }
        assert_eq!(subject.store.release(&keys).await.unwrap(), changed);
    }

    async fn delete(&mut self, subject: &Subject, argument: u32) {
        let (keys, now) = (self.pick(argument), subject.clock.wall());
        let mut changed = 0;
        for key in &keys {
            let entry = self.entries.get_mut(key).unwrap();
            let mut new = false;
            for (_, deleted) in
                entry.recipients.values_mut().filter(|(state, _)| *state != DeliveryState::Delivered)
            {
                new |= !std::mem::replace(deleted, true);
            }
            if new {
                entry.parked = Some(now);
            }
            changed += u64::from(new);
        }
        assert_eq!(subject.store.delete(&keys, "no longer wanted").await.unwrap(), changed);
    }

    async fn restore(&mut self, subject: &Subject, argument: u32) {
        let (keys, now) = (self.pick(argument), subject.clock.wall());
        let mut changed = 0;
        for key in &keys {
            let entry = self.entries.get_mut(key).unwrap();
            let mut new = false;
            for (_, deleted) in entry.recipients.values_mut() {
                new |= std::mem::take(deleted);
            }
            if new {
                entry.parked = None;
                entry.settle_down(now);
            }
            changed += u64::from(new);
        }
        assert_eq!(subject.store.restore(&keys).await.unwrap(), changed);
    }

    async fn toggle_domain(&mut self, subject: &Subject, argument: u32) {
        let name = domain(DOMAINS[argument as usize % 3]);
        if self.held.remove(&name) {
            assert!(subject.store.release_domain(&name).await.unwrap());
        } else {
            subject.store.hold_domain(&name, HoldOrder::new(HoldKind::Operator, "because")).await.unwrap();
            self.held.insert(name);
        }
    }

    async fn expire(&mut self, subject: &Subject, argument: u32) {
        let (name, now) = (domain(DOMAINS[argument as usize % 3]), subject.clock.wall());
        let cutoff = UnixMillis(now.0 - 3_600_000 * u64::from(argument / 3 % 8));
        let mut expired = 0;
        for (_, entry) in
            self.entries.iter_mut().filter(|(key, _)| key.domain == name && !self.held.contains(&name))
        {
            if entry.waits() && entry.arrived < cutoff {
                let queued =
                    entry.recipients.values_mut().filter(|state| **state == (DeliveryState::Queued, false));
                queued.for_each(|(state, _)| *state = DeliveryState::Expired);
                entry.settle_down(now);
                expired += 1;
            }
        }
        assert_eq!(subject.store.expire(&name, cutoff, 1000).await.unwrap().len(), expired);
    }

    async fn purge(&mut self, subject: &Subject, argument: u32) {
        let (name, now) = (domain(DOMAINS[argument as usize % 3]), subject.clock.wall());
        let ago = |hours: u32| UnixMillis(now.0 - 3_600_000 * u64::from(hours % 8));
        let (deleted, parked) = (ago(argument / 3), ago(argument / 24));
        let over = |key: &EntryKey, entry: &Modelled| {
            let since = entry.parked.unwrap_or(UnixMillis::MAX);
            key.domain == name
                && match entry.state() {
                    Some(DeliveryState::Deleted) => since < deleted,
                    Some(DeliveryState::Failed | DeliveryState::Expired | DeliveryState::Dead) => {
                        since < parked && !entry.held && !self.held.contains(&name)
                    }
                    _ => false,
                }
        };
        let gone: BTreeSet<_> =
            self.entries.iter().filter(|(key, entry)| over(key, entry)).map(|(key, _)| key.clone()).collect();
        self.entries.retain(|key, _| !gone.contains(key));
        let purged = subject.store.purge(&name, deleted, parked, 1000).await.unwrap();
        assert_eq!(purged.into_iter().collect::<BTreeSet<_>>(), gone);
    }

    async fn conclude(&mut self, subject: &Subject, argument: u32) {
        let how = if argument & 1 == 0 { Conclusion::Reported } else { Conclusion::Dead };
        let (keys, now) = (self.pick(argument / 2), subject.clock.wall());
        let recipients: Vec<u16> = (0..4).filter(|index| argument >> (index + 3) & 1 == 1).collect();
        for key in keys {
            let entry = self.entries.get_mut(&key).unwrap();
            let mut concluded = 0;
            for (_, recipient) in entry.recipients.iter_mut().filter(|(index, _)| recipients.contains(index))
            {
                if is_unreported(recipient) {
                    // Reported is as good as delivered: nothing is left of it.
                    let to =
                        [DeliveryState::Delivered, DeliveryState::Dead][usize::from(how == Conclusion::Dead)];
                    (recipient.0, concluded) = (to, concluded + 1);
                }
            }
            if concluded > 0 {
                entry.parked = entry.parked.filter(|_| how == Conclusion::Reported);
                entry.settle_down(now);
            }
            assert_eq!(subject.store.conclude(&key, &recipients, how).await.unwrap(), concluded);
        }
        self.entries.retain(|_, entry| entry.state().is_some());
    }

    async fn compare_unreported(&self, subject: &Subject) {
        for name in DOMAINS.map(domain) {
            let found = subject.store.unreported(&name, None, 1000).await.unwrap();
            let found: Vec<_> = found.into_iter().map(|entry| entry.key).collect();
            let unreported = |entry: &Modelled| entry.recipients.values().any(is_unreported);
            let expected = self.entries.iter().filter(|(key, entry)| key.domain == name && unreported(entry));
            assert_eq!(found, expected.map(|(key, _)| key.clone()).collect::<Vec<_>>());
        }
    }

    async fn compare(&self, subject: &Subject) {
        for name in DOMAINS.map(domain) {
            let stats = subject.store.stats(&name);
            let of_domain =
                || self.entries.iter().filter(|(key, _)| key.domain == name).map(|(_, entry)| entry);
            let waiting = || of_domain().filter(|entry| entry.waits());
            assert_eq!(stats.messages, waiting().count() as u64, "{name}: {:?}", self.entries);
            assert_eq!(stats.bytes, waiting().map(|entry| entry.size).sum::<u64>());
            assert_eq!(stats.oldest, waiting().map(|entry| entry.arrived).min());
            assert_eq!(stats.newest, waiting().map(|entry| entry.arrived).max());
            assert_eq!(
                stats.parked.values().sum::<u64>(),
                of_domain().filter(|entry| !entry.waits()).count() as u64
            );
            assert_eq!(stats.held.is_some(), self.held.contains(&name));
        }
        let all = Filter { states: DeliveryState::ALL.to_vec(), ..Filter::default() };
        let listed = subject.store.list(&all, None, 1000).await.unwrap();
        assert!(listed.next.is_none());
        let mut expected = self.entries.iter();
        for entry in listed.entries {
            let (key, modelled) = expected.next().expect("nothing is listed that is not there");
            let state =
                if entry.state == DeliveryState::Deferred { DeliveryState::Queued } else { entry.state };
            assert_eq!((&entry.key, Some(state)), (key, modelled.state()));
            assert_eq!(entry.held.is_some(), modelled.held, "{key:?}");
        }
        assert!(expected.next().is_none(), "nothing is missing");
        if let Some((one, _)) = self.entries.first_key_value() {
            assert_eq!(subject.store.get(&key(one.domain.as_str(), one.id)).await.unwrap().key, *one);
        }
    }
}
