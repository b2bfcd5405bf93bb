//! What is told at the end: one JSON object, or a table.

use std::fmt::Write as _;

use serde::Serialize;

use crate::capacity::{Capacity, USABLE};
use crate::command::Reaction;
use crate::cost::Cost;
use crate::delay::Added;
use crate::memory::Growth;
use crate::micro::Micro;
use crate::noise::Noise;
use crate::reflector::Method;
use crate::rooms::MEMBERS;
use crate::setups::Setups;
use crate::whole::Whole;

/// Everything that was measured. What was not is absent, never guessed.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The command line.
    pub command: String,
    /// Processor, CPUs, kernel.
    pub machine: String,
    /// Load averages at the start.
    pub load_average: String,
    /// The goals' figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Parts that failed, and why.
    pub failed: Vec<String>,
    /// Seconds it took.
    pub took_s: f64,
    /// All readings behind the figures.
    pub readings: Readings,
}

/// The figures that goals are set for.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// CPU of the media thread in coached rooms of three, G.711.
    pub cpu_ms_per_member_second: Option<f64>,
    /// The same in plain rooms.
    pub plain_cpu_ms_per_member_second: Option<f64>,
    /// The faster of the reflector's methods, which is the floor.
    pub reflector_method: Option<Method>,
    /// The same of the reflector with a system call for each packet, and through io_uring.
    pub plain_reflector_cpu_ms_per_member_second: Option<f64>,
    /// See above.
    pub ring_reflector_cpu_ms_per_member_second: Option<f64>,
    /// The same of the floor.
    pub reflector_cpu_ms_per_member_second: Option<f64>,
    /// The same of the control threads, beside.
    pub control_cpu_ms_per_member_second: Option<f64>,
    /// Coached rooms over the floor.
    pub floor_ratio: Option<f64>,
    /// Coached over plain rooms.
    pub coached_over_plain: Option<f64>,
    /// Coached rooms of three on one core.
    pub rooms_per_core: Option<u64>,
    /// Whether that is arithmetic over CPU per member rather than a run.
    pub estimated: bool,
    /// What the command is: a request of the native API to the whole server, or a call of its media plane.
    pub command_path: Option<&'static str>,
    /// Command to first changed packet, idle server.
    pub command_to_audio_ms_p50: Option<f64>,
    /// Command to first changed packet, idle server.
    pub command_to_audio_ms_p99: Option<f64>,
    /// Command to first changed packet, loaded server.
    pub command_to_audio_loaded_ms_p50: Option<f64>,
    /// Command to first changed packet, loaded server.
    pub command_to_audio_loaded_ms_p99: Option<f64>,
    /// The same where a command lets somebody be heard: only packets that come after it may be, idle server.
    pub widening_to_audio_ms_p50: Option<f64>,
    /// See there.
    pub widening_to_audio_ms_p99: Option<f64>,
    /// Delay the server adds.
    pub added_delay_ms_p50: Option<f64>,
    /// Delay the server adds.
    pub added_delay_ms_p99: Option<f64>,
    /// The same in the room whose arrival phase is worst.
    pub added_delay_worst_phase_ms_p99: Option<f64>,
    /// Calls set up and ended per second by the whole server on one core.
    pub setups_per_second: Option<f64>,
    /// Resident memory per member at 1 000 members.
    pub rss_bytes_per_member: Option<f64>,
    /// Whether a figure above stands for nothing.
    pub void: bool,
    /// Why.
    pub void_reason: Option<String>,
    /// The worst noise of all that counts.
    #[serde(flatten)]
    pub noise: Noise,
}

