//! The engine's clock: one monotonic line for deadlines, and the system's UTC for records.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads time. Copies read the same line.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { anchor: Instant::now() }
    }
}

impl Clock {
    /// Since the engine started. Never steps.
    pub fn monotonic(&self) -> Duration {
        self.anchor.elapsed()
    }

    /// The instant of a monotonic reading.
    pub fn instant(&self, at: Duration) -> Instant {
        self.anchor + at
    }

    /// UTC, microseconds since 1970.
    pub fn utc(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Waits for a deadline; for ever where there is none.
pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
