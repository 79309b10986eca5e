//! Where commands wait for the owner thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::turn::Turn;
use crate::error::StoreError;
use crate::limits::{COMMANDS_PER_TURN, MAX_COMMANDS};

/// Tells the caller; called with the outcome of the turn when everything of it is durable.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Plans changes and says whom to tell.
pub(super) type Command = Box<dyn FnOnce(&mut Turn<'_>) -> Answer + Send>;

/// The queue in front of the owner thread.
#[derive(Default)]
pub(super) struct Desk {
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    commands: VecDeque<(Command, Option<OwnedSemaphorePermit>)>,
    room: Option<Arc<Semaphore>>,
    rung: bool,
    leaving: Option<Leaving>,
}

/// How the owner thread is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// In order: everything done, synced and marked as complete.
    Close,
    /// At once, as if killed; the store was dropped without being closed.
    Abandon,
}

/// What the owner thread is to do next.
pub(super) struct Called {
    pub(super) commands: Vec<Command>,
    pub(super) leaving: Option<Leaving>,
}

fn gone<E>(_: E) -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has something planned and done by the owner thread; what it returns comes back when it is durable.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = Arc::clone(self.lock().room.get_or_insert_with(|| Arc::new(Semaphore::new(MAX_COMMANDS))));
        let permit = room.acquire_owned().await.map_err(gone)?;
        let (command, answer) = command(plan);
        self.put(command, Some(permit))?;
        answer.await.map_err(gone)?
    }

    /// As [`ask`](Self::ask), for threads of our own, each of which has one command out at a time.
    pub(super) fn ask_blocking<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (command, answer) = command(plan);
        self.put(command, None)?;
        answer.blocking_recv().map_err(gone)?
    }

    /// As [`ask`](Self::ask), for what nobody waits for.
    pub(super) fn tell(&self, plan: impl FnOnce(&mut Turn<'_>) -> Result<(), StoreError> + Send + 'static) {
        let (command, _) = command(plan);
        // A store that is closed finds out again when it is read next.
        let _ = self.put(command, None);
    }

    fn put(&self, command: Command, permit: Option<OwnedSemaphorePermit>) -> Result<(), StoreError> {
        let mut queue = self.lock();
        if queue.leaving.is_some() {
            return Err(gone(()));
        }
        queue.commands.push_back((command, permit));
        self.bell.notify_one();
        Ok(())
    }

    /// Wakes the owner thread without a command.
    pub(super) fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_one();
    }

    /// Takes no more commands and has the owner thread end; what stands in line is done before a `Close`.
    pub(super) fn leave(&self, how: Leaving) {
        let mut queue = self.lock();
        queue.leaving = queue.leaving.or(Some(how));
        self.bell.notify_one();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().leaving.is_some()
    }

    /// The next commands; none after `patience`, or when the bell was rung.
    pub(super) fn next(&self, patience: Duration) -> Called {
        let mut queue = self.lock();
        if queue.commands.is_empty() && !queue.rung && queue.leaving.is_none() {
            let waited = self.bell.wait_timeout(queue, patience);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.rung = false;
        let count = queue.commands.len().min(COMMANDS_PER_TURN);
        let commands = queue.commands.drain(..count).map(|(command, _)| command).collect();
        Called { commands, leaving: queue.leaving.filter(|_| queue.commands.is_empty()) }
    }

    /// Lets go of what nobody will do any more; the callers hear that the store is closed.
    pub(super) fn clear(&self) {
        self.lock().commands.clear();
    }
}

fn command<T: Send + 'static>(
    plan: impl FnOnce(&mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Command, oneshot::Receiver<Result<T, StoreError>>) {
    let (told, answer) = oneshot::channel();
    let command: Command = Box::new(move |turn| {
        let planned = plan(turn);
        // Whoever asked may have gone.
        Box::new(move |outcome| drop(told.send(outcome.and(planned))))
    });
    (command, answer)
}
