//! How often an account may ask, and how answers tell of it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use call::rate::{Rate, Taken};

/// The vendor's: 600 in 5 minutes.
pub const RATE: Rate = Rate { burst: 600, window: Duration::from_secs(300) };

/// Says it in the draft standard's words; `Retry-After` too, if the request was refused.
pub(super) fn tell(taken: Taken, headers: &mut HeaderMap) {
    let reset = taken.reset.as_secs().saturating_add(1);
    let mut set = |name, value: u64| headers.insert(name, HeaderValue::from(value));
    set("ratelimit-limit", taken.burst.into());
    set("ratelimit-remaining", taken.remaining.into());
    set("ratelimit-reset", reset);
    if !taken.allowed {
        set("retry-after", reset);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use call::rate::Limiter;

    use super::*;

    #[test]
    fn an_account_that_asks_too_often_waits_and_others_do_not() {
        let limiter = Limiter::new(RATE);
        let now = Instant::now();
        for left in (0..600).rev() {
            let taken = limiter.take("a", now);
            assert!(taken.allowed && taken.remaining == left, "{left}: {taken:?}");
        }
        let refused = limiter.take("a", now);
        assert!(!refused.allowed && refused.reset > Duration::ZERO && refused.reset <= Duration::from_millis(500));
        let mut headers = HeaderMap::new();
        tell(refused, &mut headers);
        assert_eq!(
            (&headers["ratelimit-limit"], &headers["ratelimit-remaining"]),
            (&"600".parse().unwrap(), &"0".parse().unwrap())
        );
        assert_eq!(headers["retry-after"], "1");
        assert!(limiter.take("b", now).allowed);
        assert!(limiter.take("a", now + refused.reset).allowed);
    }
}
