//! How many rooms one core holds: bisected, and the answer held for a minute.

use std::time::Duration;

use media::JitterConfig;
use serde::Serialize;

use crate::failure::Result;
use crate::histogram::Spread;
use crate::lab::{Lab, SERVED};
use crate::noise::Noise;
use crate::rooms::{Hearing, MEMBERS, Rooms};

/// Part of packets that may be missing, percent.
const MISSING: f64 = 0.1;
/// How late packets may leave at p99, ms.
const LATE: f64 = 5.0;
/// Rooms between which is searched, and how finely.
const LEAST: usize = 100;
const MOST: usize = 2_000;
const STEP: usize = 25;
/// How long each trial and the last one are counted.
const TRIAL: Duration = Duration::from_secs(8);
const HOLD: Duration = Duration::from_secs(60);
const SETTLING: Duration = Duration::from_millis(2_500);
/// How often a void trial is repeated.
const RETRIES: usize = 5;
/// The part of a core that rooms may use where capacity is estimated: what was held for a minute has kept it about so busy.
pub const USABLE: f64 = 0.8;

/// One trial.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Rooms of three.
    pub rooms: usize,
    /// Seconds counted.
    pub seconds: f64,
    /// Packets missing.
    pub missing_percent: f64,
    /// Lateness, ms.
    pub lateness_ms: Spread,
    /// How busy the media thread was, percent.
    pub busy_percent: f64,
    /// Sub-slots that the shard skipped.
    pub skipped_slots: u64,
    /// The noise.
    pub noise: Noise,
    /// Whether it held.
    pub held: bool,
    /// Why it does not count.
    pub void: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Capacity {
    /// Rooms that held.
    pub rooms: usize,
    /// All trials in order.
    pub trials: Vec<Trial>,
    /// Why the figure does not count.
    pub void: Option<String>,
}

/// Searches.
///
/// # Errors
/// The plane or the generator fails.
pub fn measure(lab: &mut Lab) -> Result<Capacity> {
    let mut trials = Vec::new();
    let (mut low, mut high) = (LEAST, MOST);
    while high - low > STEP {
        let middle = (low + high) / 2 / STEP * STEP;
        let held = decide(lab, middle, TRIAL, &mut trials)?;
        if held {
            low = middle
        } else {
            high = middle
        }
        if middle == low && high - low <= STEP {
            break;
        }
    }
    loop {
        if decide(lab, low, HOLD, &mut trials)? || low <= LEAST {
            break;
        }
        low -= (2 * STEP).min(low - LEAST);
    }
    let last = trials.last().and_then(|trial| trial.void.clone());
    Ok(Capacity { rooms: low, trials, void: last })
}

/// Tries until a trial counts or has been repeated often enough. A trial that held counts whatever the noise.
fn decide(lab: &mut Lab, rooms: usize, counted: Duration, trials: &mut Vec<Trial>) -> Result<bool> {
    for _ in 0..=RETRIES {
        let trial = attempt(lab, rooms, counted)?;
        eprintln!(
            "  {} rooms: missing {:.3} %, p99 {:.2} ms, busy {:.0} %{}",
            rooms,
            trial.missing_percent,
            trial.lateness_ms.p99,
            trial.busy_percent,
            trial.void.as_ref().map_or(String::new(), |why| format!(" (void: {why})"))
        );
        let (held, void) = (trial.held, trial.void.is_some());
        trials.push(trial);
        if held || !void {
            return Ok(held);
        }
    }
    Ok(false)
}

/// One trial.
///
/// # Errors
/// The plane or the generator fails.
pub fn attempt(lab: &mut Lab, rooms: usize, counted: Duration) -> Result<Trial> {
    let phones = lab.generator.open(SERVED, rooms * MEMBERS)?;
    let (served, ports) = Rooms::open(lab.server_cpu, &phones, Hearing::Coached, JitterConfig::default())?;
    lab.generator.connect(SERVED, ports)?;
    let skipped = served.metrics().skipped_slots;
    let stretch = lab.stretch(SERVED, served.shard_thread(), SETTLING, counted)?;
    let skipped = served.metrics().skipped_slots - skipped;
    served.close()?;
    lab.generator.close(SERVED)?;
    let missing_percent = stretch.ran.missing() * 100.0;
    Ok(Trial {
        rooms,
        seconds: counted.as_secs_f64(),
        missing_percent,
        lateness_ms: stretch.ran.lateness,
        busy_percent: stretch.cpu.as_secs_f64() * 100.0 / counted.as_secs_f64(),
        skipped_slots: skipped,
        held: missing_percent < MISSING && stretch.ran.lateness.p99 < LATE,
        void: stretch.noise.voids(),
        noise: stretch.noise,
    })
}
