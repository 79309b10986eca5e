//! What a log must remember, kept beside it.

use rand::Rng;
use rand::rngs::StdRng;
use restante_types::{DeliveryState, Vouched};

use super::*;

/// One message as it was handed in.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    content: Vec<u8>,
    /// Where it is, once there was a receipt.
    place: Option<Place>,
    recipients: Vec<Known>,
}

/// One recipient: the last mark that was confirmed, and those since that may or may not count.
#[derive(Debug, Clone)]
struct Known {
    sure: StateByte,
    maybe: Vec<StateByte>,
}

impl Known {
    fn can_be(&self, state: StateByte) -> bool {
        self.sure == state || self.maybe.contains(&state)
    }

    fn can_be_done(&self) -> bool {
        self.sure.is_done() || self.maybe.iter().any(|state| state.is_done())
    }
}

/// What every third message has before its content.
fn head(number: u64) -> Vec<u8> {
    if number.is_multiple_of(3) { octets(number + 1_000_000, number as usize * 37 % 600) } else { Vec::new() }
}

fn vouched(number: u64) -> Vouched {
    [Vouched::Unchecked, Vouched::No, Vouched::Spf, Vouched::Dkim][number as usize % 4]
}

/// Everything handed in so far, over all the lives of a log.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    messages: BTreeMap<QueueId, Expected>,
    next: u64,
}

impl Model {
    /// A few messages in one group, some of them large.
    pub(super) fn append(&mut self, log: &mut Bench, rng: &mut StdRng) {
        let mut group = Vec::new();
        for _ in 0..rng.random_range(1..5) {
            self.next += 1;
            let recipients = rng.random_range(1..4);
            let len =
                if rng.random_ratio(1, 6) { rng.random_range(1100..3000) } else { rng.random_range(0..900) };
            let content = octets(self.next, len);
            let Ok(sealed) = log.try_seal(&content) else { continue };
            let head = head(self.next);
            let (content, sealed) = ([&head, &content[..]].concat(), sealed.with_head(head.into()));
            let known = Known { sure: StateByte::QUEUED, maybe: Vec::new() };
            let expected = Expected { content, place: None, recipients: vec![known; recipients] };
            self.messages.insert(id(self.next), expected);
            group.push(NewMessage { vouched: vouched(self.next), ..message(self.next, recipients, sealed) });
        }
        let ids: Vec<_> = group.iter().map(|message| message.id).collect();
        for (id, answer) in ids.iter().zip(log.try_append(group)) {
            if let Ok(place) = answer {
                assert!(
                    log.shared.position()
                        > super::super::LogPosition { segment: place.segment, offset: place.offset }
                );
                self.messages.get_mut(id).unwrap().place = Some(place);
            }
        }
    }

    fn random_state(rng: &mut StdRng) -> StateByte {
        match rng.random_range(0..9) {
            0 => StateByte::QUEUED.with_held(true),
            1 => StateByte::new(DeliveryState::Failed),
            2 => StateByte::QUEUED.with_deleted(true),
            3 => StateByte::PURGED,
            4 => StateByte::new(DeliveryState::Dead),
            _ => StateByte::new(DeliveryState::Delivered),
        }
    }

    /// Marks some recipients, and forgets messages that are done.
    pub(super) fn mark(&mut self, log: &mut Bench, rng: &mut StdRng) {
        let mut marks = Vec::new();
        for expected in self.messages.values_mut() {
            let Some(place) = expected.place else { continue };
            if !rng.random_ratio(1, 4) {
                continue;
            }
            for (recipient, known) in (0..).zip(&mut expected.recipients) {
                if !known.can_be_done() && rng.random_bool(0.7) {
                    let state = Self::random_state(rng);
                    known.maybe.push(state);
                    marks.push(Mark { place, recipient, state });
                }
            }
        }
        if log.mark(marks.clone()).is_err() {
            return;
        }
        for mark in marks {
            let expected = self.messages.values_mut().find(|one| one.place == Some(mark.place)).unwrap();
            expected.recipients[usize::from(mark.recipient)] = Known { sure: mark.state, maybe: Vec::new() };
        }
    }

    /// Says which messages are done for good.
    pub(super) fn forget(&self, log: &mut Bench) {
        let done = |one: &&Expected| one.recipients.iter().all(|known| known.sure.is_done());
        let places: Vec<_> = self.messages.values().filter(done).filter_map(|one| one.place).collect();
        log.forget(places);
    }

    /// Compares the log with what was promised; how many messages were acknowledged before, and how many of them are
    /// there: all others are done.
    pub(super) fn check(&mut self, log: &Bench) -> (usize, usize) {
        let (live, damaged) = log.scan();
        let acknowledged = self.messages.values().filter(|expected| expected.place.is_some()).count();
        let mut found = 0;
        assert_eq!(damaged, [], "a loss of power is no damage");
        for (id, (place, message)) in &live {
            let expected = self.messages.get_mut(id).expect("a message that nobody handed in");
            assert_eq!(log.content(*place).unwrap(), expected.content);
            assert_eq!(log.read(*place).unwrap(), *message);
            let number = u64::try_from(u128::from_be_bytes(id.to_bytes()) >> 80).unwrap();
            assert_eq!((message.vouched, message.size), (vouched(number), expected.content.len() as u64));
            if let Some(before) = expected.place {
                assert_eq!(before, *place);
                found += 1;
            }
            // What was found is on the disk for good from now on.
            expected.place = Some(*place);
            for (known, state) in expected.recipients.iter_mut().zip(&message.states) {
                assert!(known.can_be(*state), "{state:?} is none of {known:?}");
                *known = Known { sure: *state, maybe: Vec::new() };
            }
        }
        for (id, expected) in &mut self.messages {
            if expected.place.is_some() && !live.contains_key(id) {
                let done = expected.recipients.iter().all(Known::can_be_done);
                assert!(done, "{id} was acknowledged and is gone: {expected:?}");
            }
        }
        // What is gone stays gone, or comes back done: a removal that was not synced may be undone by a loss of power.
        self.messages.retain(|id, expected| expected.place.is_some() || live.contains_key(id));
        (acknowledged, found)
    }
}
