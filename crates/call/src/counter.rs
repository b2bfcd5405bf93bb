//! Counts of the engine, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// One count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the engine counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Calls that came in.
    pub calls_in: Counter,
    /// Calls placed.
    pub calls_out: Counter,
    /// Calls refused at a limit.
    pub calls_refused: Counter,
    /// Rooms opened.
    pub rooms_opened: Counter,
    /// Messages that did not fit into a call's or room's mailbox.
    pub mailbox_overflows: Counter,
    /// Callbacks delivered.
    pub callbacks_delivered: Counter,
    /// Attempts that failed.
    pub callback_attempts_failed: Counter,
    /// Callbacks given up.
    pub callbacks_failed: Counter,
    /// Digits beyond what a person can press.
    pub digits_dropped: Counter,
    /// Facts of legs and rooms that are gone.
    pub stray_facts: Counter,
}