/// What the figures come from.
#[derive(Debug, Default, Serialize)]
pub struct Readings {
    /// See [`crate::cost`].
    pub cost: Option<Cost>,
    /// See [`crate::capacity`].
    pub capacity: Option<Capacity>,
    /// See [`crate::whole`].
    pub whole: Option<Whole>,
    /// See [`crate::command`].
    pub command_idle: Option<Reaction>,
    /// See [`crate::command`].
    pub command_loaded: Option<Reaction>,
    /// See [`crate::delay`].
    pub delay: Option<Added>,
    /// See [`crate::setups`].
    pub setups: Option<Setups>,
    /// See [`crate::memory`].
    pub memory: Option<Growth>,
    /// See [`crate::micro`].
    pub micro: Vec<Micro>,
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

impl Readings {
    /// The figures that these readings make.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        let mut voids: Vec<String> = Vec::new();
        let mut noises: Vec<Noise> = Vec::new();
        if let Some(cost) = &self.cost {
            let median = |figure: fn(&crate::cost::Round) -> f64| cost.median(figure).map(|value| rounded(value, 4));
            figures.cpu_ms_per_member_second = median(|round| round.coached);
            figures.plain_cpu_ms_per_member_second = median(|round| round.plain);
            let method = cost.method();
            figures.reflector_method = Some(method);
            figures.plain_reflector_cpu_ms_per_member_second = median(|round| round.plain_reflector);
            figures.ring_reflector_cpu_ms_per_member_second =
                median(|round| round.ring_reflector.unwrap_or(f64::NAN)).filter(|value| value.is_finite());
            figures.reflector_cpu_ms_per_member_second =
                cost.median(|round| Cost::floor(round, method)).map(|value| rounded(value, 4));
            figures.control_cpu_ms_per_member_second = median(|round| round.control);
            figures.floor_ratio = cost
                .median(|round| round.coached / Cost::floor(round, method).max(1e-9))
                .map(|value| rounded(value, 3));
            figures.coached_over_plain =
                median(|round| round.coached / round.plain.max(1e-9)).map(|value| rounded(value, 3));
            figures.rooms_per_core =
                figures.cpu_ms_per_member_second.map(|cpu| (USABLE * 1_000.0 / (cpu * MEMBERS as f64)) as u64);
            figures.estimated = figures.rooms_per_core.is_some();
            voids.extend(cost.void.iter().map(|why| format!("CPU per member: {why}")));
            noises.push(cost.noise());
        }
        if let Some(capacity) = &self.capacity {
            figures.rooms_per_core = Some(capacity.rooms as u64);
            figures.estimated = false;
            voids.extend(capacity.void.iter().map(|why| format!("rooms per core: {why}")));
            noises.extend(capacity.trials.last().map(|trial| trial.noise));
        }
        let whole = self.whole.as_ref();
        figures.command_path = match (whole, &self.command_idle) {
            (Some(_), _) => Some("native API"),
            (None, Some(_)) => Some("media plane"),
            (None, None) => None,
        };
        let idle = whole.map(|whole| &whole.idle).or(self.command_idle.as_ref());
        let loaded = whole.map(|whole| &whole.loaded).or(self.command_loaded.as_ref());
        for (reaction, loaded) in [(idle, false), (loaded, true)] {
            let Some(reaction) = reaction else { continue };
            let (p50, p99) = (Some(reaction.narrowing_ms.p50), Some(reaction.narrowing_ms.p99));
            if loaded {
                (figures.command_to_audio_loaded_ms_p50, figures.command_to_audio_loaded_ms_p99) = (p50, p99);
            } else {
                figures.widening_to_audio_ms_p50 = Some(reaction.widening_ms.p50);
                figures.widening_to_audio_ms_p99 = Some(reaction.widening_ms.p99);
                (figures.command_to_audio_ms_p50, figures.command_to_audio_ms_p99) = (p50, p99);
            }
            voids.extend(reaction.void.iter().map(|why| format!("command to audio: {why}")));
            noises.push(reaction.noise);
        }
        if let Some(delay) = &self.delay {
            (figures.added_delay_ms_p50, figures.added_delay_ms_p99) = (Some(delay.all_ms.p50), Some(delay.all_ms.p99));
            figures.added_delay_worst_phase_ms_p99 = Some(delay.worst_room_p99_ms);
            voids.extend(delay.void.iter().map(|why| format!("added delay: {why}")));
            noises.push(delay.noise);
        }
        voids.extend(
            self.setups.iter().filter_map(|setups| setups.void.as_ref()).map(|why| format!("call setups: {why}")),
        );
        figures.setups_per_second = self.setups.as_ref().map(|setups| rounded(setups.per_second, 1));
        figures.rss_bytes_per_member =
            whole.map(|whole| whole.memory).or(self.memory).map(|growth| growth.bytes_per_member.round());
        figures.noise = noises.into_iter().fold(Noise::default(), Noise::worst);
        figures.void = !voids.is_empty();
        figures.void_reason = (!voids.is_empty()).then(|| voids.join("; "));
        figures
    }
}

