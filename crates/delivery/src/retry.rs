//! When to try again on our own.

use std::time::Duration;

/// The waits between attempts, in order; the last one repeats (RFC 5321 4.5.4.1 wants them to grow). Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryList(Vec<Duration>);

/// A retry list without a step, or with a step of less than a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a retry list has at least one step, and each is at least one second")]
pub struct RetryListError;

impl RetryList {
    /// Takes the waits.
    ///
    /// # Errors
    /// When there is none, or one is shorter than a second: that would be a busy loop against a dead primary.
    pub fn new(steps: Vec<Duration>) -> Result<Self, RetryListError> {
        if steps.is_empty() || steps.iter().any(|step| *step < Duration::from_secs(1)) {
            return Err(RetryListError);
        }
        Ok(Self(steps))
    }

    /// The wait after so many earlier failures. `spread` (0 to 1) lengthens it by up to a tenth, so that domains that
    /// failed together do not come back together.
    #[must_use]
    pub fn wait(&self, earlier: u32, spread: f64) -> Duration {
        let index = usize::try_from(earlier).unwrap_or(usize::MAX).min(self.0.len() - 1);
        // [5321-4.5.4.1] the delays come from the list, the last one repeats until the retention ends; they grow, so
        // the first ones may lie below the 30 minutes that a constant one should have
        self.0[index].mul_f64(spread.clamp(0.0, 1.0).mul_add(0.1, 1.0))
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Duration] {
        &self.0
    }
}

impl Default for RetryList {
    fn default() -> Self {
        Self([5, 10, 20, 40, 60].map(|minutes| Duration::from_secs(60 * minutes)).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_walked_and_its_end_repeats() {
        // [5321-4.5.4.1]
        let list = RetryList::new([1, 2, 3].map(Duration::from_secs).to_vec()).unwrap();
        let waits: Vec<u64> = (0..5).map(|earlier| list.wait(earlier, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3, 3]);
        assert_eq!(list.wait(u32::MAX, 0.0).as_secs(), 3);
    }

    #[test]
    fn the_spread_only_lengthens_and_by_a_tenth_at_most() {
        let list = RetryList::default();
        assert_eq!(list.wait(0, 1.0), Duration::from_secs(330));
        assert_eq!(list.wait(0, 7.0), Duration::from_secs(330));
        assert_eq!(list.wait(0, -7.0), Duration::from_secs(300));
    }

    #[test]
    fn a_list_that_would_spin_is_refused() {
        assert_eq!(RetryList::new(Vec::new()), Err(RetryListError));
        assert_eq!(RetryList::new(vec![Duration::from_secs(5), Duration::ZERO]), Err(RetryListError));
    }
}
