//! Memory per member: how much this process grows when a thousand members come and talk.

use std::process::{Command, Stdio};
use std::time::Duration;

use media::JitterConfig;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result, Tried};
use crate::generator::Phones;
use crate::lab::{Lab, SERVED};
use crate::rooms::{Hearing, MEMBERS, Rooms};

/// Rooms of three: a thousand members, less one.
const ROOMS: usize = 333;
const TALKING: Duration = Duration::from_secs(3);

/// Growth of the media plane's process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Growth {
    /// Members that came.
    pub members: usize,
    /// Bytes for each: resident memory, of everything in the process.
    pub bytes_per_member: f64,
    /// Resident bytes before they came, the plane running.
    pub before: u64,
    /// Resident bytes while they talk.
    pub after: u64,
}

/// Measures in a process of its own, so that nothing else grows or gives back memory.
///
/// # Errors
/// The process fails.
pub fn measure(lab: &Lab) -> Result<Growth> {
    let program = std::env::current_exe().tried("finding this program")?;
    let cpus = [lab.server_cpu.to_string(), lab.load_cpu.to_string()];
    let output = Command::new(program)
        .args(["members", "--server-cpu", &cpus[0], "--load-cpu", &cpus[1]])
        .stderr(Stdio::inherit())
        .output()
        .tried("starting a process for members")?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| Failure::Server(format!("said {:?} about members", String::from_utf8_lossy(&output.stdout))))
}

/// The process's part.
///
/// # Errors
/// The plane fails.
pub fn in_this_process(lab: &mut Lab) -> Result<Growth> {
    let phones = lab.generator.open(SERVED, ROOMS * MEMBERS)?;
    // A plane with a room that has talked: its threads, buffers and code are there.
    let first = Phones { legs: phones.legs.iter().take(MEMBERS).copied().collect(), reports: phones.reports };
    let (rooms, _) = Rooms::open(lab.server_cpu, &first, Hearing::Coached, JitterConfig::default())?;
    std::thread::sleep(Duration::from_millis(500));
    let before = resident("self")?;
    let (rooms, ports) = {
        rooms.close()?;
        Rooms::open(lab.server_cpu, &phones, Hearing::Coached, JitterConfig::default())?
    };
    lab.generator.connect(SERVED, ports)?;
    lab.stretch(SERVED, rooms.shard_thread(), Duration::ZERO, TALKING)?;
    let after = resident("self")?;
    let members = rooms.rooms.len() * MEMBERS;
    rooms.close()?;
    Ok(Growth { members, bytes_per_member: after.saturating_sub(before) as f64 / members as f64, before, after })
}

/// Resident memory of a process, bytes.
///
/// # Errors
/// There is no such process.
pub fn resident(process: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).tried(&path)?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map(|kib| kib * 1_024)
        .ok_or_else(|| Failure::Machine(format!("{path} does not tell resident memory")))
}
