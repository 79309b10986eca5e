//! Locks whose holders leave what they guard consistent, also when they panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; what a holder that panicked left behind is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
