//! Call setups: INVITE, 200, ACK, BYE against the whole server on one core, its instructions fetched from an application whose document
//! never changes.

use std::cell::Cell;
use std::time::Duration;

use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::histogram::Spread;
use crate::house::{Caller, House};
use crate::lab::Lab;
use crate::noise::{CpuTimes, STEAL_PERCENT};

/// Calls under way at once.
const AT_ONCE: usize = 64;
const WARM: Duration = Duration::from_secs(1);

/// Setups.
#[derive(Clone, Debug, Serialize)]
pub struct Setups {
    /// Calls answered and ended per second.
    pub per_second: f64,
    /// CPU time of the server for each, ms.
    pub cpu_ms_per_call: f64,
    /// How busy the server's core was with it, percent.
    pub busy_percent: f64,
    /// From INVITE to 200, ms.
    pub setup_ms: Spread,
    /// Calls under way at once.
    pub at_once: usize,
    /// Requests that had to be sent again.
    pub repeated: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Time stolen meanwhile, percent.
    pub steal_percent: f64,
    /// Why it does not count.
    pub void: Option<String>,
}

/// Measures for `counted`.
///
/// # Errors
/// The server is not there, or answers nothing.
pub fn measure(lab: &Lab, counted: Duration) -> Result<Setups> {
    let house = House::start(lab.server_cpu, lab.server_cpu, lab.load_cpu)?;
    let mut caller = Caller::open(house.sip)?;
    let before = Cell::new((0.0, CpuTimes::now()));
    let after = Cell::new((0.0, 0.0));
    let life = caller.churn(
        AT_ONCE,
        WARM,
        counted,
        || before.set((house.cpu_ms().unwrap_or(0.0), CpuTimes::now())),
        || after.set((house.cpu_ms().unwrap_or(0.0), before.get().1.steal_since())),
    );
    if life.ended == 0 {
        return Err(Failure::Server(format!(
            "set up no call; the last refusal: {}",
            caller.refusal().unwrap_or("none")
        )));
    }
    let (cpu, steal_percent) = (after.get().0 - before.get().0, after.get().1);
    Ok(Setups {
        per_second: life.ended as f64 / counted.as_secs_f64(),
        cpu_ms_per_call: cpu / life.ended as f64,
        busy_percent: cpu / 10.0 / counted.as_secs_f64(),
        setup_ms: life.setup,
        at_once: AT_ONCE,
        repeated: life.repeated,
        failed: life.failed,
        steal_percent,
        void: (steal_percent > STEAL_PERCENT)
            .then(|| format!("{steal_percent:.1} % of the time was stolen (limit {STEAL_PERCENT})")),
    })
}
