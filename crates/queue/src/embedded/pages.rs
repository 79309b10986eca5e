//! Entries as the administrator sees them: one, or a page of those that pass a filter.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use restante_types::{ClientFacts, DeliveryState, Domain, Envelope, QueueId, ReversePath, Vouched};

use super::shared::{Shared, Stretch};
use crate::entry::{Entry, EntryKey, RecipientStatus};
use crate::error::StoreError;
use crate::filter::{Cursor, Filter, ListPage};
use crate::index::EntryValue;
use crate::limits::{LIST_WORK, MAX_PAGE};
use crate::log::StoredMessage;
use crate::stats::HoldKind;

/// A key to look at, with its entry if there is one.
type Candidate = (EntryKey, Option<EntryValue>);

/// Entries taken at once while a page is made.
const STEP: usize = 128;

impl Shared {
    pub(super) async fn get(self: &Arc<Self>, key: &EntryKey) -> Result<Entry, StoreError> {
        let key = key.clone();
        self.blocking(move |shared| {
            shared.readable()?;
            let entry = shared.entry(&key)?.ok_or(StoreError::NotFound)?;
            shared.show(key, &entry)?.ok_or(StoreError::NotFound)
        })
        .await
    }

    pub(super) async fn list(
        self: &Arc<Self>,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let (filter, after) = (filter.clone(), after.map(|cursor| cursor.0.clone()));
        let limit = limit.clamp(1, MAX_PAGE);
        self.blocking(move |shared| {
            shared.readable()?;
            shared.page(&filter, after, limit)
        })
        .await
    }

    /// A list of half the queue would mislead.
    fn readable(&self) -> Result<(), StoreError> {
        self.books.lock().condition.check()
    }

    fn page(
        &self,
        filter: &Filter,
        mut after: Option<EntryKey>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let mut page = ListPage { entries: Vec::new(), next: None };
        let mut looked_at = 0;
        loop {
            let (candidates, end) = self.candidates(filter, after.as_ref(), STEP)?;
            looked_at += candidates.len();
            for (key, entry) in candidates {
                after = Some(key.clone());
                let Some(entry) =
                    entry.filter(|entry| passes(filter, &key, entry, self.parked_as(&key.domain)))
                else {
                    continue;
                };
                if let Some(entry) = self.show(key, &entry)?.filter(|entry| passes_record(filter, entry)) {
                    page.entries.push(entry);
                }
                if page.entries.len() == limit {
                    page.next = after.map(Cursor);
                    return Ok(page);
                }
            }
            if end {
                return Ok(page);
            }
            if looked_at >= LIST_WORK {
                page.next = after.map(Cursor);
                return Ok(page);
            }
        }
    }

    /// The next keys to look at, with their entries if there are any, and whether these were the last.
    fn candidates(
        &self,
        filter: &Filter,
        after: Option<&EntryKey>,
        limit: usize,
    ) -> Result<(Vec<Candidate>, bool), StoreError> {
        if filter.domains.is_empty() && filter.ids.is_empty() {
            let entries = self.entries(&Stretch::All(after), limit)?;
            let end = entries.len() < limit;
            return Ok((entries.into_iter().map(|(key, entry)| (key, Some(entry))).collect(), end));
        }
        let mut found = Vec::new();
        for domain in self.domains_from(filter, after, limit + 1) {
            if found.len() >= limit {
                return Ok((found, false));
            }
            let behind = after.filter(|key| key.domain == domain).map(|key| key.id);
            let room = limit - found.len();
            let of_domain = self.candidates_of(filter, &domain, behind, room)?;
            if of_domain.len() == room {
                found.extend(of_domain);
                return Ok((found, false));
            }
            found.extend(of_domain);
            // A key that no entry has: the domain is done, also where it had nothing.
            found.push((EntryKey { domain, id: QueueId::MAX }, None));
        }
        Ok((found, true))
    }

    fn candidates_of(
        &self,
        filter: &Filter,
        domain: &Domain,
        behind: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        if filter.ids.is_empty() {
            let entries = self.entries(&Stretch::Of(domain, behind), limit)?;
            return Ok(entries.into_iter().map(|(key, entry)| (key, Some(entry))).collect());
        }
        let ids: BTreeSet<_> =
            filter.ids.iter().filter(|id| behind.is_none_or(|behind| **id > behind)).collect();
        let mut found = Vec::new();
        for id in ids.into_iter().take(limit) {
            let key = EntryKey { domain: domain.clone(), id: *id };
            let entry = self.entry(&key)?;
            found.push((key, entry));
        }
        Ok(found)
    }

    /// The domains a list still has to go through, in order.
    fn domains_from(&self, filter: &Filter, after: Option<&EntryKey>, limit: usize) -> Vec<Domain> {
        let ahead = |domain: &&Domain| {
            after.is_none_or(|key| **domain > key.domain || (**domain == key.domain && key.id < QueueId::MAX))
        };
        if filter.domains.is_empty() {
            return self.books.lock().domains.keys().filter(ahead).take(limit).cloned().collect();
        }
        let domains: BTreeSet<_> = filter.domains.iter().filter(ahead).collect();
        domains.into_iter().take(limit).cloned().collect()
    }

