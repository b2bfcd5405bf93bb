//! Settings of the store itself.

use std::time::Duration;

/// SQLite's `synchronous`: what a commit survives. All levels survive the death of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Never waits for the disk. A loss of power may corrupt the database.
    Off,
    /// Waits at checkpoints only. A loss of power may undo the last commits, never corrupt.
    #[default]
    Normal,
    /// Waits at each commit group. Survives a loss of power.
    Full,
}

impl Synchronous {
    pub(crate) fn pragma(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}

/// Limits and timings. The defaults suit one server.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// What a commit survives.
    pub synchronous: Synchronous,
    /// Batches that may wait for the writer; more are refused with `Busy`. While the database takes no writes the writer holds
    /// as many again.
    pub write_queue: usize,
    /// Most batches committed in one transaction.
    pub group: usize,
    /// Most operations in one batch: enough for the end of the largest room, with a row, an event and callbacks of each member.
    pub batch_limit: usize,
    /// Read-only connections.
    pub readers: usize,
    /// Reads that may wait for a connection; more are refused with `Busy`.
    pub read_queue: usize,
    /// Undelivered callbacks that an account may have; further ones are dropped, counted and told by an event.
    pub outbox_limit: u64,
    /// How many of them may wait for one destination (scheme, host and port); never more than the account has places left.
    pub destination_limit: u64,
    /// Longest time that a failing callback may hold up its lane.
    pub lane_limit: Duration,
    /// How long a claimed callback belongs to its claimer. After that the attempt counts as lost. Set it above the HTTP timeout.
    pub claim: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Normal,
            write_queue: 8192,
            group: 512,
            batch_limit: 32_768,
            readers: 4,
            read_queue: 1024,
            outbox_limit: 50_000,
            destination_limit: 20_000,
            lane_limit: Duration::from_secs(60),
            claim: Duration::from_secs(20),
        }
    }
}
