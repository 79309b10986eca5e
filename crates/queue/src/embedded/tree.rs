//! Domains in the order of the tree of names: each is followed by all that stand below it.

use std::cmp::Ordering;

use restante_types::Domain;

/// A domain that is compared label by label, the last one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InTree(pub(super) Domain);

impl Ord for InTree {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_str().rsplit('.').cmp(other.0.as_str().rsplit('.'))
    }
}

impl PartialOrd for InTree {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether a name ends in a dot and the other.
pub(super) fn is_below(domain: &Domain, top: &Domain) -> bool {
    domain.as_str().strip_suffix(top.as_str()).is_some_and(|above| above.ends_with('.'))
}