    /// As what the waiting entries of a stopped domain are shown: those of a domain that is orphaned or misrouted.
    fn parked_as(&self, domain: &Domain) -> Option<DeliveryState> {
        match self.books.lock().held(domain)?.kind {
            HoldKind::Operator | HoldKind::Circuit => None,
            HoldKind::Orphaned => Some(DeliveryState::Orphaned),
            HoldKind::Misrouted => Some(DeliveryState::Misrouted),
        }
    }

    /// An entry with what its record says; `None` if it has just gone.
    pub(super) fn show(&self, key: EntryKey, value: &EntryValue) -> Result<Option<Entry>, StoreError> {
        let message = match self.log.read(value.place) {
            Ok(message) if message.id == key.id => Some(message),
            Ok(_) | Err(StoreError::NotFound) => return Ok(None),
            Err(StoreError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        let parked_as = self.parked_as(&key.domain);
        let state = if message.is_some() { shown(value.state(), parked_as) } else { DeliveryState::Damaged };
        let recipients =
            message.as_ref().map(|message| recipients(value, message, parked_as)).unwrap_or_default();
        let (envelope, client, vouched) = match message {
            Some(message) => (message.envelope, message.client, message.vouched),
            None => unreadable(),
        };
        Ok(Some(Entry {
            key,
            envelope: Arc::new(envelope),
            client,
            arrived: value.arrived,
            size: value.size,
            recipients,
            state,
            held: value.held.clone(),
            next_attempt: value.due(),
            vouched,
        }))
    }
}

fn shown(state: DeliveryState, parked_as: Option<DeliveryState>) -> DeliveryState {
    parked_as.filter(|_| state.waits()).unwrap_or(state)
}

fn recipients(
    value: &EntryValue,
    message: &StoredMessage,
    parked_as: Option<DeliveryState>,
) -> Vec<RecipientStatus> {
    let status = |recipient: &crate::index::RecipientValue| {
        Some(RecipientStatus {
            index: recipient.index,
            mailbox: message.envelope.recipients.get(usize::from(recipient.index))?.mailbox.clone(),
            state: shown(recipient.state.shown(), parked_as),
            attempts: recipient.attempts,
            last_reply: value.reply(recipient).cloned(),
        })
    };
    // What was concluded as reported is gone, though its message may have others.
    value.recipients.iter().filter(|recipient| !recipient.state.purged).filter_map(status).collect()
}

/// What stands for the envelope of a record that cannot be read.
fn unreadable() -> (Envelope, ClientFacts, Vouched) {
    let envelope = Envelope {
        sender: ReversePath::Null,
        recipients: Vec::new(),
        body: restante_types::Body::EightBitMime,
        smtputf8: false,
        ret: None,
        envid: None,
    };
    let client = ClientFacts {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        helo: String::new(),
        identity: None,
        tls: None,
    };
    (envelope, client, Vouched::Unchecked)
}

/// The conditions that the index alone can tell.
fn passes(filter: &Filter, key: &EntryKey, entry: &EntryValue, parked_as: Option<DeliveryState>) -> bool {
    let listed = filter.ids.is_empty() || filter.ids.contains(&key.id);
    let old = filter.older_than.is_none_or(|time| entry.arrived < time);
    let young = filter.younger_than.is_none_or(|time| entry.arrived > time);
    let large = filter.larger.is_none_or(|size| entry.size > size);
    let small = filter.smaller.is_none_or(|size| entry.size < size);
    listed
        && old
        && young
        && large
        && small
        && in_state(filter, entry, parked_as)
        && for_reason(filter, entry)
}

fn in_state(filter: &Filter, entry: &EntryValue, parked_as: Option<DeliveryState>) -> bool {
    if filter.states.is_empty() {
        return entry.state() != DeliveryState::Deleted;
    }
    let states = entry.recipients.iter().map(|recipient| recipient.state).filter(|state| !state.is_done());
    states.into_iter().any(|state| filter.states.contains(&shown(state.shown(), parked_as)))
}

fn for_reason(filter: &Filter, entry: &EntryValue) -> bool {
    let Some(part) = &filter.reason else { return true };
    let replies = entry.recipients.iter().filter_map(|recipient| entry.reply(recipient));
    let reasons = entry.held.iter().chain(&entry.note);
    replies.map(ToString::to_string).chain(reasons.cloned()).any(|text| contains(&text, part))
}

/// The conditions for which the record had to be read.
fn passes_record(filter: &Filter, entry: &Entry) -> bool {
    let from = filter.from.as_ref().is_none_or(|part| match &entry.envelope.sender {
        ReversePath::Null => part == "<>",
        ReversePath::Mailbox(mailbox) => contains(&mailbox.to_string(), part),
    });
    let to = filter.to.as_ref().is_none_or(|part| {
        entry.recipients.iter().any(|recipient| contains(&recipient.mailbox.to_string(), part))
    });
    from && to
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}
