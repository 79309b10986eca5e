//! Next hops that could not be reached, and whose mail waits for them.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use restante_types::Domain;

use crate::limits::{HOST_HOPS, HOSTS_WAITED_FOR, RETURN_WAKES};

/// Who waits where. Both maps tell the same, from either side.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    at: HashMap<SocketAddr, BTreeSet<Domain>>,
    of: HashMap<Domain, Vec<SocketAddr>>,
}

impl Hosts {
    /// These next hops of a domain could not be reached. Beyond the bound nobody waits, and the retry list has to do.
    pub(super) fn waits(&mut self, domain: &Domain, hops: impl Iterator<Item = SocketAddr>) {
        self.forget(domain);
        if self.of.len() >= HOSTS_WAITED_FOR {
            return;
        }
        let hops: Vec<SocketAddr> = hops.take(HOST_HOPS).collect();
        for hop in &hops {
            self.at.entry(*hop).or_default().insert(domain.clone());
        }
        self.of.insert(domain.clone(), hops);
    }

    /// A domain does not wait any more.
    pub(super) fn forget(&mut self, domain: &Domain) {
        for hop in self.of.remove(domain).unwrap_or_default() {
            if let Some(waiting) = self.at.get_mut(&hop) {
                waiting.remove(domain);
                if waiting.is_empty() {
                    self.at.remove(&hop);
                }
            }
        }
    }

    /// [5321-4.5.4.1-hosts] A next hop takes mail of a domain: some that waited for it, and first of all this one, of which
    /// only what was due may be under way. Each of them wakes others in turn when it is through its first message, so that a
    /// host that has just come back is not met by thousands at once.
    pub(super) fn answers(&mut self, hop: SocketAddr, first: &Domain) -> Vec<Domain> {
        let own = self.of.get_key_value(first).map(|(domain, _)| domain);
        let others = self.at.get(&hop).into_iter().flatten().filter(|domain| *domain != first);
        let woken: Vec<Domain> = own.into_iter().chain(others).take(RETURN_WAKES).cloned().collect();
        woken.iter().for_each(|domain| self.forget(domain));
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Domain {
        format!("d{number:03}.example").parse().unwrap()
    }

    fn hop(number: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], number))
    }

    #[test]
    fn who_waits_is_woken_once_and_a_few_at_a_time() {
        let mut hosts = Hosts::default();
        let many = 3 * RETURN_WAKES;
        (0..many).for_each(|number| hosts.waits(&name(number), [hop(1), hop(2)].into_iter()));
        let mut woken = Vec::new();
        for round in 0..4_u16 {
            let some = hosts.answers(hop(1 + round % 2), &name(many - 1));
            assert!(round > 0 || some[0] == name(many - 1), "who found it goes on, however many wait");
            assert!(some.len() <= RETURN_WAKES);
            woken.extend(some);
        }
        woken.sort();
        assert_eq!(woken, (0..many).map(name).collect::<Vec<_>>());
        assert!(hosts.at.is_empty() && hosts.of.is_empty());
    }

    #[test]
    fn a_new_route_and_a_success_leave_nothing_behind() {
        let mut hosts = Hosts::default();
        hosts.waits(&name(1), [hop(1)].into_iter());
        hosts.waits(&name(1), [hop(2)].into_iter());
        assert_eq!(hosts.answers(hop(1), &name(2)), []);
        hosts.forget(&name(1));
        assert_eq!(hosts.answers(hop(2), &name(2)), []);
        assert!(hosts.at.is_empty() && hosts.of.is_empty());
    }

    #[test]
    fn only_so_many_hops_of_a_domain_are_kept() {
        let mut hosts = Hosts::default();
        hosts.waits(&name(1), (0..1000).map(hop));
        assert_eq!(hosts.at.len(), HOST_HOPS);
    }
}
