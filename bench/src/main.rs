//! `bench`: what the server costs, how fast it reacts, how much it holds; each figure beside the noise it was measured in.
#![deny(unsafe_code)]

mod browsers;
mod capacity;
mod command;
mod cost;
mod delay;
mod dice;
mod failure;
mod generator;
mod histogram;
mod house;
mod lab;
mod memory;
mod micro;
mod noise;
mod os;
mod phone;
mod reflector;
mod relay;
mod report;
mod rooms;
mod sentences;
mod setups;
mod speech;
mod whole;
mod worker;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use failure::{Failure, Result, Tried};
use lab::Lab;
use report::Report;

/// Measures a server's media on one core, and the floor beside it.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// One part; without it, all.
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Clone, Debug, Args)]
struct Options {
    /// Ends within two minutes; rooms per core are estimated.
    #[arg(long, global = true)]
    quick: bool,
    /// Prints one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// CPU of the server's media thread.
    #[arg(long, global = true, default_value_t = 0)]
    server_cpu: usize,
    /// CPU of the load and of everything else.
    #[arg(long, global = true, default_value_t = 1)]
    load_cpu: usize,
    /// Rooms of three while CPU is measured, and beside commands under load.
    #[arg(long, global = true, default_value_t = 800)]
    rooms: usize,
}

