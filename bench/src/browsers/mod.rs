//! Browsers' legs: what one costs beside the bare work of its codec and keys, how many one core carries, how many handshakes it makes, what one weighs.

mod bare;
mod caller;
mod callers;
mod conversation;
mod stage;
mod table;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use audio::OpusConfig;
use serde::Serialize;

pub use callers::serve;

use crate::Options;
use crate::failure::{Failure, Result, Tried};
use crate::histogram::{Spread, median};
use crate::memory::{Growth, resident};
use crate::noise::Noise;
use crate::os;
use crate::rooms::{Hearing, MEMBERS};
use bare::{Bare, Spent};
use callers::Callers;
use conversation::{Conversation, Talk, mixes};
use stage::{Counted, Stage, Stretch};

/// Until buffers and new pairs of plans have settled.
const SETTLING: Duration = Duration::from_millis(2_500);
/// How long a number of legs is tried.
const TRIAL: Duration = Duration::from_secs(6);
/// What still counts as held: packets missing, percent, and how late at p99, ms.
const MISSING: f64 = 0.1;
const LATE: f64 = 5.0;
/// Legs between which the search ends.
const STEP: usize = 6;
/// Handshakes measured, and at once.
const HANDSHAKES: usize = 300;
const AT_ONCE: usize = 10;
/// Members weighed: 333 rooms of three.
const WEIGHED: usize = 999;
/// Of them, how many talk at once.
const TALKING: usize = 90;

/// How it is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// Legs while CPU is measured; a multiple of three.
    #[arg(long, default_value_t = 150)]
    legs: usize,
    /// Rounds of the server and the bare work in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds counted in each round.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Coached rooms instead of plain ones.
    #[arg(long)]
    coached: bool,
    /// ICE lite instead of full ICE.
    #[arg(long)]
    lite: bool,
    /// Effort of Opus, 0 to 10.
    #[arg(long, default_value_t = 5)]
    complexity: u8,
    /// Bits per second of the Opus that the server sends.
    #[arg(long, default_value_t = OpusConfig::default().bitrate)]
    bitrate: u32,
    /// Parts, of cost, capacity, handshakes, memory.
    #[arg(long, value_delimiter = ',', default_value = "cost,capacity,handshakes,memory")]
    parts: Vec<String>,
    /// Where `bench/quality/run --speech` has put recorded speech.
    #[arg(long, default_value = "target/quality/prompts")]
    prompts: std::path::PathBuf,
}

impl Plan {
    fn wants(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }

    fn opus(&self) -> OpusConfig {
        OpusConfig { bitrate: self.bitrate, complexity: self.complexity, dtx: false, ..OpusConfig::default() }
    }

    fn hearing(&self) -> Hearing {
        if self.coached { Hearing::Coached } else { Hearing::Plain }
    }
}

/// A round: the server and the bare work of the same ticks.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// The server's media thread, ms of CPU per leg-second.
    pub media: f64,
    /// Its WebRTC thread.
    pub webrtc: f64,
    /// The bare work.
    pub bare: Spent,
    /// Server over bare.
    pub ratio: f64,
    /// What the server encoded with sound over the different mixes of the scenario.
    pub encodes_per_mix: f64,
    /// The same by the server's own count of different mixes.
    pub encodes_per_own_mix: f64,
    /// Frames of silence encoded, per leg-second.
    pub silences: f64,
    /// Encoders reset, per leg-second.
    pub resets: f64,
    /// Ticks decoded or concealed, per leg-second.
    pub decodes: f64,
    /// Packets sent, per leg-second.
    pub sent: f64,
    /// Packets that did not come, percent.
    pub missing_percent: f64,
    /// How late packets came, ms.
    pub lateness_ms: Spread,
    /// The load's own CPU time, ms per leg-second.
    pub load: f64,
    /// The noise.
    pub noise: Noise,
    /// Why it does not count.
    pub void: Option<String>,
}

