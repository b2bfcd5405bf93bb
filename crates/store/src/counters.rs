//! Counts of what the store did and refused.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Live counts, updated without locks.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub batches: AtomicU64,
    pub failed_batches: AtomicU64,
    pub groups: AtomicU64,
    pub failed_groups: AtomicU64,
    pub largest_group: AtomicU64,
    pub write_refused: AtomicU64,
    pub reads: AtomicU64,
    pub read_refused: AtomicU64,
    pub callbacks_dropped: AtomicU64,
    pub deliveries_given_up: AtomicU64,
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreStats {
    /// Batches committed.
    pub batches: u64,
    /// Batches undone, each for a reason of its own, or refused because the database took no writes.
    pub failed_batches: u64,
    /// Transactions.
    pub groups: u64,
    /// Transactions that failed as a whole (database locked, disk full, I/O error) and were tried again.
    pub failed_groups: u64,
    /// Most batches in one transaction.
    pub largest_group: u64,
    /// Batches refused because the queue was full or the database took no writes.
    pub write_refused: u64,
    /// Reads done.
    pub reads: u64,
    /// Reads refused because too many waited.
    pub read_refused: u64,
    /// Callbacks dropped because too many waited already, or their URL led nowhere.
    pub callbacks_dropped: u64,
    /// Callbacks set aside as failed (still replayable).
    pub deliveries_given_up: u64,
}

impl Counters {
    pub fn read(&self) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            batches: get(&self.batches),
            failed_batches: get(&self.failed_batches),
            groups: get(&self.groups),
            failed_groups: get(&self.failed_groups),
            largest_group: get(&self.largest_group),
            write_refused: get(&self.write_refused),
            reads: get(&self.reads),
            read_refused: get(&self.read_refused),
            callbacks_dropped: get(&self.callbacks_dropped),
            deliveries_given_up: get(&self.deliveries_given_up),
        }
    }
}
