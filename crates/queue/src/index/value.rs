//! What the index knows of an entry: small, versioned, and without addresses (those are in the log's record).

use restante_types::{DeliveryState, QueueId, Reply, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_REASON, MAX_REPLIES, MAX_REPLY_TEXT};
use crate::log::{Place, StateByte};

/// One entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryValue {
    /// Its record.
    pub(crate) place: Place,
    /// Octets of content.
    pub(crate) size: u64,
    pub(crate) arrived: UnixMillis,
    /// The record has recipients of no other domain.
    pub(crate) sole: bool,
    /// It came with a first attempt of our own: its domain is pushed.
    pub(crate) scheduled: bool,
    pub(crate) attempts: u32,
    pub(crate) next_attempt: Option<UnixMillis>,
    /// Since when nothing in it waits.
    pub(crate) parked: Option<UnixMillis>,
    /// The operator's stop, with its reason.
    pub(crate) held: Option<String>,
    /// The reason of its deletion.
    pub(crate) note: Option<String>,
    pub(crate) recipients: Vec<RecipientValue>,
    pub(crate) replies: Vec<Reply>,
}

/// One recipient of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecipientValue {
    /// Index into the envelope's recipients.
    pub(crate) index: u16,
    #[serde(with = "packed")]
    pub(crate) state: RecipientState,
    pub(crate) attempts: u32,
    /// Index into the entry's replies.
    pub(crate) reply: Option<u8>,
}

/// A recipient's state with the operator's deletion over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecipientState {
    pub(crate) state: DeliveryState,
    pub(crate) deleted: bool,
    /// Removed for good.
    pub(crate) purged: bool,
}

/// Whether an entry counts as waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A drain would take it.
    Waits,
    /// It stands there in this state.
    Parked(DeliveryState),
    /// Every recipient is done for good: it is no entry any more.
    Done,
}

impl RecipientState {
    pub(crate) const fn new(state: DeliveryState) -> Self {
        Self { state, deleted: false, purged: false }
    }

    /// What people see.
    pub(crate) const fn shown(self) -> DeliveryState {
        if self.deleted { DeliveryState::Deleted } else { self.state }
    }

    pub(crate) const fn waits(self) -> bool {
        self.shown().waits() && !self.purged
    }

    /// Whether it failed or expired and nobody saw to that yet.
    pub(crate) fn is_unreported(self) -> bool {
        matches!(self.shown(), DeliveryState::Failed | DeliveryState::Expired) && !self.purged
    }

    pub(crate) fn is_done(self) -> bool {
        self.purged || self.state == DeliveryState::Delivered
    }

    /// What the log says; `Deferred` is `Queued` there.
    fn from_log(byte: StateByte) -> Self {
        Self { state: byte.state(), deleted: byte.is_deleted(), purged: byte.is_purged() }
    }
}

impl RecipientValue {
    /// The octet that the log has, or is to have, for it.
    pub(crate) fn log_state(&self, held: bool) -> StateByte {
        if self.state.purged {
            return StateByte::PURGED;
        }
        let byte = StateByte::new(self.state.state);
        if byte.is_done() { byte } else { byte.with_deleted(self.state.deleted).with_held(held) }
    }
}

impl EntryValue {
    /// The state of the least finished recipient, the operator's deletion counted.
    pub(crate) fn state(&self) -> DeliveryState {
        let states = self.recipients.iter().map(|recipient| recipient.state);
        states
            .filter(|state| !state.is_done())
            .map(RecipientState::shown)
            .min()
            .unwrap_or(DeliveryState::Delivered)
    }

    pub(crate) fn standing(&self) -> Standing {
        match self.state() {
            DeliveryState::Delivered => Standing::Done,
            state if state.waits() && self.held.is_none() => Standing::Waits,
            state => Standing::Parked(state),
        }
    }

