//! A room for tests: phones, legs, and plans in a few words.
#![allow(dead_code, reason = "each suite uses its part")]

use std::time::Duration;

use media::sim::{PhoneId, PhoneSetup, Simulator, Voice};
use media::{
    Applied, BusId, Codec, JitterConfig, LegId, MediaConfig, Plan, PlanListener, PlanSource, RoomChange, RoomId,
    SourceRef,
};

pub fn config(shards: usize) -> MediaConfig {
    MediaConfig {
        shards,
        ports: 20_000..=20_999,
        max_legs_per_shard: 256,
        max_rooms_per_shard: 64,
        max_members_per_room: 128,
        ..MediaConfig::default()
    }
}

/// Without concealment or time scaling: every sample heard is one that was said, or 0.
pub fn exact(shards: usize) -> MediaConfig {
    let jitter = JitterConfig { concealment: audio::Concealment::Zero, time_scaling: false, ..JitterConfig::default() };
    MediaConfig { jitter, ..config(shards) }
}

#[derive(Clone, Copy)]
pub struct Member {
    pub phone: PhoneId,
    pub leg: LegId,
}

/// Sources as (leg, bus), listeners as (leg, buses).
pub fn plan(revision: u64, buses: u16, sources: &[(LegId, u16)], listeners: &[(LegId, &[u16])]) -> Plan {
    Plan {
        revision,
        buses,
        sources: sources
            .iter()
            .map(|&(leg, bus)| PlanSource { source: SourceRef::Leg(leg), bus: BusId(bus), relay_digits: false })
            .collect(),
        listeners: listeners
            .iter()
            .map(|&(leg, buses)| PlanListener { ear: leg.into(), buses: buses.iter().map(|b| BusId(*b)).collect() })
            .collect(),
    }
}

/// Customer and agent on bus 0; the supervisor whispers on bus 1, heard by the agent.
pub struct Coached {
    pub sim: Simulator,
    pub room: RoomId,
    pub customer: Member,
    pub agent: Member,
    pub supervisor: Member,
    pub revision: u64,
}

impl Coached {
    /// Everyone is in the room; nobody speaks yet.
    pub fn new(config: MediaConfig, codec: Codec) -> Self {
        let mut sim = Simulator::new(config).expect("a plane");
        let make = |n| match codec {
            Codec::Pcma => PhoneSetup::a_law(n),
            // Linear: what is heard is what was summed, sample for sample.
            Codec::L16 => PhoneSetup::linear(n),
            _ => PhoneSetup::mu_law(n),
        };
        let mut member = |n| {
            let phone = sim.phone(make(n));
            Member { phone, leg: sim.call(phone, Some(0)).expect("a leg") }
        };
        let (customer, agent, supervisor) = (member(1), member(2), member(3));
        let room = sim.plane().open_room_on(0).expect("a room");
        let mut coached = Self { sim, room, customer, agent, supervisor, revision: 0 };
        coached.apply(true, vec![customer.leg, agent.leg, supervisor.leg]);
        coached
    }

    pub fn plan(&mut self, whisper: bool) -> Plan {
        self.revision += 1;
        let (c, a, s) = (self.customer.leg, self.agent.leg, self.supervisor.leg);
        if whisper {
            plan(self.revision, 2, &[(c, 0), (a, 0), (s, 1)], &[(c, &[0]), (a, &[0, 1]), (s, &[0])])
        } else {
            plan(self.revision, 1, &[(c, 0), (a, 0), (s, 0)], &[(c, &[0]), (a, &[0]), (s, &[0])])
        }
    }

    /// Whisper (true) or barge (false), with those who join; waits for the answer.
    pub fn apply(&mut self, whisper: bool, join: Vec<LegId>) -> Applied {
        let plan = self.plan(whisper);
        let pending = self.sim.plane().change_room(self.room, RoomChange { plan, join, ..RoomChange::default() });
        self.sim.wait(pending).expect("applied")
    }

    /// The customer and the agent talk; so that the customer's mix is never trivially silent.
    pub fn chatter(&mut self) {
        self.sim.say(self.customer.phone, Voice::Tone(1_300.0, -20.0));
        self.sim.say(self.agent.phone, Voice::Tone(640.0, -20.0));
    }
}

/// Somebody who talks and talks at `rate` Hz: a second of vowel-like sound that swells and fades five times, and never falls silent.
pub fn unbroken_talk(rate: u32) -> Vec<i16> {
    let turn = std::f64::consts::TAU / f64::from(rate);
    let sample = |n: u32| {
        let t = f64::from(n) * turn;
        let vowel: f64 = (1..20).map(|k| (f64::from(k) * 125.0 * t).sin() / f64::from(k)).sum();
        (vowel * (4_500.0 + 3_500.0 * (5.0 * t).sin())) as i16
    };
    (0..rate).map(sample).collect()
}

/// Level of a frequency in dBFS over samples at 8 kHz (Goertzel).
pub fn level_at(samples: &[i16], hz: f64) -> f64 {
    if samples.is_empty() {
        return -120.0;
    }
    let turn = std::f64::consts::TAU * hz / 8_000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        // A Hann window keeps loud neighbours out.
        let window = 0.5 - 0.5 * (std::f64::consts::TAU * (n as f64 + 0.5) / samples.len() as f64).cos();
        re += f64::from(*sample) * window * (turn * n as f64).cos();
        im += f64::from(*sample) * window * (turn * n as f64).sin();
    }
    let amplitude = 2.0 * (re * re + im * im).sqrt() / (samples.len() as f64 * 0.5);
    (20.0 * (amplitude / 32_767.0).log10()).max(-120.0)
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
