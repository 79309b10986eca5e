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
        if maps.young.len() >= self.half && !maps.young.contains_key(&key) {
            maps.old = std::mem::take(&mut maps.young);
        }
        maps.young.insert(key, (value, until));
    }

    pub(crate) fn clear(&self) {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        (maps.young, maps.old) = (HashMap::new(), HashMap::new());
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
}
