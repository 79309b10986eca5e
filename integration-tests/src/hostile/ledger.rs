//! The books: what was sent and acknowledged, what arrived, and what of that came twice and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::said::{Entry, Said};
use super::{Arrival, Attempt, Letter};

/// What was said to us and not yet recorded when a process was killed comes again; recording takes milliseconds, and
/// this much where the disk stands still.
const UNRECORDED: Duration = Duration::from_secs(10);
/// Mistakes that are listed; more are counted.
const LISTED: usize = 10;

#[derive(Debug, Clone, Default)]
struct Sent {
    recipients: Vec<String>,
    /// Attempts whose content was sent to its end.
    ended: usize,
    ids: Vec<String>,
}

/// What was sent, by number.
#[derive(Debug, Default)]
pub struct Ledger {
    sent: Mutex<BTreeMap<usize, Sent>>,
}

/// What became of everything.
#[derive(Debug, Default)]
pub struct Account {
    /// Messages acknowledged to their senders.
    pub accepted: usize,
    /// Messages that were taken, and whose 250 the sender did not hear.
    pub accepted_unheard: usize,
    /// Recipients that got their message.
    pub delivered: usize,
    /// Recipients whose message waits, or is kept for the owner.
    pub held: usize,
    /// Recipients whose sender was told that they get nothing.
    pub reported: usize,
    /// Recipients whose message the operator deleted.
    pub deleted: usize,
    /// Copies that came again because our 250 was cut off.
    pub doubled_unheard: usize,
    /// Copies that came again because a reset came right behind our 250.
    pub doubled_reset: usize,
    /// Copies that came again because the server was killed before it recorded our 250.
    pub doubled_killed: usize,
    /// Copies that came again because the customer had called again, and waited no longer for the end of its first call.
    pub doubled_called: usize,
    /// Copies that were said by a repeated connection; they prove nothing, because nobody hears its answers.
    pub doubled_replayed: usize,
    /// What a repeated connection said in the wrong place: nothing that anybody sent.
    pub garbled_replayed: usize,
    /// Recipients that got nothing, and nobody said so.
    pub lost: Vec<String>,
    /// Ids of what is lost, or came again without a reason.
    pub suspects: BTreeSet<String>,
    /// Copies that came again without any reason.
    pub doubled_wrongly: Vec<String>,
    /// What arrived and is not what was sent.
    pub damaged: Vec<String>,
    /// Ids of a message beyond those that its senders' attempts and the repeated connections explain.
    pub unexplained_ids: usize,
}

/// What the server says is left, and what was done to it.
#[derive(Debug, Default)]
pub struct Circumstances {
    /// What `list` shows.
    pub held: BTreeSet<Entry>,
    /// What the operator deleted.
    pub deleted: BTreeSet<Entry>,
    /// What its log says.
    pub said: Said,
    /// When it was dead after having been killed.
    pub kills: Vec<Instant>,
    /// Repeated connections to it.
    pub replays: usize,
}

impl Circumstances {
    /// Whether the message, or the notice that tells of its failure, is one of these.
    fn is_among(&self, entries: &BTreeSet<Entry>, id: &str, recipient: &str) -> bool {
        let domain = recipient.rsplit('@').next().unwrap_or_default();
        if entries.contains(&(id.to_owned(), domain.to_owned())) {
            return true;
        }
        let failed = self.said.failed.contains(&(id.to_owned(), recipient.to_owned()));
        let notices = self.said.notices.get(id).filter(|_| failed);
        notices.is_some_and(|notices| entries.iter().any(|(id, _)| notices.contains(id)))
    }

    /// Whether the server was killed before it can have recorded what arrived: on a connection that it had when it was
    /// killed, and so late.
    fn explain(&self, arrival: &Arrival) -> bool {
        self.kills.iter().any(|kill| {
            let open = arrival.passage.as_ref().is_none_or(|passage| passage.began <= *kill);
            open && arrival.at + UNRECORDED >= *kill
        })
    }