/// A number of legs that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Legs that talked.
    pub legs: usize,
    /// Packets that did not come, percent.
    pub missing_percent: f64,
    /// How late they came, ms.
    pub lateness_ms: Spread,
    /// How busy both threads were, percent of the core.
    pub busy_percent: f64,
    /// Sub-slots skipped.
    pub skipped: u64,
    /// How busy the load was, percent of its core.
    pub load_percent: f64,
    /// Whether it held.
    pub held: bool,
    /// Why it does not count.
    pub void: Option<String>,
}

/// Handshakes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Handshakes {
    /// How many.
    pub count: usize,
    /// ICE and DTLS on the WebRTC thread, ms of CPU each.
    pub cpu_ms: f64,
    /// Offer and answer, ms of CPU each, on another thread.
    pub answering_ms: f64,
    /// On one core, ICE and DTLS alone.
    pub per_second_and_core: f64,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Browsers {
    /// The command line.
    pub command: String,
    /// Processor, CPUs, kernel.
    pub machine: String,
    /// Load averages at the start and at the end.
    pub load_average: [String; 2],
    /// How the conversation is.
    pub talk: Talk,
    /// Legs while CPU was measured.
    pub legs: usize,
    /// All rounds.
    pub rounds: Vec<Round>,
    /// The greatest number of legs that held.
    pub legs_per_core: Option<usize>,
    /// All numbers tried.
    pub trials: Vec<Trial>,
    /// See there.
    pub handshakes: Option<Handshakes>,
    /// See there.
    pub memory: Option<Growth>,
    /// Parts that failed, and why.
    pub failed: Vec<String>,
}

impl Browsers {
    /// The median of a figure over the rounds that count; where none does, over all.
    pub fn median(&self, figure: impl Fn(&Round) -> f64) -> Option<f64> {
        let good: Vec<&Round> = self.rounds.iter().filter(|round| round.void.is_none()).collect();
        let counting = if good.is_empty() { self.rounds.iter().collect() } else { good };
        median(&counting.into_iter().map(figure).collect::<Vec<_>>())
    }
}

/// Measures, and prints.
///
/// # Errors
/// The prompts or the CPUs are not there; a part that fails is told at the end and stops no other.
pub fn run(options: &Options, plan: &Plan) -> Result<()> {
    os::raise_open_files();
    os::pin(options.server_cpu).tried("using the server's CPU; choose another with --server-cpu")?;
    os::pin(options.load_cpu).tried("using the load's CPU; choose another with --load-cpu")?;
    let conversation = Conversation::new(&plan.prompts)?;
    let mut result = Browsers {
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: crate::report::machine(),
        load_average: [crate::report::load_average(), String::new()],
        talk: conversation.talk(),
        legs: plan.legs.next_multiple_of(MEMBERS),
        ..Browsers::default()
    };
    let done = |result: &mut Browsers, what: &str, outcome: Result<()>| {
        if let Err(failure) = outcome {
            result.failed.push(format!("{what}: {failure}"));
        }
    };
    if plan.wants("cost") || plan.wants("capacity") {
        let outcome = on_stage(options, plan, &conversation, &mut result);
        done(&mut result, "cost and capacity", outcome);
    }
    if plan.wants("handshakes") {
        let outcome = handshakes(options, plan, &mut result);
        done(&mut result, "handshakes", outcome);
    }
    if plan.wants("memory") {
        let outcome = memory(options, plan).map(|growth| result.memory = Some(growth));
        done(&mut result, "memory", outcome);
    }
    result.load_average[1] = crate::report::load_average();
    crate::say(&if options.json { crate::json(&result)? } else { table::table(&result) })
}

