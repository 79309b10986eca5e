//! Read buffers that sessions share, so that a session that waits holds none.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{READ_BUFFER, SPARE_BUFFERS};

/// Buffers of [`READ_BUFFER`] octets. Clones share the same ones.
#[derive(Clone, Default)]
pub struct Buffers {
    spare: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl Buffers {
    /// A buffer, with whatever its last user left in it; it comes back when it is dropped.
    #[must_use]
    pub fn take(&self) -> Buffer<'_> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { octets: spare.unwrap_or_else(|| vec![0; READ_BUFFER].into_boxed_slice()), home: self }
    }

    fn give_back(&self, octets: Box<[u8]>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BUFFERS {
            spare.push(octets);
        }
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).len();
        write!(f, "Buffers({spare} spare)")
    }
}

/// One buffer, on loan.
pub struct Buffer<'a> {
    octets: Box<[u8]>,
    home: &'a Buffers,
}

impl Deref for Buffer<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.octets
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.octets
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.octets));
    }
}

impl fmt::Debug for Buffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} octets)", self.octets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_up_to_the_bound() {
        let buffers = Buffers::default();
        let on_loan: Vec<_> = (0..SPARE_BUFFERS + 5).map(|_| buffers.take()).collect();
        assert!(on_loan.iter().all(|buffer| buffer.len() == READ_BUFFER));
        drop(on_loan);
        assert_eq!(format!("{buffers:?}"), format!("Buffers({SPARE_BUFFERS} spare)"));
        let again = buffers.clone().take().len();
        assert_eq!(again, READ_BUFFER);
    }
}
