//! Further attempts: after what, how many, and when.

use tokio::time::Instant;

use super::HttpError;
use crate::dialect::{DeliveryOptions, Pauses};

/// The attempts at one request.
pub(super) struct Attempts {
    options: DeliveryOptions,
    pauses: Pauses,
    end: Option<Instant>,
    failed: u32,
}

impl Attempts {
    /// The first of them begins now.
    pub fn new(options: DeliveryOptions, pauses: Pauses, now: Instant) -> Self {
        let end = pauses.all.map(|all| now + all);
        Self { options, pauses, end, failed: 0 }
    }

    /// The limits of an attempt that begins now.
    pub fn options(&self, now: Instant) -> DeliveryOptions {
        let left = self.end.map(|end| end.saturating_duration_since(now));
        DeliveryOptions { total: left.map_or(self.options.total, |left| left.min(self.options.total)), ..self.options }
    }

    /// Waits until it is time for another attempt; false: that was the last.
    pub async fn again(&mut self, error: &HttpError) -> bool {
        let now = Instant::now();
        let Some(at) = self.next(error, now) else { return false };
        if at > now {
            tokio::time::sleep_until(at).await;
        }
        true
    }

    /// When the attempt after one that ended now begins, if there is another.
    fn next(&mut self, error: &HttpError, now: Instant) -> Option<Instant> {
        let wanted = match error {
            HttpError::Connect { .. } => self.options.retry_connect,
            HttpError::Timeout { .. } => self.options.retry_timeout,
            HttpError::Status { status, .. } if *status >= 500 => self.options.retry_5xx,
            HttpError::Status { status, .. } if *status >= 400 => self.options.retry_4xx,
            _ => false,
        };
        if !wanted || self.failed >= self.options.retries {
            return None;
        }
        let pause = self.pauses.first.saturating_mul(1 << self.failed.min(16));
        self.failed += 1;
        Some(now + pause).filter(|at| self.end.is_none_or(|end| *at < end))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options(retries: u32) -> DeliveryOptions {
        DeliveryOptions {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(10),
            retries,
            retry_connect: true,
            retry_timeout: true,
            retry_4xx: false,
            retry_5xx: false,
        }
    }

    fn refused() -> HttpError {
        HttpError::Connect { host: "a".to_owned(), problem: "refused".to_owned() }
    }

    /// When each further attempt begins, in ms, where every attempt takes so long.
    fn begun(options: DeliveryOptions, pauses: Pauses, each: Duration) -> Vec<u128> {
        let start = Instant::now();
        let mut attempts = Attempts::new(options, pauses, start);
        let mut at = start;
        std::iter::from_fn(|| {
            at = attempts.next(&refused(), at + each)?;
            Some((at - start).as_millis())
        })
        .collect()
    }

    #[test]
    fn each_further_attempt_waits_twice_as_long_as_the_one_before() {
        let pauses = Pauses { first: Duration::from_millis(500), all: None };
        assert_eq!(begun(options(5), pauses, Duration::ZERO), [500, 1_500, 3_500, 7_500, 15_500]);
        assert_eq!(begun(options(2), Pauses::default(), Duration::ZERO), [0, 0]);
    }

    #[test]
    fn all_attempts_together_have_a_limit() {
        let pauses = Pauses { first: Duration::from_millis(500), all: Some(Duration::from_secs(60)) };
        let begun_at = begun(options(5), pauses, Duration::from_secs(10));
        assert_eq!(begun_at, [10_500, 21_500, 33_500, 47_500], "an attempt begins after the time for all");
        let now = Instant::now();
        let late = Attempts::new(options(5), pauses, now).options(now + Duration::from_secs(53));
        assert_eq!(late.total, Duration::from_secs(7), "an attempt lasts beyond the time for all");
    }

    #[test]
    fn what_is_not_to_be_tried_again_is_not() {
        let now = Instant::now();
        let mut attempts = Attempts::new(options(5), Pauses::default(), now);
        let status = |status| HttpError::Status { host: "a".to_owned(), status };
        assert_eq!([500, 404].map(|code| attempts.next(&status(code), now)), [None, None]);
        assert!(attempts.next(&refused(), now).is_some());
    }
}
