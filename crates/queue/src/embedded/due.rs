//! Domains with a scheduled attempt that nothing stands against, by its time.

use std::collections::BTreeSet;

use restante_types::{Domain, UnixMillis};

/// Queues of notices stand apart: strangers make as many of them as they like, and who looks for held domains that are
/// due must not have to look through those.
#[derive(Debug, Default)]
pub(super) struct Due {
    held: BTreeSet<(UnixMillis, Domain)>,
    notices: BTreeSet<(UnixMillis, Domain)>,
}

impl Due {
    /// Puts a domain from one time to another; `None`: it is not due at all.
    pub(super) fn moved(&mut self, domain: &Domain, before: Option<UnixMillis>, now: Option<UnixMillis>) {
        let those = if domain.notices_to().is_some() { &mut self.notices } else { &mut self.held };
        if let Some(time) = before {
            those.remove(&(time, domain.clone()));
        }
        if let Some(time) = now {
            those.insert((time, domain.clone()));
        }
    }

    /// Held domains that are due by then, the earliest first, and behind them queues of notices; at most `limit` of each.
    pub(super) fn by(&self, now: UnixMillis, limit: usize) -> Vec<Domain> {
        let first = |those: &BTreeSet<(UnixMillis, Domain)>| -> Vec<Domain> {
            let due = those.iter().take_while(|(time, _)| *time <= now).take(limit);
            due.map(|(_, domain)| domain.clone()).collect()
        };
        [first(&self.held), first(&self.notices)].concat()
    }

    /// The earliest time.
    pub(super) fn next(&self) -> Option<UnixMillis> {
        let firsts = [&self.held, &self.notices].into_iter().filter_map(BTreeSet::first);
        firsts.map(|(time, _)| *time).min()
    }
}
