//! Opus (RFC 6716) over libopus: 48 kHz, mono, frames of 20 ms out, packets of any legal length in.
//!
//! libopus keeps 31 668 bytes for an encoder and 18 468 for a decoder of one channel (`opus_*_get_size` of 1.6.1); encoding and decoding
//! take their scratch from the stack and never allocate.

mod packet;

pub use packet::{has_fec, is_dtx, packet_samples};

use ::opus::{Application, Bitrate, Channels, Decoder, Encoder};

/// Samples of one 20 ms frame.
pub const FRAME: usize = 960;
/// Samples of the longest packet (120 ms).
pub const LONGEST_PACKET: usize = 5_760;
/// The longest packet of one frame, bytes (RFC 6716 §3.4, with its table of contents).
pub const LONGEST_PAYLOAD: usize = 1_276;
/// The step in which libopus conceals: 2.5 ms.
const STEP: usize = 120;
/// The loss classes of [`loss_class`], percent.
const LOSS_CLASSES: [u8; 6] = [0, 6, 8, 12, 20, 30];

/// Why Opus could not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// libopus could not be given the memory it needs, or refused a setting.
    #[error("libopus refused {operation} ({reason}); free memory, or choose another setting")]
    Refused {
        /// The call that failed.
        operation: &'static str,
        /// What libopus says.
        reason: &'static str,
    },
    /// A packet breaks RFC 6716 §3.4. The decoder is as it was.
    #[error("an Opus packet of {bytes} bytes is malformed ({reason}); ask its sender to follow RFC 6716 section 3.4")]
    Malformed {
        /// Its length.
        bytes: usize,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The room for samples is smaller than the packet is long. The decoder is as it was.
    #[error("an Opus packet holds {needed} samples and there is room for {room}; give room for 5760")]
    NoRoom {
        /// Samples in the packet.
        needed: usize,
        /// Samples there was room for.
        room: usize,
    },
}

fn refused(error: ::opus::Error) -> OpusError {
    OpusError::Refused { operation: error.function(), reason: error.description() }
}

/// The smallest of the classes 0, 6, 8, 12, 20, 30 % that is not below a measured loss (30 above that). Listeners fall into few
/// classes, so that they share encodes.
pub fn loss_class(percent: u8) -> u8 {
    LOSS_CLASSES.into_iter().find(|&class| class >= percent).unwrap_or(30)
}

/// How an encoder behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpusConfig {
    /// Mean bit rate while there is sound, bit/s (6000–510000), default 48000.
    pub bitrate: u32,
    /// Effort, 0–10, default 5.
    pub complexity: u8,
    /// Longest packet, bytes, default 1276. Smaller ones cap the rate.
    pub max_payload: usize,
    /// Discontinuous transmission: silence is packets of at most two bytes that need not be sent. Default true.
    pub dtx: bool,
    /// In-band forward error correction (RFC 6716 §2.1.7). Default true; costs bits only where [`OpusEncoder::set_loss`] says loss.
    pub fec: bool,
}

impl Default for OpusConfig {
    fn default() -> Self {
        Self { bitrate: 48_000, complexity: 5, max_payload: LONGEST_PAYLOAD, dtx: true, fec: true }
    }
}

/// An encoder for speech: 48 kHz mono, 20 ms, variable bit rate.
#[derive(Debug)]
pub struct OpusEncoder {
    encoder: Encoder,
    config: OpusConfig,
    loss: u8,
}

