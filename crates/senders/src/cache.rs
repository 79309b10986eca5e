//! Results that are believed for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// At most so many values, each until its time. When the younger half is full the older half is forgotten as a whole, so
/// that keeping and forgetting cost the same whatever comes.
pub(crate) struct Cache<K, V> {
    half: usize,
    maps: Mutex<Maps<K, V>>,
}

struct Maps<K, V> {
    young: HashMap<K, (V, Instant)>,
    old: HashMap<K, (V, Instant)>,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        let maps = Maps { young: HashMap::new(), old: HashMap::new() };
        Self { half: (most / 2).max(1), maps: Mutex::new(maps) }
    }

    pub(crate) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = maps.young.get(key).or_else(|| maps.old.get(key))?;
        (now < *until).then(|| value.clone())
    }

    pub(crate) fn put(&self, key: K, value: V, until: Instant) {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        maps.insert(self.half, key, (value, until));
    }

    /// The value that is kept under a key, which becomes this one where there is none.
    pub(crate) fn claim(&self, key: K, value: V, now: Instant, until: Instant) -> V {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = maps.young.get(&key).or_else(|| maps.old.get(&key)).filter(|(_, end)| now < *end);
        let kept = kept.cloned().unwrap_or((value, until));
        maps.insert(self.half, key, kept.clone());
        kept.0
    }

    pub(crate) fn clear(&self) {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        (maps.young, maps.old) = (HashMap::new(), HashMap::new());
    }
}

impl<K: Hash + Eq, V> Maps<K, V> {
    fn insert(&mut self, half: usize, key: K, value: (V, Instant)) {
        if self.young.len() >= half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn values_end_with_their_time_and_the_oldest_make_room() {
        let (cache, now) = (Cache::new(8), Instant::now());
        let until = now + Duration::from_secs(1);
        for key in 0..100 {
            cache.put(key, key, until);
            assert_eq!(cache.get(&key, now), Some(key));
            let maps = cache.maps.lock().unwrap();
            assert!(maps.young.len() + maps.old.len() <= 8);
        }
        assert_eq!((cache.get(&99, now), cache.get(&99, until), cache.get(&1, now)), (Some(99), None, None));
        cache.put(99, 1, until);
        assert_eq!(cache.get(&99, now), Some(1), "the younger value counts");
        cache.clear();
        assert_eq!(cache.get(&99, now), None);
    }

    #[test]
    fn the_first_to_claim_a_key_keeps_it_until_its_time() {
        let (cache, now) = (Cache::new(8), Instant::now());
        let until = now + Duration::from_secs(1);
        assert_eq!(cache.claim("key", 1, now, until), 1);
        assert_eq!(cache.claim("key", 2, now, until + Duration::from_secs(9)), 1);
        assert_eq!(
            cache.claim("key", 2, until, until + Duration::from_secs(1)),
            2,
            "a claim prolongs nothing"
        );
        for other in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert_eq!(
                cache.claim("key", 3, until, until + Duration::from_secs(9)),
                2,
                "who is asked for stays"
            );
            cache.put(other, 0, until);
        }
    }
}
