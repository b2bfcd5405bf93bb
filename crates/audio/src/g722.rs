//! ITU-T G.722 (2012), mode 1: 7 kHz speech at 64 kbit/s. 320 samples at 16 kHz ↔ 160 bytes in 20 ms.
//!
//! Two sub-bands, split by a 24-tap quadrature mirror filter, are each coded by adaptive differential PCM: six bits for the lower
//! one, two for the upper. Arithmetic is the recommendation's fixed point. Encoder and decoder together delay by 22 samples.

mod band;
mod conceal;

use band::{Lower, Upper};
use conceal::Repeat;

/// Samples of one 20 ms frame.
pub const FRAME: usize = 320;
/// Bytes of one 20 ms frame.
pub const FRAME_BYTES: usize = 160;
/// Samples the mirror filters look back.
const REACH: usize = 22;
/// The even taps of the symmetric mirror filter (G.722 table 11); the odd ones are the same, backwards.
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// The two polyphase sums over a window of 24 samples.
fn mirror(window: &[i32]) -> (i32, i32) {
    let (mut even, mut odd) = (0, 0);
    for (tap, pair) in window.chunks_exact(2).enumerate() {
        even += pair[0] * MIRROR[tap];
        odd += pair[1] * MIRROR[11 - tap];
    }
    (even, odd)
}

/// An encoder of one stream. 1.5 KiB.
#[derive(Debug, Clone)]
pub struct G722Encoder {
    lower: Lower,
    upper: Upper,
    line: [i32; REACH + FRAME],
}

impl Default for G722Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl G722Encoder {
    /// An encoder that has heard silence.
    pub fn new() -> Self {
        Self { lower: Lower::new(), upper: Upper::new(), line: [0; REACH + FRAME] }
    }

    /// Encodes a frame.
    pub fn encode(&mut self, frame: &[i16; FRAME], out: &mut [u8; FRAME_BYTES]) {
        for (slot, &sample) in self.line[REACH..].iter_mut().zip(frame) {
            *slot = i32::from(sample);
        }
        for (pair, byte) in out.iter_mut().enumerate() {
            let (even, odd) = mirror(&self.line[2 * pair..2 * pair + REACH + 2]);
            *byte = self.encode_bands((odd + even) >> 14, (odd - even) >> 14);
        }
        self.line.copy_within(FRAME.., 0);
    }

    /// Codes a sample of each sub-band.
    fn encode_bands(&mut self, low: i32, high: i32) -> u8 {
        let low = self.lower.encode(low.clamp(-16_384, 16_383));
        let high = self.upper.encode(high.clamp(-16_384, 16_383));
        high << 6 | low
    }

    /// Forgets all sound: what follows equals what a new encoder makes.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

/// A decoder of one stream, with concealment. 2.5 KiB.
#[derive(Debug, Clone)]
pub struct G722Decoder {
    lower: Lower,
    upper: Upper,
    line: [i32; REACH + FRAME],
    repeat: Repeat,
}

impl Default for G722Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl G722Decoder {
    /// A decoder that has heard silence.
    pub fn new() -> Self {
        Self { lower: Lower::new(), upper: Upper::new(), line: [0; REACH + FRAME], repeat: Repeat::new() }
    }

    /// Decodes as much as both slices hold, two samples a byte; answers the samples written. Any bytes are legal.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let bytes = payload.len().min(out.len() / 2);
        let out = &mut out[..bytes * 2];
        for (payload, out) in payload[..bytes].chunks(FRAME_BYTES).zip(out.chunks_mut(FRAME)) {
            for (pair, &byte) in payload.iter().enumerate() {
                let (low, high) = self.decode_bands(byte);
                self.line[REACH + 2 * pair] = low + high;
                self.line[REACH + 2 * pair + 1] = low - high;
            }
            for (pair, samples) in out.chunks_exact_mut(2).enumerate() {
                let (even, odd) = mirror(&self.line[2 * pair..2 * pair + REACH + 2]);
                samples[0] = saturate(odd >> 11) as i16;
                samples[1] = saturate(even >> 11) as i16;
            }
            self.line.copy_within(payload.len() * 2..payload.len() * 2 + REACH, 0);
            self.repeat.join(out);
        }
        bytes * 2
    }

    /// Reconstructs a sample of each sub-band.
    fn decode_bands(&mut self, byte: u8) -> (i32, i32) {
        (self.lower.decode(byte & 0x3F), self.upper.decode(byte >> 6))
    }

    /// Continues the sound over a loss: the last pitch period again, fading to silence within 60 ms.
    pub fn conceal(&mut self, out: &mut [i16]) {
        self.repeat.continue_over(out);
    }

    /// Forgets all sound: what follows equals what a new decoder makes.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests;
