//! How often an account may ask a REST interface: a bucket that holds `burst` requests and refills evenly over `window`.
//! Which rate that is, and how the answer tells of it, is each dialect's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::counter::Counter;

/// Requests per time and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once.
    pub burst: u32,
    /// In which as many more become possible.
    pub window: Duration,
}

/// Accounts are known here until their bucket is full again; this many make the full ones be dropped.
const SWEEP_AT: usize = 1024;

/// The buckets of all accounts.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    /// When each account's bucket is full again.
    full_at: Mutex<HashMap<String, Instant>>,
    refused: Counter,
}

/// What a request took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether there was one to take.
    pub allowed: bool,
    /// Requests that a full bucket holds.
    pub burst: u32,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// Until the next one is possible; until the bucket is full again, if this one was allowed.
    pub reset: Duration,
}

impl Limiter {
    /// Full buckets.
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::new(HashMap::new()), refused: Counter::default() }
    }

    /// Takes a request.
    pub fn take(&self, account: &str, now: Instant) -> Taken {
        let burst = self.rate.burst.max(1);
        let step = self.rate.window / burst;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= SWEEP_AT {
            full_at.retain(|_, at| *at > now);
        }
        let at = full_at.get(account).copied().filter(|at| *at > now).unwrap_or(now);
        let owed = (at + step).duration_since(now);
        let room = step * burst;
        match owed.checked_sub(room) {
            Some(over) if !over.is_zero() => {
                self.refused.add(1);
                Taken { allowed: false, burst, remaining: 0, reset: over }
            }
            _ => {
                full_at.insert(account.to_owned(), at + step);
                let left = (room - owed).as_nanos().checked_div(step.as_nanos()).unwrap_or(u128::from(burst));
                let remaining = u32::try_from(left).unwrap_or(burst).min(burst);
                Taken { allowed: true, burst, remaining, reset: owed }
            }
        }
    }

    /// Requests that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_asks_too_often_waits_and_others_do_not() {
        let limiter = Limiter::new(Rate { burst: 300, window: Duration::from_secs(5) });
        let now = Instant::now();
        for left in (0..300).rev() {
            let taken = limiter.take("a", now);
            assert!(taken.allowed && taken.remaining == left, "{left}: {taken:?}");
        }
        assert_eq!(limiter.refused(), 0);
        let refused = limiter.take("a", now);
        assert!(!refused.allowed && refused.remaining == 0, "{refused:?}");
        let wait = refused.reset;
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(17), "{wait:?}");
        assert_eq!(limiter.refused(), 1);
        assert!(limiter.take("b", now).allowed);
        assert!(limiter.take("a", now + wait).allowed);
        let later = now + Duration::from_secs(6);
        assert_eq!((0..301).filter(|_| limiter.take("a", later).allowed).count(), 300);
    }
}