    pub(crate) fn is_unreported(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.state.is_unreported())
    }

    /// Keeps `parked` and `next_attempt` in step with the states; call it after every change of them.
    pub(crate) fn settle_down(&mut self, now: UnixMillis) {
        if self.state().waits() {
            self.parked = None;
        } else {
            self.parked = self.parked.or(Some(now));
            self.next_attempt = None;
        }
    }

    /// When to try it on our own: a stopped entry is not tried.
    pub(crate) fn due(&self) -> Option<UnixMillis> {
        self.next_attempt.filter(|_| self.standing() == Standing::Waits)
    }

    /// Remembers a recipient's last reply; of more than [`MAX_REPLIES`] different ones the newest replaces one that
    /// nobody points at any more, or else is shared as the last.
    pub(crate) fn set_reply(&mut self, recipient: usize, reply: &Reply) {
        let reply = shortened(reply);
        let place = self.replies.iter().position(|known| *known == reply).unwrap_or_else(|| {
            self.recipients[recipient].reply = None;
            let used =
                |slot: usize| self.recipients.iter().any(|other| other.reply.map(usize::from) == Some(slot));
            let free = (0..self.replies.len()).find(|slot| !used(*slot));
            if let Some(slot) = free {
                self.replies[slot] = reply;
                return slot;
            }
            if self.replies.len() == MAX_REPLIES {
                self.replies.pop();
            }
            self.replies.push(reply);
            self.replies.len() - 1
        });
        self.recipients[recipient].reply = u8::try_from(place).ok();
    }

    pub(crate) fn reply(&self, recipient: &RecipientValue) -> Option<&Reply> {
        self.replies.get(usize::from(recipient.reply?))
    }

    /// Takes over what the log says where it says something else; whether anything changed. What the log does not
    /// know (attempts, replies, deferred, damage) stays.
    pub(crate) fn adopt(&mut self, states: &[StateByte], now: UnixMillis) -> bool {
        let held_here = self.held.is_some();
        let mut held = held_here;
        let mut changed = false;
        for recipient in &mut self.recipients {
            let Some(byte) = states.get(usize::from(recipient.index)).copied() else { continue };
            let damaged = recipient.state.state == DeliveryState::Damaged && !byte.is_done();
            let byte = if damaged { byte.damaged() } else { byte };
            if byte != recipient.log_state(held_here) {
                recipient.state = RecipientState::from_log(byte);
                changed = true;
            }
            if !byte.is_done() {
                held = byte.is_held();
            }
        }
        if held != held_here {
            self.held =
                held.then(|| "stopped by the operator; the reason was lost with the index".to_owned());
        }
        if changed {
            self.settle_down(now);
        }
        changed
    }

    /// Parks it: its record or its content cannot be had.
    pub(crate) fn spoil(&mut self, now: UnixMillis) {
        for recipient in self.recipients.iter_mut().filter(|recipient| !recipient.state.is_done()) {
            recipient.state.state = DeliveryState::Damaged;
        }
        self.settle_down(now);
    }

    /// Whether it was parked as damaged although the log, readable again, has another state for it.
    pub(crate) fn may_be_mended(&self, states: &[StateByte]) -> bool {
        self.recipients.iter().any(|recipient| {
            let byte = states.get(usize::from(recipient.index));
            recipient.state.state == DeliveryState::Damaged
                && byte.is_some_and(|byte| byte.state() != DeliveryState::Damaged)
        })
    }

    /// Takes back what [`spoil`](Self::spoil) did: all of it was read and is whole.
    pub(crate) fn mend(&mut self, states: &[StateByte], now: UnixMillis) {
        for recipient in &mut self.recipients {
            if let Some(byte) = states.get(usize::from(recipient.index))
                && recipient.state.state == DeliveryState::Damaged
            {
                recipient.state = RecipientState::from_log(*byte);
            }
        }
        self.next_attempt = self.scheduled.then_some(now);
        self.settle_down(now);
    }
}

/// A reason of the operator's, as much of it as is kept.
pub(crate) fn kept_reason(reason: &str) -> String {
    cut(reason, MAX_REASON).to_owned()
}

fn shortened(reply: &Reply) -> Reply {
    if reply.text.len() <= MAX_REPLY_TEXT {
        return reply.clone();
    }
    Reply { text: cut(&reply.text, MAX_REPLY_TEXT).to_owned().into(), ..reply.clone() }
}

fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Identifies an entry's oldest and newest: id and arrival.
pub(crate) type Arrival = (QueueId, UnixMillis);

mod packed {
    //! One octet: the state's number, and flags for deleted and purged.

    use restante_types::DeliveryState;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::RecipientState;

    const DELETED: u8 = 0x10;
    const PURGED: u8 = 0x20;

    pub(super) fn serialize<S: Serializer>(state: &RecipientState, out: S) -> Result<S::Ok, S::Error> {
        let number = DeliveryState::ALL.iter().position(|known| *known == state.state).unwrap_or(0) as u8;
        let flags = if state.deleted { DELETED } else { 0 } | if state.purged { PURGED } else { 0 };
        out.serialize_u8(number | flags)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<RecipientState, D::Error> {
        let octet = u8::deserialize(input)?;
        let state = DeliveryState::ALL.get(usize::from(octet & 0xf)).copied();
        let state = state.ok_or_else(|| D::Error::custom("no such state"))?;
        Ok(RecipientState { state, deleted: octet & DELETED != 0, purged: octet & PURGED != 0 })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entry(recipients: u16) -> EntryValue {
        EntryValue {
            place: Place { segment: 3, offset: 64 * 1_000_000 },
            size: 8192,
            arrived: UnixMillis(1_800_000_000_000),
            sole: true,
            scheduled: false,
            attempts: 0,
            next_attempt: None,
            parked: None,
            held: None,
            note: None,
            recipients: (0..recipients)
                .map(|index| RecipientValue {
                    index,
                    state: RecipientState::new(DeliveryState::Queued),
                    attempts: 0,
                    reply: None,
                })
                .collect(),
            replies: Vec::new(),
        }
    }

    fn reply(number: usize) -> Reply {
        Reply::new(450, (4, 2, 0), format!("{number} {}", "ü".repeat(1000)))
    }

    #[test]
    fn replies_are_shared_and_their_room_is_used_again() {
        let mut entry = entry(3);
        for attempt in 0..100 {
            for recipient in 0..3 {
                entry.set_reply(recipient, &reply(attempt));
            }
        }
        assert!(entry.replies.len() <= 2, "{}", entry.replies.len());
        assert_eq!(entry.reply(&entry.recipients[2]).unwrap().text, shortened(&reply(99)).text);
    }

    #[test]
    fn an_entry_shows_its_least_finished_recipient() {
        let mut entry = entry(2);
        entry.recipients[0].state = RecipientState::new(DeliveryState::Delivered);
        entry.recipients[1].state = RecipientState::new(DeliveryState::Failed);
        assert_eq!(entry.standing(), Standing::Parked(DeliveryState::Failed));
        entry.recipients[1].state.deleted = true;
        assert_eq!(entry.standing(), Standing::Parked(DeliveryState::Deleted));
        entry.recipients[1].state.purged = true;
        assert_eq!(entry.standing(), Standing::Done);
        entry.recipients[0].state = RecipientState::new(DeliveryState::Deferred);
        assert_eq!(entry.standing(), Standing::Waits);
        entry.held = Some(String::new());
        assert_eq!(entry.standing(), Standing::Parked(DeliveryState::Deferred));
    }

    #[test]
    fn the_log_wins_but_does_not_make_deferred_queued() {
        let mut entry = entry(2);
        entry.recipients[0].state = RecipientState::new(DeliveryState::Deferred);
        let queued = StateByte::QUEUED;
        assert!(!entry.adopt(&[queued, queued], UnixMillis(1)));
        assert_eq!(entry.recipients[0].state.state, DeliveryState::Deferred);
        let deleted = StateByte::new(DeliveryState::Failed).with_deleted(true).with_held(true);
        assert!(entry.adopt(&[StateByte::new(DeliveryState::Delivered), deleted], UnixMillis(1)));
        assert_eq!(entry.standing(), Standing::Parked(DeliveryState::Deleted));
        assert_eq!((entry.parked, entry.held.is_some()), (Some(UnixMillis(1)), true));
    }
}
