//! From what ETRN names to the queues it means.

use std::collections::BTreeMap;

use restante_queue::QueueStore;
use restante_smtp::EtrnTarget;
use restante_types::Domain;

use crate::events;
use crate::limits::{MAX_QUEUES_LOOKED_AT, PAGE};
use crate::settings::{DomainTurn, TurnSettings};

/// Queues with the rules that hold for them, in the order of their names. A node is always in it, known or not, so
/// that unknown and forbidden take the same way.
pub(crate) type Queues<'a> = BTreeMap<Domain, &'a DomainTurn>;

/// The queues that a target names by the configuration alone, before anybody's rights. `nobody` are the rules of an
/// unknown node.
pub(crate) fn queues_of<'a>(
    target: &EtrnTarget,
    settings: &'a TurnSettings,
    nobody: &'a DomainTurn,
) -> Queues<'a> {
    match target {
        EtrnTarget::Node(name) => {
            let rules = settings.domains.find(name).map_or(nobody, |(_, rules)| rules);
            Queues::from([(name.clone(), rules)])
        }
        EtrnTarget::Subtree(top) => {
            let configured = settings.domains.iter().filter(|(name, _)| is_within(name, top));
            let mut queues: Queues<'a> = configured.map(|(name, rules)| (name.clone(), rules)).collect();
            queues.extend(settings.domains.find(top).map(|(_, rules)| (top.clone(), rules)));
            queues
        }
        // [1985-5.3-queue] A group is its configured domains, with the queues below those that say `subdomains = true`.
        EtrnTarget::Group(name) => members(name, settings)
            .iter()
            .filter_map(|name| settings.domains.find(name).map(|(_, rules)| (name.clone(), rules)))
            .collect(),
    }
}

/// The configured domains below which a target means further queues, those that `subdomains = true` made.
pub(crate) fn parents_of<'a>(
    target: &EtrnTarget,
    queues: &Queues<'a>,
    settings: &'a TurnSettings,
) -> Queues<'a> {
    if matches!(target, EtrnTarget::Node(_)) {
        return Queues::new();
    }
    let configured = queues.keys().filter_map(|name| settings.domains.find(name));
    let parents = configured.filter(|(_, rules)| rules.subdomains);
    parents.map(|(name, rules)| (name.clone(), rules)).collect()
}

/// [1985-5.3-subtree] `@d` is d and every name that ends in `.d`: adds the queues that exist in the store because a
/// parent says `subdomains = true`. This walks over the store.
pub(crate) fn add_queues_below<'a>(
    queues: &mut Queues<'a>,
    target: &EtrnTarget,
    settings: &'a TurnSettings,
    store: &dyn QueueStore,
) {
    match target {
        EtrnTarget::Node(_) => {}
        EtrnTarget::Subtree(top) => {
            add_made_queues(queues, settings, store, [top], |_| true);
        }
        EtrnTarget::Group(name) => {
            let members = members(name, settings);
            add_made_queues(queues, settings, store, members, |configured| members.contains(configured));
        }
    }
}

fn is_within(name: &Domain, top: &Domain) -> bool {
    name == top || name.is_below(top)
}

fn members<'a>(group: &str, settings: &'a TurnSettings) -> &'a [Domain] {
    settings.groups.get(&group.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
}

/// All queues of an account: its configured domains, with the queues below those that say `subdomains = true`.
pub(crate) fn queues_of_identity<'a>(
    identity: &str,
    settings: &'a TurnSettings,
    store: &dyn QueueStore,
) -> Queues<'a> {
    let is_its = |rules: &DomainTurn| rules.identities.contains(identity);
    let configured = settings.domains.iter().filter(|(_, rules)| is_its(rules));
    let mut queues: Queues<'a> = configured.map(|(name, rules)| (name.clone(), rules)).collect();
    let parents: Vec<Domain> =
        queues.iter().filter(|(_, rules)| rules.subdomains).map(|(name, _)| name.clone()).collect();
    let its = |configured: &Domain| settings.domains.find(configured).is_some_and(|(_, rules)| is_its(rules));
    add_made_queues(&mut queues, settings, store, &parents, its);
    queues
}

/// Adds queues that exist in the store, below one of these names, because a parent says `subdomains = true` that is
/// wanted.
fn add_made_queues<'a, 'b>(
    queues: &mut Queues<'a>,
    settings: &'a TurnSettings,
    store: &dyn QueueStore,
    tops: impl IntoIterator<Item = &'b Domain>,
    wanted: impl Fn(&Domain) -> bool,
) {
    let mut left = MAX_QUEUES_LOOKED_AT;
    for top in tops {
        let mut after: Option<Domain> = None;
        loop {
            let page = store.queues_below(top, after.as_ref(), PAGE.min(left.max(1)));
            let Some(last) = page.last() else { break };
            if left == 0 {
                return events::too_many_queues(MAX_QUEUES_LOOKED_AT);
            }
            left -= page.len();
            after = Some(last.domain.clone());
            for name in page.into_iter().map(|stats| stats.domain) {
                if let Some((configured, rules)) = settings.domains.find(&name)
                    && wanted(configured)
                {
                    queues.insert(name, rules);
                }
            }
        }
    }
}
