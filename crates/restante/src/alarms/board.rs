//! Which alarms are open. Each opens once and closes once, however often its condition is looked at.

use std::collections::BTreeMap;

use restante_types::{Domain, UnixMillis};
use serde::{Deserialize, Serialize};

use super::kind::Kind;

/// Which alarm: its kind and, unless it is about the server, the configured domain.
pub(crate) type Key = (Kind, Option<Domain>);

/// An alarm that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    kind: Kind,
    domain: Option<Domain>,
    /// Since when.
    pub(crate) since: UnixMillis,
    /// One printable line for people, as it was last seen.
    pub(crate) detail: String,
    /// Since when its condition is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calm: Option<UnixMillis>,
}

impl Open {
    /// Whether its condition is gone, and it only has to stay so.
    pub(crate) const fn is_ending(&self) -> bool {
        self.calm.is_some()
    }
}

/// An alarm opened or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which.
    pub(crate) key: Key,
    /// When it changed.
    pub(crate) at: UnixMillis,
    /// Since when it was open.
    pub(crate) since: UnixMillis,
    /// One printable line for people.
    pub(crate) detail: String,
    /// Whether it opened.
    pub(crate) open: bool,
}

/// What a look at a condition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It holds; with a line for people.
    Holds(String),
    /// Neither this nor that: an alarm stays as it is.
    Between,
}

/// The alarms that are open; at most one per kind and domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Board {
    open: BTreeMap<Key, Open>,
}

impl Board {
    /// As it was written down.
    pub(crate) fn restored(open: Vec<Open>) -> Self {
        Self { open: open.into_iter().map(|open| ((open.kind, open.domain.clone()), open)).collect() }
    }

    /// To be written down.
    pub(crate) fn written(&self) -> Vec<Open> {
        self.open.values().cloned().collect()
    }

    /// What is open, the gravest kind first.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&Key, &Open)> {
        self.open.iter()
    }

    /// Whether it is open, and since when.
    pub(crate) fn get(&self, key: &Key) -> Option<&Open> {
        self.open.get(key)
    }

    /// The condition holds. A change only where it did not before.
    pub(crate) fn raise(&mut self, key: Key, detail: String, now: UnixMillis) -> Option<Change> {
        if let Some(open) = self.open.get_mut(&key) {
            (open.calm, open.detail) = (None, detail);
            return None;
        }
        let open =
            Open { kind: key.0, domain: key.1.clone(), since: now, detail: detail.clone(), calm: None };
        self.open.insert(key.clone(), open);
        Some(Change { key, at: now, since: now, detail, open: true })
    }

    /// Keeps an alarm as it is on another board. Returns whether it was not here before.
    pub(crate) fn note(&mut self, key: Key, open: Open) -> bool {
        let is_new = !self.open.contains_key(&key);
        self.open.entry(key).or_insert(open);
        is_new
    }

    /// The condition is gone. A change once it has been for long enough.
    pub(crate) fn calm(&mut self, key: &Key, now: UnixMillis) -> Option<Change> {
        let open = self.open.get_mut(key)?;
        // A clock that went back must not keep it open until it has caught up.
        let calm = open.calm.filter(|calm| *calm <= now).unwrap_or(now);
        open.calm = Some(calm);
        if now.since(calm) < key.0.settle() {
            return None;
        }
        let Open { since, detail, .. } = self.open.remove(key)?;
        Some(Change { key: key.clone(), at: now, since, detail, open: false })
    }

    /// Takes everything that was found about a kind; what was not found is gone.
    pub(crate) fn take(
        &mut self,
        kind: Kind,
        found: BTreeMap<Option<Domain>, Finding>,
        now: UnixMillis,
    ) -> Vec<Change> {
        let gone: Vec<Key> =
            self.open.keys().filter(|key| key.0 == kind && !found.contains_key(&key.1)).cloned().collect();
        let mut changes: Vec<Change> = gone.iter().filter_map(|key| self.calm(key, now)).collect();
        for (domain, finding) in found {
            if let Finding::Holds(detail) = finding {
                changes.extend(self.raise((kind, domain), detail, now));
            }
        }
        changes
    }

    /// Forgets, without a change, what is about domains that are no longer configured.
    pub(crate) fn keep(&mut self, is_configured: impl Fn(&Domain) -> bool) {
        self.retain(|(_, domain)| domain.as_ref().is_none_or(&is_configured));
    }

    /// Forgets, without a change, all others.
    pub(crate) fn retain(&mut self, which: impl Fn(&Key) -> bool) {
        self.open.retain(|key, _| which(key));
    }
}
