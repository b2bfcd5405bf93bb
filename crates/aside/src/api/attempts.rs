//! How often the same may be tried from outside: tokens and passwords, by whoever guesses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whom attempts are counted for at once; while there are that many, nobody new may try.
const MOST: usize = 10_000;

/// So many attempts in each window, by key.
#[derive(Debug)]
pub struct Attempts {
    most: u32,
    window: Duration,
    held: Mutex<HashMap<String, (Instant, u32)>>,
    refused: AtomicU64,
}

impl Attempts {
    /// At most `most` in each window.
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window, held: Mutex::default(), refused: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, u32)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an attempt, if there is one left; one that is not is counted.
    pub fn take(&self, key: &str, now: Instant) -> bool {
        let mut held = self.lock();
        if held.len() >= MOST {
            held.retain(|_, (begun, _)| now.duration_since(*begun) < self.window);
        }
        if held.len() < MOST || held.contains_key(key) {
            let (begun, used) = held.entry(key.to_owned()).or_insert((now, 0));
            if now.duration_since(*begun) >= self.window {
                (*begun, *used) = (now, 0);
            }
            if *used < self.most {
                *used += 1;
                return true;
            }
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Gives an attempt back that was none: who knows the password guesses nothing.
    pub fn give_back(&self, key: &str) {
        let mut held = self.lock();
        let Some((_, used)) = held.get_mut(key) else { return };
        *used = used.saturating_sub(1);
        if *used == 0 {
            held.remove(key);
        }
    }

    /// How many were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// A source as it is counted: an IPv6 one is its /64.
pub fn source_key(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "?".to_owned(), |ip| crate::serve::source::network_of(ip).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_too_often_waits_for_the_next_window_and_others_do_not() {
        let (attempts, now) = (Attempts::new(3, Duration::from_secs(60)), Instant::now());
        assert_eq!((0..5).filter(|_| attempts.take("a", now)).count(), 3);
        assert!(attempts.take("b", now));
        assert_eq!(attempts.refused(), 2);
        let later = now + Duration::from_secs(60);
        assert_eq!((0..5).filter(|_| attempts.take("a", later)).count(), 3);
    }

    #[test]
    fn an_attempt_that_was_none_is_given_back_and_leaves_nothing_behind() {
        let (attempts, now) = (Attempts::new(1, Duration::from_secs(60)), Instant::now());
        for _ in 0..3 {
            assert!(attempts.take("a", now));
            attempts.give_back("a");
        }
        assert!(attempts.lock().is_empty());
        attempts.give_back("a");
        assert!(attempts.take("a", now) && !attempts.take("a", now));
    }

    #[test]
    fn a_flood_of_sources_takes_no_more_memory_and_the_old_ones_go() {
        let (attempts, now) = (Attempts::new(3, Duration::from_secs(60)), Instant::now());
        let allowed = (0..MOST + 500).filter(|index| attempts.take(&index.to_string(), now)).count();
        assert_eq!((allowed, attempts.lock().len()), (MOST, MOST));
        assert!(attempts.take("0", now), "who is known goes on");
        assert!(attempts.take("new", now + Duration::from_secs(61)));
        assert_eq!(attempts.lock().len(), 1);
    }
}