/// Processor, CPUs and kernel.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let guest = if cpus.contains(" hypervisor") { ", virtual" } else { "" };
    format!("{model}, {count} CPUs{guest}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// Load averages.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

impl Report {
    /// The table.
    pub fn table(&self) -> String {
        let f = &self.figures;
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{}\n{}; load average {} at the start; took {:.0} s\n",
            self.command, self.machine, self.load_average, self.took_s
        );
        let mut row = |what: &str, value: Option<f64>, digits: usize, goal: &str| {
            let value = value.map_or("absent".to_owned(), |value| format!("{value:.digits$}"));
            let _ = writeln!(text, "  {what:<58} {value:>10}   {goal}");
        };
        row("CPU, ms per member-second, coached rooms of three", f.cpu_ms_per_member_second, 4, "≤ 0.30");
        row("… plain rooms", f.plain_cpu_ms_per_member_second, 4, "");
        row(
            "… the floor (reflector), the faster of two methods",
            f.reflector_cpu_ms_per_member_second,
            4,
            "≤ 0.30, else void",
        );
        row("    a system call for each packet", f.plain_reflector_cpu_ms_per_member_second, 4, "");
        row("    batches by io_uring", f.ring_reflector_cpu_ms_per_member_second, 4, "");
        row("… control threads, beside", f.control_cpu_ms_per_member_second, 4, "");
        row("floor ratio", f.floor_ratio, 3, "≤ 1.5");
        row("coached over plain", f.coached_over_plain, 3, "≤ 1.10");
        let rooms = if f.estimated { "rooms of three on one core (estimated)" } else { "rooms of three on one core" };
        row(rooms, f.rooms_per_core.map(|n| n as f64), 0, "≥ 800");
        row("command to audio, ms, p50, idle", f.command_to_audio_ms_p50, 2, "");
        row("command to audio, ms, p99, idle", f.command_to_audio_ms_p99, 2, "≤ 25");
        row("command to audio, ms, p50, loaded", f.command_to_audio_loaded_ms_p50, 2, "");
        row("command to audio, ms, p99, loaded", f.command_to_audio_loaded_ms_p99, 2, "≤ 25");
        row("… where somebody becomes audible, ms, p50, idle", f.widening_to_audio_ms_p50, 2, "");
        row("… where somebody becomes audible, ms, p99, idle", f.widening_to_audio_ms_p99, 2, "");
        row("added delay, ms, p50", f.added_delay_ms_p50, 2, "");
        row("added delay, ms, p99", f.added_delay_ms_p99, 2, "≤ 22");
        row("added delay at the worst arrival phase, ms, p99", f.added_delay_worst_phase_ms_p99, 2, "");
        row("call setups per second on one core", f.setups_per_second, 0, "≥ 1 000");
        row(
            "… CPU of the server for each, ms",
            self.readings.setups.as_ref().map(|setups| setups.cpu_ms_per_call),
            3,
            "",
        );
        row("resident bytes per member at 1 000 members", f.rss_bytes_per_member, 0, "≤ 65 536");
        row("noise: generator's own lateness p99, ms", Some(f.noise.generator_lateness_ms_p99), 2, "≤ 1, else void");
        row("noise: stolen time, %", Some(f.noise.steal_percent), 2, "≤ 2, else void");
        row("noise: drops of the generator's sockets", Some(f.noise.generator_socket_drops as f64), 0, "0, else void");
        for micro in &self.readings.micro {
            row(micro.what, Some(micro.ns), 0, "ns");
        }
        if let Some(why) = &f.void_reason {
            let _ = writeln!(text, "\nVOID: {why}");
        }
        for failed in &self.failed {
            let _ = writeln!(text, "\nfailed: {failed}");
        }
        text
    }
}
