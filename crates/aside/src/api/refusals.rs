//! How many refusals are recorded: a program that hammers a closed door must not fill the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const AT_ONCE: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

/// So many in each window.
#[derive(Debug, Default)]
pub struct Allowance {
    window: Mutex<Option<(Instant, u32)>>,
    exceeded: AtomicU64,
}

impl Allowance {
    /// Whether one more may be recorded.
    pub fn take(&self) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, used) = window.filter(|(begun, _)| begun.elapsed() < WINDOW).unwrap_or_else(|| (Instant::now(), 0));
        let allowed = used < AT_ONCE;
        *window = Some((begun, used.saturating_add(1)));
        if !allowed {
            self.exceeded.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// How many were not.
    pub fn exceeded(&self) -> u64 {
        self.exceeded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_answered_but_not_all_recorded() {
        let allowance = Allowance::default();
        let recorded = (0..1_000).filter(|_| allowance.take()).count();
        assert_eq!((recorded, allowance.exceeded()), (AT_ONCE as usize, 950));
    }
}
