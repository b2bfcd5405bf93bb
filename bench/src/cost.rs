//! CPU per member: the floor, coached rooms and plain rooms in turn on one core, as ratios of neighbours in time.

use std::time::Duration;

use media::JitterConfig;
use serde::Serialize;

use crate::failure::Result;
use crate::generator::Phones;
use crate::histogram::{Spread, median};
use crate::lab::{Lab, REFLECTED, SERVED, Stretch};
use crate::noise::Noise;
use crate::os::Ring;
use crate::reflector::{Method, Reflector};
use crate::rooms::{Hearing, MEMBERS, Rooms};

/// A reflector that costs more says that the machine is too busy, ms per member-second.
pub const DEAREST_FLOOR: f64 = 0.30;
/// How long new pairs of a plan cost more than old ones, and buffers settle.
const SETTLING: Duration = Duration::from_millis(2_300);
const REFLECTOR_SETTLING: Duration = Duration::from_millis(300);
/// Rounds wanted, and further ones that replace void ones.
const ROUNDS: usize = 5;
const RETRIES: usize = 5;

/// One round: floors, coached and plain rooms, one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// The reflector with a system call for each packet, ms of CPU per member-second.
    pub plain_reflector: f64,
    /// The reflector through io_uring; absent where the kernel refuses it.
    pub ring_reflector: Option<f64>,
    /// ms of CPU per member-second.
    pub coached: f64,
    /// ms of CPU per member-second.
    pub plain: f64,
    /// The same of the collector thread, beside coached.
    pub control: f64,
    /// Part of packets missing in coached rooms, percent.
    pub missing_percent: f64,
    /// Lateness of packets of coached rooms, ms.
    pub lateness_ms: Spread,
    /// Lateness of packets of the plain reflector, ms.
    pub reflector_lateness_ms: Spread,
    /// The noise of all.
    pub noise: Noise,
    /// Why it does not count.
    pub void: Option<String>,
}

/// All rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Rooms of three.
    pub rooms: usize,
    /// Seconds counted in each window.
    pub window_s: f64,
    /// Every round, void ones too.
    pub rounds: Vec<Round>,
    /// Why the figures do not count, if they do not.
    pub void: Option<String>,
}

impl Cost {
    /// The rounds that count; where none does, all.
    fn counting(&self) -> Vec<&Round> {
        let good: Vec<&Round> = self.rounds.iter().filter(|round| round.void.is_none()).collect();
        if good.len() >= ROUNDS { good } else { self.rounds.iter().collect() }
    }

    /// The median of a figure over the rounds that count.
    pub fn median(&self, figure: impl Fn(&Round) -> f64) -> Option<f64> {
        median(&self.counting().into_iter().map(figure).collect::<Vec<_>>())
    }

    /// The floor's method: the one that costs less, by the median over the rounds that count.
    pub fn method(&self) -> Method {
        let ring = self.median(|round| round.ring_reflector.unwrap_or(f64::MAX));
        let plain = self.median(|round| round.plain_reflector);
        if ring < plain { Method::Ring } else { Method::Plain }
    }

    /// The floor of a round by a method.
    pub fn floor(round: &Round, method: Method) -> f64 {
        match method {
            Method::Plain => round.plain_reflector,
            Method::Ring => round.ring_reflector.unwrap_or(round.plain_reflector),
        }
    }

    /// The worst noise of the rounds that count.
    pub fn noise(&self) -> Noise {
        self.counting().iter().fold(Noise::default(), |worst, round| worst.worst(round.noise))
    }
}

