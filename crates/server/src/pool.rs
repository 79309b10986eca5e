//! Work that takes a processor for a while, a little at a time: the derivation of keys from passwords.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::limits::{DERIVATIONS, DERIVATIONS_WAITING};

/// Runs such work on threads that may block. A flood of logins waits here, and beyond the bound it is told to come
/// later: it never takes the processors from those who bring or fetch mail.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// At work or in line.
    admitted: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(DERIVATIONS, DERIVATIONS_WAITING)
    }
}

impl Pool {
    fn new(at_work: usize, waiting: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { admitted: semaphore(at_work + waiting), at_work: semaphore(at_work) }
    }

    /// The result of the work; `None` where the line is full. Work that was begun is finished though nobody waits for it any
    /// more, and holds its place as long.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().ok()?;
        let at_work = Arc::clone(&self.at_work).acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((at_work, admitted));
            result
        });
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// Work that waits to be let go, and counts how many do.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        opened: Condvar,
        inside: AtomicUsize,
        most: AtomicUsize,
    }

    impl Gate {
        fn pass(&self) {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
            self.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn two_work_some_wait_and_the_rest_is_turned_away() {
        let (pool, gate) = (Pool::new(2, 3), Arc::new(Gate::default()));
        let ask = || {
            let (pool, gate) = (pool.clone(), Arc::clone(&gate));
            tokio::spawn(async move { pool.run(move || gate.pass()).await })
        };
        let admitted: Vec<_> = (0..5).map(|_| ask()).collect();
        while pool.admitted.available_permits() > 0 || gate.inside.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask().await.unwrap(), None);
        *gate.open.lock().unwrap() = true;
        gate.opened.notify_all();
        for one in admitted {
            assert_eq!(one.await.unwrap(), Some(()));
        }
        assert_eq!(gate.most.load(Ordering::SeqCst), 2);
        assert_eq!(ask().await.unwrap(), Some(()), "there is room again");
    }
}
