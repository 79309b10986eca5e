//! Why a domain's mail did not leave: the last failed attempt, with what was said on the line.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use restante_smtp::{Speaker, Transcript};
use restante_types::{Domain, UnixMillis};

use crate::limits::{WHY_DOMAINS, WHY_HEAD, WHY_LINE, WHY_LINES, WHY_TOTAL};

/// Who said a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We, the client.
    Client,
    /// The next hop, the server.
    Server,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When it ended.
    pub at: UnixMillis,
    /// The next hop, as a [`Hop`](crate::Hop) is shown; empty where no hop was found.
    pub hop: String,
    /// What was wrong, in one sentence.
    pub verdict: String,
    /// What was said, in order, without line ends; no content of messages, no secret. Not yet safe to show.
    pub dialogue: Vec<(Side, String)>,
}

/// The last failed attempt of each domain. Kept in memory only: after a restart the next attempt tells again. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct WhyBook {
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    by_domain: HashMap<Domain, (u64, LastFailure)>,
    /// The oldest first.
    order: BTreeMap<u64, Domain>,
    /// The same of queues of notices, which go first.
    notices: BTreeMap<u64, Domain>,
    written: u64,
    octets: usize,
}

impl WhyBook {
    /// Records an attempt in place of the one before it. A long dialogue keeps its beginning and its end, a long line
    /// its beginning; where there are too many domains, those that failed longest ago are forgotten, queues of notices before
    /// any other: strangers make as many of them as they like.
    pub fn record(&self, domain: Domain, mut failure: LastFailure) {
        bound(&mut failure);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.remove(&domain);
        pages.written += 1;
        let number = pages.written;
        pages.octets += octets(&failure);
        pages.order_of(&domain).insert(number, domain.clone());
        pages.by_domain.insert(domain, (number, failure));
        while pages.by_domain.len() > WHY_DOMAINS || pages.octets > WHY_TOTAL {
            let Some((_, oldest)) = pages.notices.pop_first().or_else(|| pages.order.pop_first()) else {
                break;
            };
            pages.remove(&oldest);
        }
    }

    /// Records what a conversation came to, if that was no success: `verdict` where it ended badly, else the first
    /// refusal of mail in it.
    pub(crate) fn tell(
        &self,
        domain: &Domain,
        hop: String,
        at: UnixMillis,
        verdict: Option<String>,
        transcript: &Transcript,
    ) {
        let refused = || transcript.refusal().map(|(stage, words)| format!("refused at {stage}: {words}"));
        let Some(verdict) = verdict.or_else(refused) else { return };
        let side = |(who, line)| match who {
            Speaker::Server => (Side::Server, line),
            Speaker::Client | Speaker::Nobody => (Side::Client, line),
        };
        let dialogue = transcript.lines().into_iter().map(side).collect();
        self.record(domain.clone(), LastFailure { at, hop, verdict, dialogue });
    }

    /// The last failed attempt, if there was one since the start that is not forgotten.
    #[must_use]
    pub fn get(&self, domain: &Domain) -> Option<LastFailure> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.by_domain.get(domain).map(|(_, failure)| failure.clone())
    }
}

impl Pages {
    fn order_of(&mut self, domain: &Domain) -> &mut BTreeMap<u64, Domain> {
        if domain.notices_to().is_some() { &mut self.notices } else { &mut self.order }
    }

    fn remove(&mut self, domain: &Domain) {
        if let Some((number, failure)) = self.by_domain.remove(domain) {
            self.order_of(domain).remove(&number);
            self.octets -= octets(&failure);
        }
    }
}

/// What it takes, with what every line costs besides its text.
fn octets(failure: &LastFailure) -> usize {
    let lines: usize =
        failure.dialogue.iter().map(|(_, line)| line.len() + size_of::<(Side, String)>()).sum();
    lines + failure.hop.len() + failure.verdict.len() + size_of::<LastFailure>()
}

