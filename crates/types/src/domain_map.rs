//! Settings per domain, found by exact name or by the nearest parent that says `subdomains = true`.

use std::collections::BTreeMap;

use crate::domain::Domain;

/// What is known per configured domain. Looking a name up costs one search per label, whatever is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainMap<T> {
    entries: BTreeMap<Domain, Held<T>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held<T> {
    subdomains: bool,
    value: T,
}

impl<T> Default for DomainMap<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<T> DomainMap<T> {
    /// Adds a domain; with `subdomains`, names below it are found too. Returns what was there under this name.
    pub fn insert(&mut self, domain: Domain, subdomains: bool, value: T) -> Option<T> {
        self.entries.insert(domain, Held { subdomains, value }).map(|old| old.value)
    }

    /// The value for a name: its own, else that of the nearest parent with `subdomains`. The domain returned is the
    /// configured one.
    #[must_use]
    pub fn find(&self, name: &Domain) -> Option<(&Domain, &T)> {
        if let Some((domain, held)) = self.entries.get_key_value(name) {
            return Some((domain, &held.value));
        }
        let mut rest = name.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some((domain, held)) =
                self.entries.get_key_value(parent).filter(|(_, held)| held.subdomains)
            {
                return Some((domain, &held.value));
            }
            rest = parent;
        }
        None
    }

    /// The configured domains, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Domain, &T)> {
        self.entries.iter().map(|(domain, held)| (domain, &held.value))
    }

    /// How many domains are configured.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_parent_that_takes_subdomains_wins() {
        let name = |text: &str| Domain::parse(text).unwrap();
        let mut map = DomainMap::default();
        map.insert(name("example.org"), true, 1);
        map.insert(name("a.example.org"), false, 2);
        let find = |text: &str| map.find(&name(text)).map(|(_, value)| *value);
        assert_eq!(find("example.org"), Some(1));
        assert_eq!(find("a.example.org"), Some(2));
        assert_eq!(find("b.a.example.org"), Some(1));
        assert_eq!(find("xexample.org"), None);
        assert_eq!(find("org"), None);
    }
}
