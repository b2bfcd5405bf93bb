//! From a command to the first changed packet on the wire, in an idle server and beside a loaded one's rooms.
//!
//! In each probe room the supervisor speaks without pause and the others are silent, so that the customer's packets are silent, to the
//! last word, exactly while the supervisor whispers: the change is told from the payload.

use std::net::SocketAddr;
use std::time::Duration;

use audio::FRAME_8K;
use media::JitterConfig;
use serde::Serialize;

use crate::failure::Result;
use crate::generator::{PHONES, Phones, Run};
use crate::histogram::{Histogram, Spread};
use crate::lab::{Lab, SERVED};
use crate::noise::{CpuTimes, Noise};
use crate::os::{self, Inbox};
use crate::phone::{Phone, SILENCE};
use crate::rooms::{Hearing, MEMBERS, Room, Rooms};

/// Probe rooms: several for each sub-slot of the server's wheel.
const PROBES: usize = 40;
const SLOT_NS: u64 = 1_000_000;
/// What the supervisor says: a word of middle loudness, over and over.
const VOICE: [u8; FRAME_8K] = [0x30; FRAME_8K];
const QUIET: [u8; FRAME_8K] = [SILENCE; FRAME_8K];
const SETTLING: Duration = Duration::from_millis(2_500);
/// A change that has not come by then counts as never come, ns.
const NEVER: i64 = 400_000_000;

/// Times from commands to changes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reaction {
    /// Other rooms meanwhile.
    pub rooms: usize,
    /// From barge to whisper: sound ends at the customer's ear. Counted from the command to the first packet without it, ms.
    pub narrowing_ms: Spread,
    /// From whisper to barge: sound begins. Only what the supervisor says after the command may be heard, so a packet has to arrive first, ms.
    pub widening_ms: Spread,
    /// Commands whose change did not come within 400 ms.
    pub never: u64,
    /// The noise.
    pub noise: Noise,
    /// Why it does not count.
    pub void: Option<String>,
}

struct Probe {
    room: Room,
    phones: Vec<Phone>,
    phase: u64,
    revision: u64,
    /// What the last packet of the customer was, and for how many it has been so.
    sounding: bool,
    run: u32,
    asked: Option<(i64, bool)>,
    /// Slot of the next command.
    next: u64,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Measures for `counted`, with this many other rooms talking.
///
/// # Errors
/// The plane or the generator fails.
pub fn measure(lab: &mut Lab, loaded: usize, counted: Duration) -> Result<Reaction> {
    let mut phones = Vec::new();
    for n in 0..PROBES * MEMBERS {
        phones.push(Phone::open(n)?);
    }
    let mut all = Phones { legs: Vec::new(), reports: SocketAddr::from((PHONES, 9)) };
    for phone in &phones {
        all.legs.push(SocketAddr::from((PHONES, phone.port()?)));
    }
    if loaded > 0 {
        let load = lab.generator.open(SERVED, loaded * MEMBERS)?;
        all.legs.extend(load.legs);
        all.reports = load.reports;
    } else {
        // Somewhere that takes reports and says nothing.
        let load = lab.generator.open(SERVED, 1)?;
        all.reports = load.reports;
    }
    let (rooms, ports) = Rooms::open(lab.server_cpu, &all, Hearing::Coached, JitterConfig::default())?;
    let (own, theirs) = ports.split_at(phones.len());
    for (phone, port) in phones.iter().zip(own) {
        phone.connect(*port)?;
    }
    let start = os::monotonic() + 20_000_000;
    let from = start + SETTLING.as_nanos() as u64;
    let to = from + counted.as_nanos() as u64;
    if loaded > 0 {
        lab.generator.connect(SERVED, theirs.to_vec())?;
        lab.generator.run(Run { group: SERVED, start, from, to })?;
    }
    let mut dice = Dice(9);
    let mut phones = phones.into_iter();
    let mut probes: Vec<Probe> = rooms
        .rooms
        .iter()
        .take(PROBES)
        .map(|room| Probe {
            room: *room,
            phones: phones.by_ref().take(MEMBERS).collect(),
            phase: dice.below(20),
            revision: rooms.revision(),
            sounding: false,
            run: 0,
            asked: None,
            next: SETTLING.as_millis() as u64 + dice.below(100),
        })
        .collect();
    let mut reaction = Reaction { rooms: loaded, ..Reaction::default() };
    let (mut narrowing, mut widening) = (Histogram::default(), Histogram::default());
    let mut inbox = Inbox::default();
    let mut times = CpuTimes::now();
    for slot in 0..(to - start) / SLOT_NS {
        os::sleep_until(start + slot * SLOT_NS);
        if slot == SETTLING.as_millis() as u64 {
            times = CpuTimes::now();
        }
        for probe in &mut probes {
            if slot % 20 == probe.phase {
                for (at, phone) in probe.phones.iter_mut().enumerate() {
                    phone.say(if at == 2 { &VOICE } else { &QUIET });
                }
            }
            probe.listen(&mut inbox, &mut narrowing, &mut widening);
            probe.command(&rooms, slot, &mut dice, &mut reaction.never);
        }
    }
    let steal = times.steal_since();
    reaction.noise = if loaded > 0 {
        Noise::of(&lab.generator.ran()?, steal)
    } else {
        Noise { steal_percent: steal, ..Noise::default() }
    };
    rooms.close()?;
    lab.generator.close(SERVED)?;
    reaction.void = reaction.noise.voids();
    (reaction.narrowing_ms, reaction.widening_ms) = (narrowing.spread(), widening.spread());
    Ok(reaction)
}

impl Probe {
    fn listen(&mut self, inbox: &mut Inbox, narrowing: &mut Histogram, widening: &mut Histogram) {
        let Self { phones, sounding, run, asked, .. } = self;
        let Some(customer) = phones.first() else { return };
        customer.hear(inbox, |heard| {
            let sounds = heard.first_sound.is_some();
            *run = if sounds == *sounding { *run + 1 } else { 1 };
            *sounding = sounds;
            if let Some((at, wanted)) = *asked
                && sounds == wanted
                && heard.at > at
            {
                if wanted { &mut *widening } else { &mut *narrowing }.add(heard.at - at);
                *asked = None;
            }
        });
    }

    /// Asks for the other hearing at a moment that nothing else decides, once the one before has lasted.
    fn command(&mut self, rooms: &Rooms, slot: u64, dice: &mut Dice, never: &mut u64) {
        if let Some((at, _)) = self.asked {
            if os::realtime() - at > NEVER {
                *never += 1;
                self.asked = None;
            }
            return;
        }
        if slot < self.next {
            return;
        }
        // Each wait is whole ticks' worth of chances, so that no phase of the room's tick is asked more often than another.
        self.next = slot + 100 + dice.below(100);
        if self.run < 4 {
            return;
        }
        self.revision += 1;
        let hearing = if self.sounding { Hearing::Coached } else { Hearing::Plain };
        self.asked = Some((os::realtime(), !self.sounding));
        // The answer is not waited for: the change is told by the wire.
        drop(rooms.ask(&self.room, self.revision, hearing));
    }
}
