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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_below_a_name_follows_it(names in proptest::collection::btree_set("[ab-]{1,2}(\\.[ab0-]{1,2}){0,3}", 1..30)) {
            let names: Vec<Domain> = names.iter().filter_map(|name| name.parse().ok()).collect();
            let tree: BTreeSet<_> = names.iter().cloned().map(InTree).collect();
            for top in &names {
                let behind = tree.range((Bound::Excluded(InTree(top.clone())), Bound::Unbounded));
                let found: BTreeSet<_> =
                    behind.take_while(|name| name.0.is_below(top)).map(|name| name.0.clone()).collect();
                prop_assert_eq!(found, names.iter().filter(|name| name.is_below(top)).cloned().collect());
            }
        }
    }
}
