//! What every part of the bench uses: the two CPUs, the generator, the clock that limits it all.

use std::time::{Duration, Instant};

use crate::failure::{Result, Tried};
use crate::generator::{Generator, Group, Ran, Run};
use crate::noise::{CpuTimes, Noise};
use crate::os;

/// Group of the phones that the server answers.
pub const SERVED: Group = 0;
/// Group of the phones that the reflector answers.
pub const REFLECTED: Group = 1;
/// Between an order and the first packet, ns.
const NOTICE: u64 = 20_000_000;

/// The place where it is measured.
pub struct Lab {
    /// The CPU of the server's media thread.
    pub server_cpu: usize,
    /// The CPU of everything else.
    pub load_cpu: usize,
    /// The load.
    pub generator: Generator,
    /// When everything has to be over, if ever.
    pub deadline: Option<Instant>,
}

/// What one stretch of load showed.
pub struct Stretch {
    /// What came back.
    pub ran: Ran,
    /// CPU time of the watched thread while counting.
    pub cpu: Duration,
    /// The noise meanwhile.
    pub noise: Noise,
}

impl Lab {
    /// Pins this thread, and whatever it starts, to the load's CPU, and starts the generator there.
    ///
    /// # Errors
    /// There are no two such CPUs.
    pub fn open(server_cpu: usize, load_cpu: usize, deadline: Option<Instant>) -> Result<Self> {
        os::raise_open_files();
        os::pin(server_cpu)
            .tried(&format!("using CPU {server_cpu} for the server; choose another with --server-cpu"))?;
        os::pin(load_cpu).tried(&format!("using CPU {load_cpu} for the load; choose another with --load-cpu"))?;
        Ok(Self { server_cpu, load_cpu, generator: Generator::start(load_cpu)?, deadline })
    }

    /// Whether there is time for something that long.
    pub fn has_time_for(&self, duration: Duration) -> bool {
        self.deadline.is_none_or(|deadline| Instant::now() + duration < deadline)
    }

    /// Lets a group talk for `warm`, then counts for `counted`, packets and the CPU time of a thread.
    ///
    /// # Errors
    /// The generator or the thread is gone.
    pub fn stretch(&mut self, group: Group, thread: u32, warm: Duration, counted: Duration) -> Result<Stretch> {
        let start = os::monotonic() + NOTICE;
        let from = start + warm.as_nanos() as u64;
        let to = from + counted.as_nanos() as u64;
        self.generator.run(Run { group, start, from, to })?;
        os::sleep_until(from);
        let (cpu_before, times) = (os::thread_cpu(thread).tried("reading the server's CPU time")?, CpuTimes::now());
        os::sleep_until(to);
        let (cpu_after, steal) = (os::thread_cpu(thread).tried("reading the server's CPU time")?, times.steal_since());
        let ran = self.generator.ran()?;
        let noise = Noise::of(&ran, steal);
        Ok(Stretch { cpu: cpu_after.saturating_sub(cpu_before), noise, ran })
    }
}
