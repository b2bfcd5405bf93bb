//! How often something may come.

use std::time::Duration;

/// Counts what comes within a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerSecond {
    second: u64,
    count: u32,
}

impl PerSecond {
    /// Counts one more; false if more than `most` have come in this second.
    pub(crate) fn takes(&mut self, most: u32, now: Duration) -> bool {
        let second = now.as_secs();
        let before = if self.second == second { self.count } else { 0 };
        *self = Self { second, count: before.saturating_add(1) };
        self.count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_come_within_a_second_and_as_many_in_the_next() {
        let mut rate = PerSecond::default();
        for second in [0u64, 1, 7] {
            let at = |millis| Duration::from_millis(second * 1000 + millis);
            let taken = (0..50u64).filter(|n| rate.takes(20, at(n * 19))).count();
            assert_eq!(taken, 20, "in second {second}");
            assert!(!rate.takes(20, at(999)));
        }
    }
}
