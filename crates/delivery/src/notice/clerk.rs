//! Where couriers, settlers and housekeeping say that somebody may have to be told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_queue::{EntryKey, Outcome, Settlement};
use restante_types::{Domain, QueueId, UnixMillis};
use tokio::sync::Notify;

use super::post::PostRoom;
use crate::limits::NOTED;

/// Takes note; somebody else writes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Clerk {
    pub(super) post: PostRoom,
    inside: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    book: Mutex<Book>,
    changed: Notify,
}

#[derive(Default)]
struct Book {
    /// What is known about refusals and stands nowhere else; a notice without it is still right, only shorter.
    refusals: BTreeMap<EntryKey, Refusal>,
    ready: BTreeSet<EntryKey>,
    /// Not everything found room: all queues want to be looked through.
    overflow: bool,
    /// When a refusal may have happened of which nothing is known here: before the start, or when there was no room.
    unknown: UnixMillis,
}

/// What the courier knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// When.
    pub(super) at: UnixMillis,
    /// By whom: a name, or an address literal.
    pub(super) remote: String,
}

impl Clerk {
    pub(crate) fn new(post: PostRoom) -> Self {
        // What was left by an earlier run is looked for first.
        let book = Book { overflow: true, unknown: (post.clock)(), ..Book::default() };
        Self { post, inside: Arc::new(Inside { book: Mutex::new(book), changed: Notify::new() }) }
    }

    /// A next hop refused recipients of a message; its outcome is not recorded yet. `hop` as hops are shown.
    pub(crate) fn refused(&self, domain: &Domain, id: QueueId, hop: &str) {
        let refusal = Refusal { at: (self.post.clock)(), remote: remote(hop) };
        let mut book = self.book();
        let key = EntryKey { domain: domain.clone(), id };
        if book.refusals.len() < NOTED || book.refusals.contains_key(&key) {
            book.refusals.insert(key, refusal);
        } else {
            book.unknown = refusal.at;
        }
    }

    /// Outcomes were recorded.
    pub(crate) fn settled(&self, domain: &Domain, settlement: &Settlement) {
        if settlement.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed { .. })) {
            self.parked(EntryKey { domain: domain.clone(), id: settlement.id });
        }
    }

    /// An entry has recipients that failed or expired, durably.
    pub(crate) fn parked(&self, key: EntryKey) {
        let mut book = self.book();
        if book.ready.len() < NOTED {
            book.ready.insert(key);
        } else {
            book.overflow = true;
        }
        drop(book);
        self.inside.changed.notify_one();
    }

    /// Anything may have changed: the settings were replaced.
    pub(crate) fn look_again(&self) {
        self.book().overflow = true;
        self.inside.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.inside.changed.notified().await;
    }

    /// Whether all queues want to be looked through; asked once.
    pub(super) fn take_overflow(&self) -> bool {
        std::mem::take(&mut self.book().overflow)
    }

    /// The next entry to look at.
    pub(super) fn next(&self) -> Option<EntryKey> {
        self.book().ready.pop_first()
    }

    /// When entries were refused of which nothing is known.
    pub(super) fn unknown_since(&self) -> UnixMillis {
        self.book().unknown
    }

    pub(super) fn refusal(&self, key: &EntryKey) -> Option<Refusal> {
        self.book().refusals.get(key).cloned()
    }

    /// Nothing is left to be told about an entry.
    pub(super) fn done(&self, key: &EntryKey) {
        let mut book = self.book();
        book.refusals.remove(key);
        book.ready.remove(key);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.inside.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a next hop is named in a notice: `mail.example.org[192.0.2.1]:25` by its name, `[192.0.2.1]:25` by its address; so
/// a customer that called, whose `the customer at` is no name.
pub(super) fn remote(hop: &str) -> String {
    match hop.split_once('[') {
        Some((name, rest)) if name.is_empty() || name.contains(' ') => {
            format!("[{}]", rest.split(']').next().unwrap_or(rest))
        }
        Some((name, _)) => name.to_owned(),
        None => hop.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_mta_is_a_name_or_an_address() {
        assert_eq!(remote("mail.example.org[192.0.2.1]:25"), "mail.example.org");
        assert_eq!(remote("[192.0.2.1]:2525"), "[192.0.2.1]");
        assert_eq!(remote("[2001:db8::1]:25"), "[2001:db8::1]");
        assert_eq!(remote("the customer at [192.0.2.1]:40000"), "[192.0.2.1]");
    }
}
