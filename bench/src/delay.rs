//! What the server adds to the way of a sample, for packets that arrive at every phase of its tick on a quiet network.
//!
//! A click goes in at the start of a packet, three packets after the last, and is found in what comes out. Delay is the shift of the timeline: from the packet with the
//! click to the packet with it, both counted from where in the packet it stands.

use std::net::SocketAddr;
use std::time::Duration;

use audio::FRAME_8K;
use media::JitterConfig;
use serde::Serialize;

use crate::failure::Result;
use crate::generator::{PHONES, Phones};
use crate::histogram::{Histogram, Spread};
use crate::lab::{Lab, SERVED};
use crate::noise::{CpuTimes, Noise};
use crate::os::{self, Inbox};
use crate::phone::{Phone, SILENCE};
use crate::rooms::{Hearing, MEMBERS, Rooms};

/// Rooms, and phases at which their talkers send.
const ROOMS: usize = 80;
const PHASES: u64 = 80;
const PHASE_NS: u64 = 250_000;
const SAMPLE_NS: i64 = 125_000;
/// A click each so many packets: as many as can be told apart, so that p99 of one room is not the one moment when the machine stood still.
const EVERY: u64 = 3;
const SETTLING: Duration = Duration::from_secs(3);
/// A click that has not come out by then is lost, ns.
const LOST: i64 = 58_000_000;

/// The delay added.
#[derive(Clone, Debug, Serialize)]
pub struct Added {
    /// All clicks, ms.
    pub all_ms: Spread,
    /// The worst room's median, ms: the worst phase as it lasts.
    pub worst_room_median_ms: f64,
    /// The worst room's p99, ms.
    pub worst_room_p99_ms: f64,
    /// From packet to packet, wherever in it the click stands, ms.
    pub packet_to_packet_ms: Spread,
    /// Each room, in the order of phases.
    pub rooms: Vec<RoomDelay>,
    /// Clicks that did not come out.
    pub lost: u64,
    /// The noise.
    pub noise: Noise,
    /// Why it does not count.
    pub void: Option<String>,
}

/// One room's delay.
#[derive(Clone, Debug, Serialize)]
pub struct RoomDelay {
    /// When in the tick its talker sends, ms, on the bench's own clock.
    pub phase_ms: f64,
    /// ms.
    pub delay_ms: Spread,
    /// How late its talker sent at worst, since the beginning and while it counted, ms.
    pub sender_latest_ms: [f64; 2],
}

struct Line {
    phones: Vec<Phone>,
    phase: u64,
    said: u64,
    clicked: Option<i64>,
    delays: Histogram,
    packets: Histogram,
    /// ns, since the beginning and while it counted.
    latest: [i64; 2],
}

/// Measures for `counted`.
///
/// # Errors
/// The plane fails.
pub fn measure(lab: &mut Lab, counted: Duration) -> Result<Added> {
    let reports = lab.generator.open(SERVED, 1)?.reports;
    let mut all = Phones { legs: Vec::new(), reports };
    let mut lines = Vec::new();
    for room in 0..ROOMS {
        let phones: Vec<Phone> = (0..MEMBERS).map(|n| Phone::open(room * MEMBERS + n)).collect::<Result<_>>()?;
        for phone in &phones {
            all.legs.push(SocketAddr::from((PHONES, phone.port()?)));
        }
        // Rooms stand on the wheel one after the other, talkers by another step: together they meet at all phases.
        let phase = (room as u64 * 27 + 1) % PHASES;
        lines.push(Line {
            phones,
            phase,
            said: 0,
            clicked: None,
            delays: Histogram::default(),
            packets: Histogram::default(),
            latest: [0; 2],
        });
    }
    let (served, ports) = Rooms::open(lab.server_cpu, &all, Hearing::Plain, JitterConfig::default())?;
    for (phone, port) in lines.iter().flat_map(|line| &line.phones).zip(&ports) {
        phone.connect(*port)?;
    }
    let quiet = [SILENCE; FRAME_8K];
    let mut click = quiet;
    click[..2].fill(0x80);
    let mut inbox = Inbox::default();
    let mut own = Histogram::default();
    let mut lost = 0;
    let start = os::monotonic() + 20_000_000;
    let settled = SETTLING.as_nanos() as u64 / PHASE_NS;
    let mut times = CpuTimes::now();
    for slot in 0..settled + counted.as_nanos() as u64 / PHASE_NS {
        os::sleep_until(start + slot * PHASE_NS);
        let counts = slot >= settled;
        if slot == settled {
            times = CpuTimes::now();
        }
        for line in lines.iter_mut().filter(|line| line.phase == slot % PHASES) {
            line.said += 1;
            let clicks = line.said.is_multiple_of(EVERY);
            let Some((talker, others)) = line.phones.split_first_mut() else { continue };
            let late = (os::monotonic() - start - slot * PHASE_NS).cast_signed();
            line.latest[0] = line.latest[0].max(late);
            if counts {
                own.add(late);
                line.latest[1] = line.latest[1].max(late);
            }
            if clicks && counts {
                lost += u64::from(line.clicked.is_some());
                line.clicked = Some(os::realtime());
            }
            talker.say(if clicks { &click } else { &quiet });
            for other in others {
                other.say(&quiet);
            }
        }
        if slot % 4 == 0 {
            for line in &mut lines {
                line.listen(&mut inbox);
            }
        }
    }
    let steal_percent = times.steal_since();
    let noise = Noise { generator_lateness_ms_p99: own.quantile(0.99), steal_percent, generator_socket_drops: 0 };
    served.close()?;
    lab.generator.close(SERVED)?;
    let (mut delays, mut packets) = (Histogram::default(), Histogram::default());
    for line in &lines {
        delays.merge(&line.delays);
        packets.merge(&line.packets);
    }
    let mut rooms: Vec<RoomDelay> = lines
        .iter()
        .map(|line| RoomDelay {
            phase_ms: (line.phase * PHASE_NS) as f64 / 1e6,
            delay_ms: line.delays.spread(),
            sender_latest_ms: line.latest.map(|ns| ns as f64 / 1e6),
        })
        .collect();
    rooms.sort_by(|a, b| a.phase_ms.total_cmp(&b.phase_ms));
    let worst = |part: f64| lines.iter().map(|line| line.delays.quantile(part)).fold(0.0, f64::max);
    Ok(Added {
        all_ms: delays.spread(),
        worst_room_median_ms: worst(0.5),
        worst_room_p99_ms: worst(0.99),
        packet_to_packet_ms: packets.spread(),
        rooms,
        lost,
        void: noise.voids(),
        noise,
    })
}

impl Line {
    fn listen(&mut self, inbox: &mut Inbox) {
        let Self { phones, clicked, delays, packets, .. } = self;
        let Some(listener) = phones.get(1) else { return };
        listener.hear(inbox, |heard| {
            let (Some(place), Some(at)) = (heard.first_sound, *clicked) else { return };
            let way = heard.at - at;
            if (0..LOST).contains(&way) {
                packets.add(way);
                delays.add(way + place as i64 * SAMPLE_NS);
                *clicked = None;
            }
        });
    }
}
