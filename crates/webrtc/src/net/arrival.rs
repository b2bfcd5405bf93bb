//! When something arrived: what waited in a socket is as old as the system's stamp says, not as new as its reading.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks at one moment: the system stamps with the real-time one, all else goes by the monotonic one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    monotonic: Instant,
    /// Since 1970.
    real_time: Duration,
}

impl Clocks {
    pub(crate) fn now() -> Self {
        // In this order: whoever is interrupted in between takes things for older than they are, never for newer.
        let monotonic = Instant::now();
        Self { monotonic, real_time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// When that arrived which has been read by now, bears this stamp and was not there yet at `emptied`. Without a stamp, or with
    /// one from the future (the clock was set), it counts as old as it can be.
    pub(crate) fn arrival(&self, stamp: Option<Duration>, emptied: Instant) -> Instant {
        let age = stamp.and_then(|stamp| self.real_time.checked_sub(stamp));
        age.and_then(|age| self.monotonic.checked_sub(age)).map_or(emptied, |at| at.max(emptied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_newer_than_its_stamp_or_older_than_the_empty_socket() {
        let now = Clocks::now();
        let second = Duration::from_secs(1);
        let emptied = now.monotonic - 10 * second;
        let arrival = |stamp: Option<Duration>| now.arrival(stamp, emptied);
        assert_eq!(arrival(Some(now.real_time - second)), now.monotonic - second);
        assert_eq!(arrival(Some(now.real_time)), now.monotonic);
        assert_eq!(arrival(Some(now.real_time - 3_600 * second)), emptied, "the clock was put forward");
        assert_eq!(arrival(Some(now.real_time + second)), emptied, "the clock was put back");
        assert_eq!(arrival(None), emptied);
    }
}
