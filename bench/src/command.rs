//! From a command to the first changed packet on the wire, in an idle server and beside a loaded one's rooms.
//!
//! In each probe room the supervisor speaks without pause and the others are silent, so that the customer's packets are silent, to the
//! last word, exactly while the supervisor whispers: the change is told from the payload.

use std::net::SocketAddr;
use std::time::Duration;

use audio::FRAME_8K;
use media::JitterConfig;
use serde::Serialize;

use crate::dice::Dice;
use crate::failure::Result;
use crate::generator::{PHONES, Phones, Run};
use crate::histogram::{Histogram, Spread};
use crate::lab::{Lab, SERVED};
use crate::noise::{CpuTimes, Noise};
use crate::os::{self, Inbox};
use crate::phone::{Phone, SILENCE};
use crate::rooms::{Hearing, MEMBERS, Rooms};

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
    /// Packets missing of the other rooms, percent.
    pub missing_percent: f64,
    /// Lateness of the other rooms' packets, ms.
    pub lateness_ms: Spread,
    /// Commands whose change did not come within 400 ms.
    pub never: u64,
    /// The noise.
    pub noise: Noise,
    /// Why it does not count.
    pub void: Option<String>,
}

/// A room that is commanded and listened to.
pub struct Probe {
    /// Customer, agent, supervisor.
    pub phones: Vec<Phone>,
    phase: u64,
    /// What the last packet of the customer was, and for how many it has been so.
    sounding: bool,
    run: u32,
    asked: Option<(i64, bool)>,
    /// Slot of the next command.
    next: u64,
}

/// Opens phones for so many probe rooms.
///
/// # Errors
/// No ports.
pub fn probes(count: usize) -> Result<Vec<Probe>> {
    let mut dice = Dice::new(9);
    (0..count)
        .map(|room| {
            let phones = (0..MEMBERS).map(|n| Phone::open(room * MEMBERS + n)).collect::<Result<_>>()?;
            let (phase, next) = (dice.below(20) as u64, dice.below(100) as u64);
            Ok(Probe { phones, phase, sounding: false, run: 0, asked: None, next })
        })
        .collect()
}

/// Measures a media plane alone for `counted`, with this many other rooms talking: the command is a call of its `change_room`.
///
/// # Errors
/// The plane or the generator fails.
pub fn measure(lab: &mut Lab, loaded: usize, counted: Duration) -> Result<Reaction> {
    let mut probes = probes(PROBES)?;
    // One leg at least: whoever is there takes the reports.
    let load = lab.generator.open(SERVED, (loaded * MEMBERS).max(1))?;
    let mut all = Phones { legs: Vec::new(), reports: load.reports };
    for phone in probes.iter().flat_map(|probe| &probe.phones) {
        all.legs.push(SocketAddr::from((PHONES, phone.port()?)));
    }
    if loaded > 0 {
        all.legs.extend(load.legs);
    }
    let (rooms, ports) = Rooms::open(lab.server_cpu, &all, Hearing::Coached, JitterConfig::default())?;
    let (own, theirs) = ports.split_at(PROBES * MEMBERS);
    for (phone, port) in probes.iter().flat_map(|probe| &probe.phones).zip(own) {
        phone.connect(*port)?;
    }
    if loaded > 0 {
        lab.generator.connect(SERVED, theirs.to_vec())?;
    }
    let mut revisions = vec![rooms.revision(); PROBES];
    let reaction = watch(lab, &mut probes, loaded, counted, |probe, hearing| {
        let (Some(room), Some(revision)) = (rooms.rooms.get(probe), revisions.get_mut(probe)) else { return };
        *revision += 1;
        // The answer is not waited for: the change is told by the wire.
        drop(rooms.ask(room, *revision, hearing));
    });
    rooms.close()?;
    lab.generator.close(SERVED)?;
    reaction
}

/// Commands and listens for `counted`, after settling, while the generator's group talks if there are loaded rooms.
///
/// # Errors
/// The generator fails.
pub fn watch(
    lab: &mut Lab,
    probes: &mut [Probe],
    loaded: usize,
    counted: Duration,
    mut ask: impl FnMut(usize, Hearing),
) -> Result<Reaction> {
    let start = os::monotonic() + 20_000_000;
    let from = start + SETTLING.as_nanos() as u64;
    let to = from + counted.as_nanos() as u64;
    if loaded > 0 {
        lab.generator.run(Run { group: SERVED, start, from, to })?;
    }
    let settled = SETTLING.as_millis() as u64;
    for probe in &mut *probes {
        probe.next = settled + probe.next % 100;
        probe.asked = None;
    }
    let mut dice = Dice::new(11);
    let mut reaction = Reaction { rooms: loaded, ..Reaction::default() };
    let (mut narrowing, mut widening) = (Histogram::default(), Histogram::default());
    let mut own = Histogram::default();
    let mut inbox = Inbox::default();
    let mut times = CpuTimes::now();
    for slot in 0..(to - start) / SLOT_NS {
        os::sleep_until(start + slot * SLOT_NS);
        if slot == settled {
            times = CpuTimes::now();
        }
        for (at, probe) in probes.iter_mut().enumerate() {
            if slot % 20 == probe.phase {
                own.add((os::monotonic() - start - slot * SLOT_NS).cast_signed());
                for (at, phone) in probe.phones.iter_mut().enumerate() {
                    phone.say(if at == 2 { &VOICE } else { &QUIET });
                }
            }
            probe.listen(&mut inbox, &mut narrowing, &mut widening);
            if let Some(hearing) = probe.command(slot, &mut dice, &mut reaction.never) {
                ask(at, hearing);
            }
        }
    }
    let steal = times.steal_since();
    let own = Noise { generator_lateness_ms_p99: own.quantile(0.99), steal_percent: steal, generator_socket_drops: 0 };
    reaction.noise = own;
    if loaded > 0 {
        let ran = lab.generator.ran()?;
        reaction.missing_percent = ran.missing() * 100.0;
        reaction.lateness_ms = ran.lateness;
        reaction.noise = own.worst(Noise::of(&ran, steal));
    }
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

    /// The other hearing, at a moment that nothing else decides, once the one before has lasted.
    fn command(&mut self, slot: u64, dice: &mut Dice, never: &mut u64) -> Option<Hearing> {
        if let Some((at, _)) = self.asked {
            if os::realtime() - at > NEVER {
                *never += 1;
                self.asked = None;
            }
            return None;
        }
        if slot < self.next {
            return None;
        }
        // Each wait is whole ticks' worth of chances, so that no phase of the room's tick is asked more often than another.
        self.next = slot + 100 + dice.below(100) as u64;
        if self.run < 4 {
            return None;
        }
        self.asked = Some((os::realtime(), !self.sounding));
        Some(if self.sounding { Hearing::Coached } else { Hearing::Plain })
    }
}
