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

/// The queues that a target means, before anybody's rights. `nobody` are the rules of an unknown node.
pub(crate) fn queues_of<'a>(
    target: &EtrnTarget,
    settings: &'a TurnSettings,
    nobody: &'a DomainTurn,
    store: &dyn QueueStore,
) -> Queues<'a> {
    match target {
        EtrnTarget::Node(name) => {
            let rules = settings.domains.find(name).map_or(nobody, |(_, rules)| rules);
            Queues::from([(name.clone(), rules)])
        }
        EtrnTarget::Subtree(top) => subtree(top, settings, store),
        EtrnTarget::Group(name) => {
            let members = settings.groups.get(&name.to_ascii_lowercase()).map_or(&[][..], Vec::as_slice);
            group(members, settings, store)
        }
    }
}

/// [1985-5.3-subtree] `@d` is d and every name that ends in `.d`: configured ones, and queues that `subdomains = true` made.
fn subtree<'a>(top: &Domain, settings: &'a TurnSettings, store: &dyn QueueStore) -> Queues<'a> {
    let within = |name: &Domain| name == top || name.is_below(top);
    let configured = settings.domains.iter().filter(|(name, _)| within(name));
    let mut queues: Queues<'a> = configured.map(|(name, rules)| (name.clone(), rules)).collect();
    let above = settings.domains.find(top);
    if let Some((_, rules)) = above {
        queues.insert(top.clone(), rules);
    }
    if queues.values().any(|rules| rules.subdomains) {
        add_made_queues(&mut queues, settings, store, |name, _| within(name));
    }
    queues
}

/// [1985-5.3-queue] A group is its configured domains, with the queues below those that say `subdomains = true`.
fn group<'a>(members: &[Domain], settings: &'a TurnSettings, store: &dyn QueueStore) -> Queues<'a> {
    let known =
        members.iter().filter_map(|name| settings.domains.find(name).map(|(_, rules)| (name.clone(), rules)));
    let mut queues: Queues<'a> = known.collect();
    if queues.values().any(|rules| rules.subdomains) {
        add_made_queues(&mut queues, settings, store, |_, configured| members.contains(configured));
    }
    queues
}

/// Adds queues that exist in the store because a parent says `subdomains = true`.
fn add_made_queues<'a>(
    queues: &mut Queues<'a>,
    settings: &'a TurnSettings,
    store: &dyn QueueStore,
    wanted: impl Fn(&Domain, &Domain) -> bool,
) {
    let mut after: Option<Domain> = None;
    for _ in 0..MAX_QUEUES_LOOKED_AT / PAGE {
        let page = store.stats_page(after.as_ref(), PAGE);
        let Some(last) = page.last() else { return };
        after = Some(last.domain.clone());
        for name in page.into_iter().map(|stats| stats.domain) {
            if let Some((configured, rules)) = settings.domains.find(&name)
                && wanted(&name, configured)
            {
                queues.insert(name, rules);
            }
        }
    }
    if !store.stats_page(after.as_ref(), 1).is_empty() {
        events::too_many_queues(MAX_QUEUES_LOOKED_AT);
    }
}
