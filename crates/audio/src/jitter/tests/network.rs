//! A talker, a network and a tick, all in simulated time.

use super::super::*;

/// A small reproducible generator (SplitMix64).
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 … 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub arrival: f64,
    pub index: u64,
    pub sequence: u16,
    pub timestamp: u32,
    pub payload: Vec<u8>,
    pub marker: bool,
}

#[derive(Clone)]
pub struct Network {
    pub seed: u64,
    /// First arrival in ms.
    pub phase_ms: f64,
    pub packet_ms: f64,
    pub loss: f64,
    /// Extra delay, evenly spread from 0 on.
    pub jitter_ms: f64,
    pub duplicates: f64,
    pub ppm: f64,
    pub first_sequence: u16,
    pub first_timestamp: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            seed: 1,
            phase_ms: 7.0,
            packet_ms: 20.0,
            loss: 0.0,
            jitter_ms: 0.0,
            duplicates: 0.0,
            ppm: 0.0,
            first_sequence: 65_500,
            first_timestamp: u32::MAX - 20_000,
        }
    }
}

impl Network {
    /// Every packet of `seconds`, in order of arrival, with samples from `sample(position)`.
    pub fn packets(&self, seconds: f64, sample: impl Fn(u64) -> i16) -> Vec<Sent> {
        let mut dice = Dice(self.seed);
        let len = (self.packet_ms * 8.0) as u64;
        let count = (seconds * 1_000.0 / self.packet_ms) as u64;
        let mut sent = Vec::new();
        for index in 0..count {
            let lost = dice.unit() < self.loss;
            let copies = 1 + (dice.unit() < self.duplicates) as u32;
            for _ in 0..copies {
                let delay = dice.unit() * self.jitter_ms;
                if lost {
                    continue;
                }
                sent.push(Sent {
                    arrival: self.phase_ms + index as f64 * self.packet_ms * (1.0 + self.ppm * 1e-6) + delay,
                    index,
                    sequence: self.first_sequence.wrapping_add(index as u16),
                    timestamp: self.first_timestamp.wrapping_add((index * len) as u32),
                    payload: (index * len..(index + 1) * len).flat_map(|p| sample(p).to_be_bytes()).collect(),
                    marker: index == 0,
                });
            }
        }
        sent.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
        sent
    }
}

pub fn ms(value: f64) -> Duration {
    Duration::from_nanos((value * 1e6) as u64)
}

pub fn insert(buffer: &mut JitterBuffer, sent: &Sent) -> Inserted {
    buffer.insert(Packet {
        sequence: sent.sequence,
        timestamp: sent.timestamp,
        payload: &sent.payload,
        arrival: ms(sent.arrival),
        marker: sent.marker,
        mark: sent.index,
    })
}

/// Runs packets against ticks of 20 ms until `until_ms`; `each` sees every tick.
pub fn run(
    buffer: &mut JitterBuffer,
    sent: &[Sent],
    from_ms: f64,
    until_ms: f64,
    mut each: impl FnMut(f64, &JitterBuffer, Pulled, &[i16]),
) {
    let mut next = sent.iter().peekable();
    let mut frame = [0i16; 160];
    let mut tick = from_ms;
    while tick < until_ms {
        while let Some(packet) = next.next_if(|p| p.arrival <= tick) {
            insert(buffer, packet);
        }
        let pulled = buffer.pull(ms(tick), &mut frame);
        each(tick, buffer, pulled, &frame);
        tick += 20.0;
    }
}

/// Speech-like: voiced bursts of changing pitch with pauses between.
pub fn speech(position: u64) -> i16 {
    let second = position / 8_000;
    let within = position % 8_000;
    if within > 6_000 {
        return 0;
    }
    let pitch = 100.0 + (second * 37 % 120) as f64;
    let envelope = (std::f64::consts::PI * within as f64 / 6_000.0).sin();
    let t = std::f64::consts::TAU * pitch * position as f64 / 8_000.0;
    (envelope * (6_000.0 * t.sin() + 3_000.0 * (2.0 * t).sin() + 1_500.0 * (5.0 * t).sin())) as i16
}

pub fn zero(concealment: Concealment, time_scaling: bool) -> JitterConfig {
    JitterConfig { concealment, time_scaling, ..JitterConfig::default() }
}
