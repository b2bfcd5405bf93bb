//! The load generator: a process of its own on a CPU of its own, told what to do over its standard input.

mod process;
mod talkers;

use serde::{Deserialize, Serialize};

pub use process::{Generator, Phones, serve};
pub use talkers::{PHONES, SERVER};

use crate::histogram::Spread;

/// Which group of legs is meant.
pub type Group = usize;

/// What the generator is told, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Binds a socket for each leg of a group.
    Open { group: Group, legs: usize },
    /// Where each leg of a group sends to and is answered from.
    Connect { group: Group, ports: Vec<u16> },
    /// Lets a group talk.
    Run(Run),
    /// Closes a group's sockets.
    Close { group: Group },
}

/// One stretch of talking. Times are of the monotonic clock, ns.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Who talks.
    pub group: Group,
    /// When the first packet leaves.
    pub start: u64,
    /// From when on is counted.
    pub from: u64,
    /// Until when is counted, and talked.
    pub to: u64,
}

/// What the generator answers, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Opened { ports: Vec<u16>, reports: u16 },
    Done,
    Ran(Ran),
}

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ran {
    /// Packets sent while counting.
    pub sent: u64,
    /// Packets that the system would not send.
    pub refused: u64,
    /// Packets that should have come back while counting: one per leg and tick.
    pub expected: u64,
    /// Packets that came.
    pub received: u64,
    /// How late packets came by the legs' own 20 ms grids, ms.
    pub lateness: Spread,
    /// Packets that left over 5 ms after their slot.
    pub late: u64,
    /// How late the generator itself sent, ms.
    pub own_lateness: Spread,
    /// Packets that the generator's own sockets dropped.
    pub dropped: u64,
    /// CPU time of the generator, ms.
    pub cpu_ms: f64,
}

impl Ran {
    /// The part of packets that did not come. A packet more at the edge of the window counts as none missing.
    pub fn missing(&self) -> f64 {
        if self.expected == 0 { 1.0 } else { self.expected.saturating_sub(self.received) as f64 / self.expected as f64 }
    }
}
