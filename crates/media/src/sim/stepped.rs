//! Real sockets, stepped time: for tests that watch what happens inside a sub-slot.

use std::sync::Arc;
use std::time::Duration;

use crate::config::MediaConfig;
use crate::net::os::{Anchor, OsNet};
use crate::plane::Collector;
use crate::plane::threads::OsPlatform;
use crate::shard::ShardCore;
use crate::{FactReceiver, MediaError, MediaPlane};

/// A plane over the operating system's sockets whose shards run only when told.
pub struct Stepped {
    cores: Vec<ShardCore>,
    collector: Collector,
    plane: MediaPlane,
    net: OsNet,
    slot: u64,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepped").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Stepped {
    /// Builds it.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: MediaConfig) -> Result<(MediaPlane, FactReceiver, Self), MediaError> {
        let anchor = Anchor::now();
        let platform = Arc::new(OsPlatform(anchor));
        let (plane, cores, collector, facts) = MediaPlane::assemble(config, platform, anchor.utc_micros)?;
        let stepped = Self { cores, collector, plane: plane.clone(), net: OsNet::default(), slot: 0 };
        Ok((plane, facts, stepped))
    }

    /// Runs the next millisecond of every shard, calling `inside` with true before and false after each.
    pub fn step(&mut self, mut inside: impl FnMut(bool)) {
        let now = Duration::from_millis(self.slot);
        for core in &mut self.cores {
            inside(true);
            core.slot(now, &mut self.net);
            inside(false);
        }
        self.collector.poll(self.plane.shared());
        self.slot += 1;
    }
}