fn on_stage(options: &Options, plan: &Plan, conversation: &Conversation, result: &mut Browsers) -> Result<()> {
    let mut callers = Callers::start(options.load_cpu, &plan.prompts)?;
    let (server, load) = (options.server_cpu, options.load_cpu);
    let mut stage = Stage::open(server, load, plan.hearing(), plan.lite, plan.opus())?;
    stage.fill(&mut callers, result.legs)?;
    if plan.wants("cost") {
        let mut bare = Bare::new(result.legs, plan.opus())?;
        for n in 0..plan.rounds {
            eprintln!("round {} of {} …", n + 1, plan.rounds);
            let round = round(options, plan, conversation, &stage, &mut callers, &mut bare)?;
            result.rounds.push(round);
        }
    }
    if plan.wants("capacity") {
        capacity(&mut stage, &mut callers, result)?;
    }
    callers.leave()
}

fn round(
    options: &Options,
    plan: &Plan,
    conversation: &Conversation,
    stage: &Stage,
    callers: &mut Callers,
    bare: &mut Bare,
) -> Result<Round> {
    let counted = Duration::from_secs(plan.seconds);
    let legs = plan.legs.next_multiple_of(MEMBERS);
    let Stretch { ran, cpu, counted: server, noise } = stage.stretch(callers, (0, legs), SETTLING, counted)?;
    // The same ticks, at once, on the server's core.
    let first = callers::ticks(SETTLING.as_nanos() as u64);
    let ticks = first..first + callers::ticks(counted.as_nanos() as u64);
    os::pin(options.server_cpu).tried("pinning the bare work")?;
    let spent = bare.run(conversation, plan.hearing(), ticks.clone());
    os::pin(options.load_cpu).tried("pinning the load")?;
    let rooms = legs / MEMBERS;
    let distinct: usize = ticks
        .flat_map(|tick| (0..rooms).map(move |room| Conversation::place(room, tick)))
        .map(|place| mixes(plan.hearing(), conversation.sounding(place)).len())
        .sum();
    let leg_seconds = legs as f64 * plan.seconds as f64;
    let per = |count: u64| count as f64 / leg_seconds;
    let cost = |time: Duration| time.as_secs_f64() * 1e3 / leg_seconds;
    let (media, webrtc) = (cost(cpu.media), cost(cpu.webrtc));
    let Counted { decodes, encodes, silences, distinct: own, resets, sent, .. } = server;
    let whole = leg_seconds * (SETTLING + counted).as_secs_f64() / counted.as_secs_f64();
    Ok(Round {
        media,
        webrtc,
        bare: spent,
        ratio: (media + webrtc) / spent.all(),
        encodes_per_mix: encodes as f64 / distinct as f64,
        encodes_per_own_mix: encodes as f64 / own as f64,
        silences: per(silences),
        resets: per(resets),
        decodes: per(decodes),
        sent: per(sent),
        missing_percent: ran.missing() * 100.0,
        lateness_ms: ran.lateness,
        load: ran.cpu_ms / whole,
        void: noise.voids(),
        noise,
    })
}

/// Adds legs until packets are late, then halves the difference.
fn capacity(stage: &mut Stage, callers: &mut Callers, result: &mut Browsers) -> Result<()> {
    let (mut low, mut high) = (0, None);
    let mut legs = 90;
    loop {
        stage.fill(callers, legs)?;
        let trial = attempt(stage, callers, legs)?;
        eprintln!(
            "  {legs} legs: missing {:.3} %, p99 {:.2} ms, busy {:.0} %, load {:.0} %{}",
            trial.missing_percent,
            trial.lateness_ms.p99,
            trial.busy_percent,
            trial.load_percent,
            trial.void.as_ref().map_or(String::new(), |why| format!(" (void: {why})"))
        );
        let held = trial.held;
        result.trials.push(trial);
        if held {
            low = legs;
            result.legs_per_core = Some(low);
        } else {
            high = Some(legs);
        }
        legs = match high {
            None => (low * 4 / 3).next_multiple_of(MEMBERS),
            Some(high) if high - low <= STEP => return Ok(()),
            Some(high) => ((low + high) / 2).next_multiple_of(MEMBERS),
        };
    }
}

