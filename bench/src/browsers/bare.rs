//! The least that a scenario costs: each packet that comes decrypted and decoded once, each different mix with sound encoded once, each packet
//! that leaves encrypted. No network, no timing, no mixing beyond adding samples.

use std::time::Duration;

use audio::opus::{FRAME, LONGEST_PACKET, LONGEST_PAYLOAD, OpusConfig, OpusDecoder, OpusEncoder};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Serialize;

use super::conversation::{Conversation, mixes};
use crate::failure::{Failure, Result};
use crate::os;
use crate::rooms::{Hearing, MEMBERS};

const HEADER: usize = 12;

struct Leg {
    decoder: OpusDecoder,
    encoder: OpusEncoder,
    key: LessSafeKey,
    packets: u64,
    heard: [i16; LONGEST_PACKET],
}

/// Legs with nothing but their codecs and keys.
pub struct Bare {
    legs: Vec<Leg>,
}

/// CPU time of a stretch, and what it was spent for.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spent {
    /// Decoding, ms per leg-second.
    pub decoding: f64,
    /// Encoding, ms per leg-second.
    pub encoding: f64,
    /// SRTP both ways, ms per leg-second.
    pub srtp: f64,
    /// Packets decoded, per leg-second.
    pub decodes: f64,
    /// Different mixes with sound, per leg-second.
    pub encodes: f64,
    /// Packets sent, per leg-second.
    pub sent: f64,
}

impl Spent {
    /// All of it.
    pub fn all(&self) -> f64 {
        self.decoding + self.encoding + self.srtp
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0u8; NONCE_LEN];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

impl Bare {
    /// So many legs in rooms of three, with the server's settings.
    ///
    /// # Errors
    /// Codec or cipher is not there.
    pub fn new(legs: usize, config: OpusConfig) -> Result<Self> {
        let codec = |error: audio::OpusError| Failure::Machine(error.to_string());
        let leg = |n: usize| {
            let key = UnboundKey::new(&AES_256_GCM, &[n as u8; 32])
                .map_err(|_| Failure::Machine("AES-256-GCM is not there".to_owned()))?;
            Ok(Leg {
                decoder: OpusDecoder::new().map_err(codec)?,
                encoder: OpusEncoder::new(config).map_err(codec)?,
                key: LessSafeKey::new(key),
                packets: 0,
                heard: [0; LONGEST_PACKET],
            })
        };
        Ok(Self { legs: (0..legs).map(leg).collect::<Result<_>>()? })
    }

    /// Does the work of these ticks on the calling thread.
    pub fn run(&mut self, conversation: &Conversation, hearing: Hearing, ticks: std::ops::Range<usize>) -> Spent {
        let mut spent = Spent::default();
        let mut clock = Clock::start();
        let (mut decoding, mut encoding, mut srtp) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let mut sealed = Vec::with_capacity(LONGEST_PAYLOAD + HEADER + 16);
        let seconds = ticks.len() as f64 / 50.0;
        for tick in ticks {
            // Each kind of work for all rooms in one go, so that the clock is read seldom.
            for (room, legs) in self.legs.chunks_mut(MEMBERS).enumerate() {
                let place = Conversation::place(room, tick);
                for (member, leg) in legs.iter_mut().enumerate() {
                    let Some(payload) = conversation.payload(member, place) else { continue };
                    let _ = leg.decoder.decode(payload, &mut leg.heard);
                    spent.decodes += 1.0;
                }
            }
            decoding += clock.lap();
            let mut leaving: Vec<(usize, Vec<u8>, u8)> = Vec::new();
            for (room, legs) in self.legs.chunks_mut(MEMBERS).enumerate() {
                let place = Conversation::place(room, tick);
                for mix in mixes(hearing, conversation.sounding(place)) {
                    let mut sum = [0i16; FRAME];
                    for member in (0..MEMBERS).filter(|member| mix.of & (1 << member) != 0) {
                        for (to, from) in sum.iter_mut().zip(conversation.sound(member, place).into_iter().flatten()) {
                            *to = to.saturating_add(*from);
                        }
                    }
                    let mut bytes = [0u8; LONGEST_PAYLOAD];
                    let Some(first) = legs.get_mut(mix.to.trailing_zeros() as usize) else { continue };
                    let len = first.encoder.encode(&sum, &mut bytes);
                    spent.encodes += 1.0;
                    leaving.push((room, bytes.get(..len).unwrap_or_default().to_vec(), mix.to));
                }
            }
            encoding += clock.lap();
            for (room, payload, to) in &leaving {
                for member in (0..MEMBERS).filter(|member| to & (1 << member) != 0) {
                    let Some(leg) = self.legs.get_mut(room * MEMBERS + member) else { continue };
                    leg.seal(payload, &mut sealed);
                    spent.sent += 1.0;
                }
            }
            // Opening costs what sealing does: the packets that come are sealed once more instead of opened.
            for (room, legs) in self.legs.chunks_mut(MEMBERS).enumerate() {
                let place = Conversation::place(room, tick);
                for (member, leg) in legs.iter_mut().enumerate() {
                    if let Some(payload) = conversation.payload(member, place) {
                        leg.seal(payload, &mut sealed);
                    }
                }
            }
            srtp += clock.lap();
        }
        let leg_seconds = self.legs.len() as f64 * seconds;
        let cost = |time: Duration| time.as_secs_f64() * 1e3 / leg_seconds;
        (spent.decoding, spent.encoding, spent.srtp) = (cost(decoding), cost(encoding), cost(srtp));
        for count in [&mut spent.decodes, &mut spent.encodes, &mut spent.sent] {
            *count /= leg_seconds;
        }
        spent
    }
}

impl Leg {
    fn seal(&mut self, payload: &[u8], sealed: &mut Vec<u8>) {
        self.packets += 1;
        sealed.clear();
        sealed.extend_from_slice(payload);
        let header = [0x80u8; HEADER];
        let _ = self.key.seal_in_place_append_tag(nonce(self.packets), Aad::from(&header), sealed);
    }
}

struct Clock {
    thread: u32,
    last: Duration,
}

impl Clock {
    fn start() -> Self {
        let thread = os::thread_id();
        Self { thread, last: os::thread_cpu(thread).unwrap_or_default() }
    }

    /// CPU time since the last call.
    fn lap(&mut self) -> Duration {
        let now = os::thread_cpu(self.thread).unwrap_or_default();
        now.saturating_sub(std::mem::replace(&mut self.last, now))
    }
}