    /// Whether it came over a customer's connection that the server broke off, because the customer called again.
    fn was_broken_off(&self, arrival: &Arrival) -> bool {
        arrival.passage.as_ref().is_some_and(|passage| self.said.broken_off.contains(&passage.source()))
    }
}

impl Ledger {
    /// Notes an attempt.
    pub fn note(&self, seed: usize, recipients: &[String], attempt: &Attempt) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = sent.entry(seed).or_default();
        recipients.clone_into(&mut entry.recipients);
        match attempt {
            Attempt::Acknowledged(id) => {
                entry.ended += 1;
                entry.ids.push(id.clone());
            }
            Attempt::Unknown => entry.ended += 1,
            Attempt::Refused(_) | Attempt::Unsent => {}
        }
    }

    /// How many messages were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.values().filter(|entry| !entry.ids.is_empty()).count()
    }

    /// Sums up.
    #[must_use]
    pub fn account(&self, arrivals: &[Arrival], circumstances: &Circumstances) -> Account {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut account = Account::default();
        let copies = Copies::of(arrivals, &mut account);
        let mut ids: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (seed, entry) in sent.iter() {
            account.accepted += entry.ids.len();
            ids.entry(*seed).or_default().extend(entry.ids.iter().cloned());
        }
        for ((id, _), seed) in &copies.seeds {
            ids.entry(*seed).or_default().insert(id.clone());
        }
        let mut extra = 0;
        for (seed, ids) in &ids {
            let Some(entry) = sent.get(seed) else {
                account.damaged.push(format!("{seed} was never sent"));
                continue;
            };
            account.accepted_unheard += ids.len() - entry.ids.len();
            extra += ids.len().saturating_sub(entry.ended);
            let what = format!("sample {seed}");
            for (id, recipient) in ids.iter().flat_map(|id| entry.recipients.iter().map(move |to| (id, to))) {
                account.enter(&what, id, recipient, &copies, circumstances);
            }
        }
        account.unexplained_ids = extra.saturating_sub(circumstances.replays);
        // What was taken and never arrived as mail is known from the log alone.
        let known: BTreeSet<&String> = ids.values().flatten().collect();
        for (id, recipients) in circumstances.said.accepted.iter().filter(|(id, _)| !known.contains(id)) {
            account.accepted_unheard += 1;
            for recipient in recipients {
                account.enter("unheard", id, recipient, &copies, circumstances);
            }
        }
        for (what, notices) in copies.reported.iter().filter(|(_, notices)| notices.len() > 1) {
            account.suspects.insert(what.0.clone());
            account.doubled_wrongly.push(format!("{what:?} reported by {notices:?}"));
        }
        for ((id, _), again) in &copies.by_recipient {
            account.doubles(id, again, circumstances);
        }
        account
    }
}

/// What arrived, by id and recipient, in the order of arrival.
#[derive(Default)]
struct Copies<'a> {
    by_recipient: BTreeMap<(String, String), Vec<&'a Arrival>>,
    seeds: BTreeMap<(String, String), usize>,
    /// The ids of the notices about a message and its recipient.
    reported: BTreeMap<(String, String), BTreeSet<String>>,
}

impl<'a> Copies<'a> {
    fn of(arrivals: &'a [Arrival], account: &mut Account) -> Self {
        let mut copies = Self::default();
        for arrival in arrivals {
            let whole = !matches!(arrival.letter, Letter::Strange(_) | Letter::Mail { whole: false, .. });
            if arrival.is_replayed() {
                // Nobody heard its 250, so that the message has to come otherwise too. Where the other end answers in
                // another way this time, the rest is said in the wrong place.
                let count = if whole { &mut account.doubled_replayed } else { &mut account.garbled_replayed };
                *count += if whole { arrival.recipients.len() } else { 1 };
                continue;
            }
            if !whole {
                account.damaged.push(format!("{:?} over {:?}", arrival.letter, arrival.passage));
            }
            let id = match &arrival.letter {
                Letter::Mail { seed, id, .. } => {
                    for recipient in &arrival.recipients {
                        copies.seeds.insert((id.clone(), recipient.clone()), *seed);
                    }
                    id
                }
                Letter::Notice { about, id, recipient } => {
                    let told = copies.reported.entry((about.clone(), recipient.clone())).or_default();
                    told.insert(id.clone());
                    id
                }
                Letter::Strange(_) => continue,
            };
            for recipient in &arrival.recipients {
                copies.by_recipient.entry((id.clone(), recipient.clone())).or_default().push(arrival);
            }
        }
        copies
    }
}