fn attempt(stage: &Stage, callers: &mut Callers, legs: usize) -> Result<Trial> {
    let mut last = None;
    for _ in 0..3 {
        let stretch = stage.stretch(callers, (0, legs), SETTLING, TRIAL)?;
        let missing_percent = stretch.ran.missing() * 100.0;
        let percent = 100.0 / TRIAL.as_secs_f64();
        let trial = Trial {
            legs,
            missing_percent,
            lateness_ms: stretch.ran.lateness,
            busy_percent: (stretch.cpu.media + stretch.cpu.webrtc).as_secs_f64() * percent,
            skipped: stretch.counted.skipped,
            load_percent: stretch.ran.cpu_ms / 10.0 / (SETTLING + TRIAL).as_secs_f64(),
            held: missing_percent < MISSING && stretch.ran.lateness.p99 < LATE && stretch.counted.dropped == 0,
            void: stretch.noise.voids(),
        };
        let decided = trial.held || trial.void.is_none();
        last = Some(trial);
        if decided {
            break;
        }
    }
    last.ok_or_else(|| Failure::Machine("nothing was tried".to_owned()))
}

fn handshakes(options: &Options, plan: &Plan, result: &mut Browsers) -> Result<()> {
    eprintln!("handshakes …");
    let mut callers = Callers::start(options.load_cpu, &plan.prompts)?;
    let (server, load) = (options.server_cpu, options.load_cpu);
    let mut stage = Stage::open(server, load, plan.hearing(), plan.lite, plan.opus())?;
    let (mut webrtc, mut answering, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    while count < HANDSHAKES {
        let (done, answered) = stage.connect(&mut callers, AT_ONCE)?;
        webrtc += done.webrtc;
        answering += done.answering;
        count += done.legs;
        drop(answered);
        callers.leave()?;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e3 / count as f64;
    result.handshakes = Some(Handshakes {
        count,
        cpu_ms: each(webrtc),
        answering_ms: each(answering),
        per_second_and_core: 1e3 / each(webrtc),
    });
    Ok(())
}

/// Weighs members in a process of its own, so that nothing else grows or gives back memory.
fn memory(options: &Options, plan: &Plan) -> Result<Growth> {
    eprintln!("memory …");
    let program = std::env::current_exe().tried("finding this program")?;
    let output = Command::new(program)
        .args(["browser-members", "--server-cpu", &options.server_cpu.to_string()])
        .args(["--load-cpu", &options.load_cpu.to_string(), "--prompts"])
        .arg(&plan.prompts)
        .stderr(Stdio::inherit())
        .output()
        .tried("starting a process for members")?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| Failure::Server(format!("said {:?} about members", String::from_utf8_lossy(&output.stdout))))
}

/// The process's part.
///
/// # Errors
/// The server or the callers fail.
pub fn members(options: &Options, prompts: &Path) -> Result<()> {
    os::raise_open_files();
    let mut callers = Callers::start(options.load_cpu, prompts)?;
    let mut stage = Stage::open(options.server_cpu, options.load_cpu, Hearing::Plain, false, OpusConfig::default())?;
    // A room that has talked: threads, buffers and code are there.
    stage.fill(&mut callers, MEMBERS)?;
    let talk = Duration::from_secs(2);
    stage.stretch(&mut callers, (0, MEMBERS), Duration::ZERO, talk)?;
    let before = resident("self")?;
    stage.fill(&mut callers, MEMBERS + WEIGHED)?;
    for first in (MEMBERS..MEMBERS + WEIGHED).step_by(TALKING) {
        let legs = TALKING.min(MEMBERS + WEIGHED - first);
        stage.stretch(&mut callers, (first, legs), Duration::ZERO, talk)?;
    }
    let after = resident("self")?;
    let growth = Growth {
        members: WEIGHED,
        bytes_per_member: after.saturating_sub(before) as f64 / WEIGHED as f64,
        before,
        after,
    };
    callers.leave()?;
    crate::say(&crate::json(&growth)?)
}