impl OpusEncoder {
    /// An encoder. The only call that allocates.
    pub fn new(config: OpusConfig) -> Result<Self, OpusError> {
        let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).map_err(refused)?;
        encoder.set_bitrate(Bitrate::Bits(config.bitrate.min(510_000) as i32)).map_err(refused)?;
        encoder.set_complexity(i32::from(config.complexity)).map_err(refused)?;
        encoder.set_vbr(true).map_err(refused)?;
        encoder.set_inband_fec(config.fec).map_err(refused)?;
        encoder.set_dtx(config.dtx).map_err(refused)?;
        Ok(Self { encoder, config, loss: 0 })
    }

    /// Encodes a frame; answers the bytes written. At most `max_payload` and what `out` holds; 0 only where `out` has no room for
    /// a packet. Whether it need not be sent: [`is_dtx`].
    pub fn encode(&mut self, frame: &[i16; FRAME], out: &mut [u8]) -> usize {
        let room = out.len().min(self.config.max_payload);
        self.encoder.encode(frame, &mut out[..room]).unwrap_or(0)
    }

    /// Protects against this loss (percent), rounded up to its [`loss_class`]; answers the class.
    pub fn set_loss(&mut self, percent: u8) -> u8 {
        let class = loss_class(percent);
        if class != self.loss && self.encoder.set_packet_loss_perc(i32::from(class)).is_ok() {
            self.loss = class;
        }
        self.loss
    }

    /// Aims at another bit rate from the next frame on, bit/s; answers false, changing nothing, outside 500–510000.
    pub fn set_bitrate(&mut self, bitrate: u32) -> bool {
        let taken =
            (500..=510_000).contains(&bitrate) && self.encoder.set_bitrate(Bitrate::Bits(bitrate as i32)).is_ok();
        if taken {
            self.config.bitrate = bitrate;
        }
        taken
    }

    /// The configuration in force.
    pub fn config(&self) -> OpusConfig {
        self.config
    }

    /// Forgets all sound. Settings stay, and so does libopus' standing decision whether redundancy is worth its bits.
    pub fn reset(&mut self) {
        // Refused only for a state that was freed.
        let _ = self.encoder.reset_state();
    }
}

/// A decoder of one stream to 48 kHz mono. Stereo packets are mixed down.
#[derive(Debug)]
pub struct OpusDecoder {
    decoder: Decoder,
}

impl OpusDecoder {
    /// A decoder. The only call that allocates.
    pub fn new() -> Result<Self, OpusError> {
        Ok(Self { decoder: Decoder::new(48_000, Channels::Mono).map_err(refused)? })
    }

    /// Decodes a packet of any legal duration (2.5–120 ms); answers the samples written, [`LONGEST_PACKET`] at most.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, OpusError> {
        let needed = packet_samples(packet)?;
        let room = out.len();
        let out = out.get_mut(..needed).ok_or(OpusError::NoRoom { needed, room })?;
        self.decoder
            .decode(packet, out, false)
            .map_err(|error| OpusError::Malformed { bytes: packet.len(), reason: error.description() })
    }

    /// Continues the sound over a loss, fading as it grows long; fills `out`.
    pub fn conceal(&mut self, out: &mut [i16]) {
        for part in out.chunks_mut(FRAME) {
            let (whole, rest) = part.split_at_mut(part.len() / STEP * STEP);
            self.continue_over(&[], whole);
            if !rest.is_empty() {
                let mut step = [0; STEP];
                self.continue_over(&[], &mut step);
                rest.copy_from_slice(&step[..rest.len()]);
            }
        }
    }

    /// Fills `out`, the sound lost just before `next`, from the redundancy in `next` as far as that reaches, and by concealment
    /// before it. `out` is a multiple of 2.5 ms and at most 120 ms; answers false, doing nothing, otherwise, or where `next` has
    /// no redundancy ([`has_fec`]). Then decode `next`.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        if out.is_empty() || !out.len().is_multiple_of(STEP) || out.len() > LONGEST_PACKET || !has_fec(next) {
            return false;
        }
        self.continue_over(next, out);
        true
    }

    fn continue_over(&mut self, next: &[u8], out: &mut [i16]) {
        if out.is_empty() {
            return;
        }
        let written = self.decoder.decode(next, out, !next.is_empty()).unwrap_or(0);
        if let Some(rest) = out.get_mut(written..) {
            rest.fill(0);
        }
    }

    /// Forgets all sound. What follows equals what a new decoder makes.
    pub fn reset(&mut self) {
        // Refused only for a state that was freed.
        let _ = self.decoder.reset_state();
    }
}

#[cfg(test)]
mod tests;