#[derive(Clone, Debug, Subcommand)]
enum Part {
    /// CPU per member: the floor, coached and plain rooms.
    Cost,
    /// Rooms of three that one core holds.
    Capacity,
    /// Holds rooms for a while and tells how it went; for profiling.
    Hold {
        /// Seconds.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// From command to audio, idle and loaded.
    Command,
    /// Delay that the server adds.
    Delay,
    /// Calls set up per second.
    Setups,
    /// Memory per member.
    Memory,
    /// Mixer, codecs, jitter buffer alone.
    Micro,
    /// Browsers' legs: CPU beside the bare work of codec and keys, legs on one core, handshakes, memory.
    Browsers(browsers::Plan),
    /// A network between two ends of UDP that loses, delays and reorders; until its input ends.
    Relay {
        /// Where one end sends to; port 0: any.
        #[arg(long, default_value = "127.0.0.1:0")]
        near: SocketAddr,
        /// Where the other end sends to; port 0: any.
        #[arg(long, default_value = "127.0.0.1:0")]
        far: SocketAddr,
        /// Who is at the far end; unset, whoever sends there first.
        #[arg(long)]
        far_peer: Option<SocketAddr>,
        /// Percent of datagrams that are lost.
        #[arg(long, default_value_t = 5.0)]
        loss: f64,
        /// Each datagram is late by up to so many milliseconds, evenly spread.
        #[arg(long, default_value_t = 30)]
        jitter: u64,
        /// Which of all such networks.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Writes sentences of recorded speech and a microphone's file that says them.
    Sentences {
        /// The folder that the packages of prompts were unpacked to.
        #[arg(long)]
        prompts: PathBuf,
        /// Where to write.
        #[arg(long)]
        out: PathBuf,
        /// How many sentences.
        #[arg(long, default_value_t = 8)]
        count: usize,
        /// Which ones.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The load; started by the other parts.
    #[command(hide = true)]
    Generator {
        /// Its CPU.
        #[arg(long)]
        cpu: usize,
    },
    /// A process with a thousand members; started by `memory`.
    #[command(hide = true)]
    Members,
    /// The browsers; started by `browsers`.
    #[command(hide = true)]
    Callers {
        /// Their CPU.
        #[arg(long)]
        cpu: usize,
        /// Recorded speech.
        #[arg(long)]
        prompts: PathBuf,
    },
    /// A process with a thousand browsers' legs; started by `browsers`.
    #[command(hide = true)]
    BrowserMembers {
        /// Recorded speech.
        #[arg(long)]
        prompts: PathBuf,
    },
}

/// What a quick run may take, all in all.
const QUICK: Duration = Duration::from_secs(112);
/// By when what comes before CPU per member should have ended in it.
const EARLY: Duration = Duration::from_secs(58);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).tried("printing")
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map(|text| text + "\n").map_err(|e| Failure::Machine(e.to_string()))
}

fn run(cli: &Cli) -> Result<()> {
    let options = &cli.options;
    match &cli.part {
        Some(Part::Generator { cpu }) => return generator::serve(*cpu),
        Some(Part::Browsers(plan)) => return browsers::run(options, plan),
        Some(Part::Callers { cpu, prompts }) => return browsers::serve(*cpu, prompts),
        Some(Part::BrowserMembers { prompts }) => return browsers::members(options, prompts),
        Some(Part::Relay { near, far, far_peer, loss, jitter, seed }) => {
            let jitter = Duration::from_millis(*jitter);
            let network = relay::Impairment { loss_percent: *loss, jitter, seed: *seed };
            return relay::serve(*near, *far, *far_peer, network);
        }
        Some(Part::Sentences { prompts, out, count, seed }) => return sentences::write(prompts, out, *count, *seed),
        Some(Part::Members) => {
            let mut lab = Lab::open(options.server_cpu, options.load_cpu, None)?;
            return say(&json(&memory::in_this_process(&mut lab)?)?);
        }
        Some(Part::Hold { seconds }) => {
            let mut lab = Lab::open(options.server_cpu, options.load_cpu, None)?;
            return say(&json(&capacity::attempt(&mut lab, options.rooms, Duration::from_secs(*seconds))?)?);
        }
        _ => {}
    }
    let started = Instant::now();
    let mut report = Report {
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: report::machine(),
        load_average: report::load_average(),
        ..Report::default()
    };
    measure(options, cli.part.as_ref(), started, &mut report)?;
    report.figures = report.readings.figures();
    report.took_s = started.elapsed().as_secs_f64();
    say(&if options.json { json(&report)? } else { report.table() })
}

/// How often a part is measured again because it was void.
const RETRIES: usize = 5;

/// Measures again while the result is void and time allows; answers the last.
fn retried<T>(
    deadline: Option<Instant>,
    mut measure: impl FnMut() -> Result<T>,
    void: impl Fn(&T) -> Option<&String>,
) -> Result<Option<T>> {
    for attempt in 1.. {
        let begin = Instant::now();
        let value = measure()?;
        let Some(why) = void(&value) else { return Ok(Some(value)) };
        if attempt > RETRIES || deadline.is_some_and(|deadline| Instant::now() + begin.elapsed() > deadline) {
            return Ok(Some(value));
        }
        eprintln!("  void, again: {why}");
    }
    Ok(None)
}

fn measure(options: &Options, part: Option<&Part>, started: Instant, report: &mut Report) -> Result<()> {
    let quick = options.quick;
    let asks = |which: &Part| part.is_some_and(|part| std::mem::discriminant(part) == std::mem::discriminant(which));
    let wants = |which: Part| part.is_none() || asks(&which);
    let seconds = |short: u64, long: u64| Duration::from_secs(if quick { short } else { long });
    let deadline = quick.then(|| started + QUICK);
    let mut lab = Lab::open(options.server_cpu, options.load_cpu, deadline)?;
    let Report { readings, failed, .. } = report;
    // In a quick run CPU per member comes last and has most of the time; what is before it is repeated only while there is time.
    let early = quick.then(|| started + if part.is_some() { QUICK } else { EARLY });
    if wants(Part::Command) {
        let measure = || whole::measure(&mut lab, seconds(6, 30));
        readings.whole =
            kept(failed, "command to audio by the native API", || retried(early, measure, whole::Whole::void));
    }
    if wants(Part::Command) && (!quick || readings.whole.is_none()) {
        let measure = || command::measure(&mut lab, 0, seconds(6, 30));
        readings.command_idle =
            kept(failed, "command to audio, media alone, idle", || retried(early, measure, |r| r.void.as_ref()));
        let measure = || command::measure(&mut lab, options.rooms / 2, seconds(6, 30));
        readings.command_loaded =
            kept(failed, "command to audio, media alone, loaded", || retried(early, measure, |r| r.void.as_ref()));
    }
    if wants(Part::Memory) {
        readings.memory = kept(failed, "memory per member, media alone", || memory::measure(&lab).map(Some));
    }
    if wants(Part::Setups) {
        let measure = || setups::measure(&lab, seconds(4, 20));
        readings.setups = kept(failed, "call setups", || retried(early, measure, |r| r.void.as_ref()));
    }
    if wants(Part::Delay) {
        let measure = || delay::measure(&mut lab, seconds(6, 30));
        readings.delay = kept(failed, "added delay", || retried(early, measure, |r| r.void.as_ref()));
    }
    if wants(Part::Cost) {
        let window = if quick { Duration::from_millis(1_500) } else { Duration::from_secs(4) };
        readings.cost = kept(failed, "CPU per member", || cost::measure(&mut lab, options.rooms, window).map(Some));
    }
    if asks(&Part::Capacity) || (part.is_none() && !quick) {
        readings.capacity = kept(failed, "rooms on one core", || capacity::measure(&mut lab).map(Some));
    }
    if asks(&Part::Micro) || (part.is_none() && !quick) {
        readings.micro = micro::measure();
    }
    Ok(())
}

/// Measures a part; its failure is told at the end and stops no other part.
fn kept<T>(failed: &mut Vec<String>, what: &str, measure: impl FnOnce() -> Result<Option<T>>) -> Option<T> {
    eprintln!("measuring {what} …");
    measure().unwrap_or_else(|failure| {
        failed.push(format!("{what}: {failure}"));
        None
    })
}