impl Account {
    fn enter(&mut self, what: &str, id: &str, recipient: &str, copies: &Copies<'_>, told: &Circumstances) {
        let key = (id.to_owned(), recipient.to_owned());
        if copies.by_recipient.contains_key(&key) {
            self.delivered += 1;
        } else if copies.reported.contains_key(&key) {
            self.reported += 1;
        } else if told.is_among(&told.deleted, id, recipient) {
            self.deleted += 1;
        } else if told.is_among(&told.held, id, recipient) {
            self.held += 1;
        } else {
            self.suspects.insert(id.to_owned());
            self.lost.push(format!("{what} to {recipient} ({id})"));
        }
    }

    /// Every copy but one needs a reason why there was one more. Which one does not is not a matter of the order: what
    /// stood still in the network arrives behind the copy that was sent after it.
    fn doubles(&mut self, id: &str, copies: &[&Arrival], told: &Circumstances) {
        let mut heard = copies.to_vec();
        heard.sort_by_key(|arrival| arrival.at);
        if heard.is_empty() {
            return;
        }
        let final_one = heard.iter().rposition(|arrival| !Self::has_reason(arrival, told));
        heard.remove(final_one.unwrap_or(heard.len() - 1));
        for arrival in heard {
            if !arrival.was_heard() {
                self.doubled_unheard += 1;
            } else if told.explain(arrival) {
                self.doubled_killed += 1;
            } else if arrival.was_reset_behind() {
                self.doubled_reset += 1;
            } else if told.was_broken_off(arrival) {
                self.doubled_called += 1;
            } else {
                self.suspects.insert(id.to_owned());
                self.doubled_wrongly.push(format!("{:?} over {:?}", arrival.letter, arrival.passage));
            }
        }
    }

    fn has_reason(arrival: &Arrival, told: &Circumstances) -> bool {
        !arrival.was_heard()
            || told.explain(arrival)
            || arrival.was_reset_behind()
            || told.was_broken_off(arrival)
    }

    /// Nothing is lost, changed, or doubled without a reason.
    ///
    /// # Panics
    /// When something is.
    pub fn assert_right(&self) {
        let some = |list: &[String]| list.iter().take(LISTED).cloned().collect::<Vec<_>>().join("\n  ");
        for (what, list) in [
            ("lost", &self.lost),
            ("doubled without a reason", &self.doubled_wrongly),
            ("changed", &self.damaged),
        ] {
            assert!(list.is_empty(), "{self}\n{} {what}:\n  {}", list.len(), some(list));
        }
        assert_eq!(self.unexplained_ids, 0, "{self}: taken more often than sent");
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accepted {} (and {} whose 250 was not heard), recipients delivered {}, held {}, reported {}, deleted {}, \
             lost {}, doubled {} (250 cut off {}, reset behind it {}, killed {}, customer called again {}, connection \
             repeated {}, no reason {}), \
             {} garbled by repeated connections",
            self.accepted,
            self.accepted_unheard,
            self.delivered,
            self.held,
            self.reported,
            self.deleted,
            self.lost.len(),
            self.doubled_unheard
                + self.doubled_reset
                + self.doubled_killed
                + self.doubled_called
                + self.doubled_replayed
                + self.doubled_wrongly.len(),
            self.doubled_unheard,
            self.doubled_reset,
            self.doubled_killed,
            self.doubled_called,
            self.doubled_replayed,
            self.doubled_wrongly.len(),
            self.garbled_replayed,
        )
    }
}
