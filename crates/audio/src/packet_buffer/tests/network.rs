//! A talker, a network and a tick, all in simulated time.

use super::super::*;
pub use crate::jitter::tests::network::{Dice, ms};
use crate::opus::{self, OpusConfig, OpusDecoder, OpusEncoder};

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
    pub phase_ms: f64,
    pub packet_ms: f64,
    pub loss: f64,
    pub jitter_ms: f64,
    pub duplicates: f64,
    pub ppm: f64,
}

impl Default for Network {
    fn default() -> Self {
        Self { seed: 1, phase_ms: 7.0, packet_ms: 20.0, loss: 0.0, jitter_ms: 0.0, duplicates: 0.0, ppm: 0.0 }
    }
}

impl Network {
    /// Sends packets, `clock` Hz of RTP clock, in order of arrival.
    pub fn send(&self, payloads: &[Vec<u8>], clock: u32) -> Vec<Sent> {
        let mut dice = Dice(self.seed);
        let step = (self.packet_ms * f64::from(clock) / 1_000.0) as u32;
        let mut sent = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            let lost = dice.unit() < self.loss;
            for _ in 0..1 + u32::from(dice.unit() < self.duplicates) {
                let delay = dice.unit() * self.jitter_ms;
                if !lost && !payload.is_empty() {
                    sent.push(Sent {
                        arrival: self.phase_ms + index as f64 * self.packet_ms * (1.0 + self.ppm * 1e-6) + delay,
                        index: index as u64,
                        sequence: 65_500u16.wrapping_add(index as u16),
                        timestamp: (u32::MAX - 20_000).wrapping_add(index as u32 * step),
                        payload: payload.clone(),
                        marker: index == 0,
                    });
                }
            }
        }
        sent.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
        sent
    }
}

/// Encodes as a browser does.
pub fn encode(sound: &[i16], loss: u8, dtx: bool) -> Vec<Vec<u8>> {
    let mut encoder = OpusEncoder::new(OpusConfig { dtx, ..OpusConfig::default() }).expect("encoder");
    encoder.set_loss(loss);
    let mut out = [0; opus::LONGEST_PAYLOAD];
    let frames = sound.as_chunks::<{ opus::FRAME }>().0.iter();
    let mut packet = |frame| {
        let len = encoder.encode(frame, &mut out);
        out[..len].to_vec()
    };
    frames.map(&mut packet).collect()
}

/// Encodes in packets of any legal duration.
pub fn encode_long(sound: &[i16], samples: usize) -> Vec<Vec<u8>> {
    let mut encoder = ::opus::Encoder::new(48_000, ::opus::Channels::Mono, ::opus::Application::Voip).expect("encoder");
    sound.chunks_exact(samples).map(|frame| encoder.encode_vec(frame, 1_400).expect("packet")).collect()
}

pub fn decode(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = OpusDecoder::new().expect("decoder");
    let mut out = vec![0; packets.len() * opus::FRAME];
    for (packet, out) in packets.iter().zip(out.chunks_exact_mut(opus::FRAME)) {
        decoder.decode(packet, out).expect("packet");
    }
    out
}

pub fn buffer() -> PacketBuffer<OpusDecoder> {
    PacketBuffer::new(OpusDecoder::new().expect("decoder"), JitterConfig::default())
}

pub fn insert<D: Decoder>(buffer: &mut PacketBuffer<D>, sent: &Sent) -> Inserted {
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
pub fn run<D: Decoder>(
    buffer: &mut PacketBuffer<D>,
    sent: &[Sent],
    from_ms: f64,
    until_ms: f64,
    mut each: impl FnMut(f64, &mut PacketBuffer<D>, Pulled, &[i16]),
) {
    let mut next = sent.iter().peekable();
    let mut frame = vec![0i16; D::RATE as usize / 50];
    let mut tick = from_ms;
    while tick < until_ms {
        while let Some(packet) = next.next_if(|p| p.arrival <= tick) {
            insert(buffer, packet);
        }
        let pulled = buffer.pull(ms(tick), &mut frame);
        assert_eq!(pulled.sound, pulled.oldest_mark != u64::MAX);
        assert!(pulled.sound || frame.iter().all(|&s| s == 0));
        each(tick, buffer, pulled, &frame);
        tick += 20.0;
    }
}

/// Where in `whole` the `part` lies best within `range`, and how much its error is below it, dB.
pub fn find(whole: &[i16], part: &[i16], range: std::ops::Range<usize>) -> (usize, f64) {
    let error = |at: usize, step: usize| -> f64 {
        let pairs = part.iter().step_by(step).zip(whole[at..].iter().step_by(step));
        let (mut signal, mut noise) = (1e-9, 1e-9);
        for (&a, &b) in pairs {
            signal += f64::from(a).powi(2);
            noise += (f64::from(a) - f64::from(b)).powi(2);
        }
        10.0 * (signal / noise).log10()
    };
    range.map(|at| (at, error(at, 1))).fold((0, f64::MIN), |a, b| if b.1 > a.1 { b } else { a })
}