/// Measures with this many rooms.
///
/// # Errors
/// The plane or the generator fails; noise is no error.
pub fn measure(lab: &mut Lab, rooms: usize, window: Duration) -> Result<Cost> {
    let legs = rooms * MEMBERS;
    let served = lab.generator.open(SERVED, legs)?;
    let reflected = lab.generator.open(REFLECTED, legs)?;
    let (reflector, ports) = Reflector::open(&reflected.legs)?;
    lab.generator.connect(REFLECTED, ports)?;
    let mut reflector = Some(reflector);
    let mut rounds: Vec<Round> = Vec::new();
    let round_time = SETTLING * 2 + REFLECTOR_SETTLING * 2 + window * 4 + Duration::from_secs(1);
    while rounds.len() < ROUNDS + RETRIES && rounds.iter().filter(|round| round.void.is_none()).count() < ROUNDS {
        if rounds.len() >= ROUNDS && !lab.has_time_for(round_time) {
            break;
        }
        let order = rounds.len() % 2 == 1;
        rounds.push(round(lab, &served, &mut reflector, window, order)?);
    }
    lab.generator.close(SERVED)?;
    lab.generator.close(REFLECTED)?;
    let good = rounds.iter().filter(|round| round.void.is_none()).count();
    let why = rounds.iter().rev().find_map(|round| round.void.clone());
    let void = why
        .filter(|_| good < ROUNDS)
        .map(|why| format!("only {good} of {} rounds count; the last void one: {why}", rounds.len()));
    Ok(Cost { rooms, window_s: window.as_secs_f64(), rounds, void })
}

fn round(
    lab: &mut Lab,
    phones: &Phones,
    reflector: &mut Option<Reflector>,
    window: Duration,
    backwards: bool,
) -> Result<Round> {
    let legs = phones.legs.len();
    let per_member = |cpu: Duration| cpu.as_secs_f64() * 1e3 / (legs as f64 * window.as_secs_f64());
    let mut floors = (None, None);
    if !backwards {
        floors = reflect_both(lab, reflector, window)?;
    }
    let first = if backwards { Hearing::Plain } else { Hearing::Coached };
    let (mut rooms, ports) = Rooms::open(lab.server_cpu, phones, first, JitterConfig::default())?;
    lab.generator.connect(SERVED, ports)?;
    let control = rooms.collector_cpu();
    let one = lab.stretch(SERVED, rooms.shard_thread(), SETTLING, window)?;
    let control = rooms.collector_cpu().saturating_sub(control);
    rooms.set(if backwards { Hearing::Coached } else { Hearing::Plain })?;
    let two = lab.stretch(SERVED, rooms.shard_thread(), SETTLING, window)?;
    rooms.close()?;
    if backwards {
        floors = reflect_both(lab, reflector, window)?;
    }
    let (floor, ring) = floors;
    let (coached, plain) = if backwards { (two, one) } else { (one, two) };
    let (floor_cost, floor_late, noise) = match &floor {
        Some(floor) => (per_member(floor.cpu), floor.ran.lateness, floor.noise),
        None => (0.0, Spread::default(), Noise::default()),
    };
    let noise = noise.worst(coached.noise).worst(plain.noise);
    let noise = ring.as_ref().map_or(noise, |ring| noise.worst(ring.noise));
    let void = noise.voids().or_else(|| {
        (floor_cost > DEAREST_FLOOR)
            .then(|| format!("the reflector cost {floor_cost:.3} ms per member-second (limit {DEAREST_FLOOR})"))
    });
    let whole = (SETTLING + window).as_secs_f64();
    Ok(Round {
        plain_reflector: floor_cost,
        ring_reflector: ring.map(|ring| per_member(ring.cpu)),
        coached: per_member(coached.cpu),
        plain: per_member(plain.cpu),
        control: control.as_secs_f64() * 1e3 / (legs as f64 * whole),
        missing_percent: coached.ran.missing() * 100.0,
        lateness_ms: coached.ran.lateness,
        reflector_lateness_ms: floor_late,
        noise,
        void,
    })
}

type Floors = (Option<Stretch>, Option<Stretch>);

/// The floor by each method.
fn reflect_both(lab: &mut Lab, reflector: &mut Option<Reflector>, window: Duration) -> Result<Floors> {
    let plain = reflect(lab, reflector, Method::Plain, window)?;
    let ring = if Ring::open(1).is_ok() { reflect(lab, reflector, Method::Ring, window)? } else { None };
    Ok((plain, ring))
}

fn reflect(
    lab: &mut Lab,
    reflector: &mut Option<Reflector>,
    method: Method,
    window: Duration,
) -> Result<Option<Stretch>> {
    let Some(sockets) = reflector.take() else { return Ok(None) };
    let working = sockets.start(lab.server_cpu, method)?;
    let stretch = lab.stretch(REFLECTED, working.thread(), REFLECTOR_SETTLING, window);
    *reflector = Some(working.stop());
    stretch.map(Some)
}
