//! How often an account may ask: a bucket that holds `burst` requests and refills evenly over `window`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};

/// Requests per time and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once.
    pub burst: u32,
    /// In which as many more become possible.
    pub window: Duration,
}

impl Default for Rate {
    /// The vendor's: 600 in 5 minutes.
    fn default() -> Self {
        Self { burst: 600, window: Duration::from_secs(300) }
    }
}

/// Accounts are known here until their bucket is full again; this many make the full ones be dropped.
const SWEEP_AT: usize = 1024;

pub(super) struct Limiter {
    rate: Rate,
    /// When each account's bucket is full again.
    full_at: Mutex<HashMap<String, Instant>>,
}

/// What a request took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether there was one to take.
    pub allowed: bool,
    burst: u32,
    /// Requests that may follow at once.
    remaining: u32,
    /// When the next one is possible, or the bucket is full again.
    reset: Duration,
}

impl Limiter {
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::new(HashMap::new()) }
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
            Some(over) if !over.is_zero() => Taken { allowed: false, burst, remaining: 0, reset: over },
            _ => {
                full_at.insert(account.to_owned(), at + step);
                let left = (room - owed).as_nanos().checked_div(step.as_nanos()).unwrap_or(u128::from(burst));
                let remaining = u32::try_from(left).unwrap_or(burst).min(burst);
                Taken { allowed: true, burst, remaining, reset: owed }
            }
        }
    }
}

impl Taken {
    /// Says it in the draft standard's words; `Retry-After` too, if the request was refused.
    pub fn tell(self, headers: &mut HeaderMap) {
        let reset = self.reset.as_secs().saturating_add(1);
        let mut set = |name, value: u64| headers.insert(name, HeaderValue::from(value));
        set("ratelimit-limit", self.burst.into());
        set("ratelimit-remaining", self.remaining.into());
        set("ratelimit-reset", reset);
        if !self.allowed {
            set("retry-after", reset);
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
        for left in (0..600).rev() {
            let taken = limiter.take("a", now);
            assert!(taken.allowed && taken.remaining == left, "{left}: {taken:?}");
        }
        let refused = limiter.take("a", now);
        assert!(!refused.allowed && refused.reset > Duration::ZERO && refused.reset <= Duration::from_millis(500));
        let mut headers = HeaderMap::new();
        refused.tell(&mut headers);
        assert_eq!(
            (&headers["ratelimit-limit"], &headers["ratelimit-remaining"]),
            (&"600".parse().unwrap(), &"0".parse().unwrap())
        );
        assert_eq!(headers["retry-after"], "1");
        assert!(limiter.take("b", now).allowed);
        assert!(limiter.take("a", now + refused.reset).allowed);
    }
}