fn bound(failure: &mut LastFailure) {
    let left_out = failure.dialogue.len().saturating_sub(WHY_LINES);
    if left_out > 0 {
        // One more makes room for the line that tells of it.
        let told = (Side::Client, format!("({} lines left out)", left_out + 1));
        failure.dialogue.splice(WHY_HEAD..=WHY_HEAD + left_out, [told]);
    }
    let lines = failure.dialogue.iter_mut().map(|(_, line)| line);
    lines.chain([&mut failure.hop, &mut failure.verdict]).for_each(cut);
    failure.dialogue.shrink_to_fit();
}

fn cut(line: &mut String) {
    const MARK: &str = "…";
    if line.len() > WHY_LINE {
        line.truncate(line.floor_char_boundary(WHY_LINE - MARK.len()));
        line.push_str(MARK);
    }
    line.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(at: u64, lines: usize, width: usize) -> LastFailure {
        let line = |n: usize| (Side::Server, format!("{n} {}", "ü".repeat(width)));
        LastFailure {
            at: UnixMillis(at),
            hop: "mx.example.org[192.0.2.1]:25".to_owned(),
            verdict: "it closed the connection".to_owned(),
            dialogue: (0..lines).map(line).collect(),
        }
    }

    fn name(number: usize) -> Domain {
        format!("d{number}.example").parse().unwrap()
    }

    #[test]
    fn the_last_attempt_of_each_domain_is_kept() {
        let book = WhyBook::default();
        book.record(name(1), failure(1, 3, 0));
        book.record(name(1), failure(2, 2, 0));
        book.record(name(2), failure(3, 1, 0));
        assert_eq!(book.get(&name(1)), Some(failure(2, 2, 0)));
        assert_eq!(book.get(&name(2)).unwrap().at, UnixMillis(3));
        assert_eq!(book.get(&name(3)), None);
    }

    #[test]
    fn long_dialogues_keep_their_beginning_and_their_end() {
        let book = WhyBook::default();
        book.record(name(1), failure(1, 1000, 1000));
        let kept = book.get(&name(1)).unwrap().dialogue;
        assert_eq!(kept.len(), WHY_LINES);
        assert!(kept.iter().all(|(_, line)| line.len() <= WHY_LINE), "{kept:?}");
        assert!(kept[WHY_HEAD - 1].1.starts_with(&format!("{} ", WHY_HEAD - 1)));
        assert_eq!(kept[WHY_HEAD].1, format!("({} lines left out)", 1000 - WHY_LINES + 1));
        assert!(kept[WHY_LINES - 1].1.starts_with("999 ü") && kept[WHY_LINES - 1].1.ends_with('…'));
        book.record(name(1), failure(1, WHY_LINES, 0));
        assert_eq!(book.get(&name(1)).unwrap().dialogue, failure(1, WHY_LINES, 0).dialogue);
    }

    #[test]
    fn notices_push_out_no_held_domain() {
        let book = WhyBook::default();
        book.record(name(1), failure(1, 1, 0));
        let notices = |number: usize| name(number).notice_queue().unwrap();
        for number in 0..=WHY_DOMAINS {
            book.record(notices(number), failure(2, 1, 0));
        }
        assert!(book.get(&name(1)).is_some());
        assert!(book.get(&notices(0)).is_none() && book.get(&notices(WHY_DOMAINS)).is_some());
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let book = WhyBook::default();
        for number in 0..=WHY_DOMAINS {
            book.record(name(number), failure(1, 1, 0));
            book.record(name(1), failure(2, 1, 0));
        }
        assert_eq!(book.get(&name(0)), None);
        assert!(book.get(&name(1)).is_some(), "it failed again after that");
        assert!(book.get(&name(WHY_DOMAINS)).is_some());
        let full = WhyBook::default();
        for number in 0..=2 * WHY_TOTAL / (WHY_LINES * WHY_LINE) {
            full.record(name(number), failure(1, WHY_LINES, WHY_LINE));
        }
        let pages = full.pages.lock().unwrap();
        assert!(pages.octets <= WHY_TOTAL && pages.octets > WHY_TOTAL / 2, "{}", pages.octets);
        assert_eq!(pages.order.len(), pages.by_domain.len());
        assert!(!pages.by_domain.contains_key(&name(0)));
    }
}
