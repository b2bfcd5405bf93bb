//! How often an account may ask: a bucket that holds `burst` requests and refills evenly over `window`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests per time and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once.
    pub burst: u32,
    /// In which as many more become possible.
    pub window: Duration,
}

impl Default for Rate {
    /// Plivo's: 300 in 5 s.
    fn default() -> Self {
        Self { burst: 300, window: Duration::from_secs(5) }
    }
}

/// Accounts are known here until their bucket is full again; this many make the full ones be dropped.
const SWEEP_AT: usize = 1024;

pub(crate) struct Limiter {
    rate: Rate,
    /// When each account's bucket is full again.
    full_at: Mutex<HashMap<String, Instant>>,
}

impl Limiter {
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::new(HashMap::new()) }
    }

    /// Takes a request; otherwise how long to wait for the next.
    pub fn take(&self, account: &str, now: Instant) -> Result<(), Duration> {
        let burst = self.rate.burst.max(1);
        let step = self.rate.window / burst;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= SWEEP_AT {
            full_at.retain(|_, at| *at > now);
        }
        let at = full_at.get(account).copied().filter(|at| *at > now).unwrap_or(now);
        let next = at + step;
        let room = step * burst;
        match next.duration_since(now).checked_sub(room) {
            Some(over) if !over.is_zero() => Err(over),
            _ => {
                full_at.insert(account.to_owned(), next);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_asks_too_often_waits_and_others_do_not() {
        let limiter = Limiter::new(Rate::default());
        let now = Instant::now();
        for _ in 0..300 {
            assert_eq!(limiter.take("a", now), Ok(()));
        }
        let wait = limiter.take("a", now).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(17), "{wait:?}");
        assert_eq!(limiter.take("b", now), Ok(()));
        assert_eq!(limiter.take("a", now + wait), Ok(()));
        let later = now + Duration::from_secs(6);
        assert_eq!((0..301).filter(|_| limiter.take("a", later).is_ok()).count(), 300);
    }
}
