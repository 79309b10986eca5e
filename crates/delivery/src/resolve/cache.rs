//! Answers kept for their time to live. Whoever asks what is being asked already waits for that answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// A bounded map from questions to answers.
pub(super) struct Cache<K, V> {
    slots: Mutex<HashMap<K, Arc<OnceCell<Kept<V>>>>>,
    capacity: usize,
}

/// An answer, and until when it may be given again.
#[derive(Debug, Clone)]
pub(super) struct Kept<V> {
    pub(super) value: V,
    pub(super) until: Instant,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: Mutex::default(), capacity }
    }

    /// What is known, or what `ask` says. One that gives up asking leaves the question to the next that waits.
    pub(super) async fn get(&self, key: &K, ask: impl Future<Output = Kept<V>>) -> Kept<V> {
        let slot = self.slot(key);
        slot.get_or_init(|| ask).await.clone()
    }

    fn slot(&self, key: &K) -> Arc<OnceCell<Kept<V>>> {
        let now = Instant::now();
        let is_over = |slot: &OnceCell<Kept<V>>| slot.get().is_some_and(|kept| kept.until <= now);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.get(key) {
            Some(slot) if !is_over(slot) => return slot.clone(),
            _ => {}
        }
        if slots.len() >= self.capacity {
            slots.retain(|_, slot| !is_over(slot));
            // Still full: half of it goes, whatever comes first in the map's random order. Questions that are being
            // asked lose their place here, not their answer.
            if slots.len() >= self.capacity {
                let mut keep = false;
                slots.retain(|_, _| {
                    keep = !keep;
                    keep
                });
            }
        }
        let slot = Arc::new(OnceCell::new());
        slots.insert(key.clone(), slot.clone());
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    fn cache(capacity: usize) -> Arc<Cache<u32, u32>> {
        Arc::new(Cache::new(capacity))
    }

    fn kept(value: u32, secs: u64) -> Kept<u32> {
        Kept { value, until: Instant::now() + Duration::from_secs(secs) }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_again_until_its_time_is_over() {
        let cache = cache(10);
        assert_eq!(cache.get(&1, async { kept(1, 60) }).await.value, 1);
        assert_eq!(cache.get(&1, async { kept(2, 60) }).await.value, 1);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(cache.get(&1, async { kept(3, 0) }).await.value, 3);
        assert_eq!(cache.get(&1, async { kept(4, 60) }).await.value, 4, "no time to live at all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_that_ask_at_once_ask_once() {
        let (cache, asked) = (cache(10), Arc::new(AtomicU32::new(0)));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let (cache, asked) = (cache.clone(), asked.clone());
            all.spawn(async move {
                let ask = async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    kept(7, 0)
                };
                cache.get(&1, ask).await.value
            });
        }
        assert!(all.join_all().await.iter().all(|value| *value == 7));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gives_up_leaves_the_question_to_the_next() {
        let cache = cache(10);
        let never = cache.get(&1, std::future::pending());
        assert!(tokio::time::timeout(Duration::from_secs(1), never).await.is_err());
        assert_eq!(cache.get(&1, async { kept(1, 60) }).await.value, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_grows_beyond_its_bound() {
        let cache = cache(10);
        for key in 0..1000 {
            cache.get(&key, async { kept(key, 60) }).await;
            assert!(cache.slots.lock().unwrap().len() <= 10);
        }
        assert_eq!(cache.get(&999, async { kept(0, 60) }).await.value, 999);
    }
}
