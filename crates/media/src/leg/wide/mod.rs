//! What only legs with Opus or G.722 have: a playout buffer and decoder, a gate, an encoder, ways to other rates. In one box, so
//! that plain legs stay small; made outside the tick, with all the memory it will ever need.

mod alone;
mod inbound;
mod outbound;
mod silence;
pub(crate) mod stream;

use audio::{Format, G722Decoder, Gate, GateConfig, JitterConfig, JitterStats, OpusConfig, OpusDecoder, PacketBuffer};

use crate::MediaError;
use crate::config::MediaConfig;
use crate::convert::{Converter, Rate};
use crate::player::FRAME;

pub(crate) use silence::Silence;
pub(crate) use stream::{OpusStream, Settings, Stream};

/// What was agreed about Opus for what we send (RFC 7587 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusTerms {
    /// Whether silence may be left out (`usedtx=1`); default true.
    pub dtx: bool,
    /// Whether the far side uses redundancy (`useinbandfec=1`); default true.
    pub fec: bool,
    /// The most it wants, bit/s (`maxaveragebitrate`); the configured rate applies where it is lower.
    pub max_bitrate: Option<u32>,
}

impl Default for OpusTerms {
    fn default() -> Self {
        Self { dtx: true, fec: true, max_bitrate: None }
    }
}

impl OpusTerms {
    /// How an encoder is set up under these terms.
    fn config(self, config: &MediaConfig) -> OpusConfig {
        let bitrate = self.max_bitrate.map_or(config.opus_bitrate, |most| most.clamp(6_000, config.opus_bitrate));
        OpusConfig {
            bitrate,
            complexity: config.opus_complexity,
            max_payload: crate::path::LONGEST_PAYLOAD,
            // Silence is exact here, and left out or not without asking an encoder; its own detector takes music and tones for noise.
            dtx: false,
            fec: self.fec,
        }
    }
}

/// Packets in, samples out.
#[allow(clippy::large_enum_variant, reason = "both lie in the one box that a wide leg has")]
enum Playout {
    Opus(PacketBuffer<OpusDecoder>),
    G722(PacketBuffer<G722Decoder>),
}

impl Playout {
    fn stats(&self) -> JitterStats {
        match self {
            Self::Opus(buffer) => buffer.stats(),
            Self::G722(buffer) => buffer.stats(),
        }
    }
}

/// The parts of a leg with a wide format.
pub(crate) struct Wide {
    pub(crate) format: Format,
    playout: Playout,
    gate: Option<Gate>,
    /// The gate closes before the first frame of packets with this arrival number or later.
    gate_fence: Option<u64>,
    pub(crate) stream: Stream,
    /// What its players give, 8 kHz, on the way to its rate.
    private: Converter,
    /// Set where a digit sounds in place of the mix, because no telephone-events were agreed.
    digit: bool,
    /// Ticks since the last packet of a silence.
    quiet: u32,
}

impl Wide {
    /// `None` for a format that needs none of it.
    pub(crate) fn new(format: Format, terms: OpusTerms, config: &MediaConfig) -> Result<Option<Box<Self>>, MediaError> {
        let jitter = config.jitter;
        let (playout, stream) = match format {
            Format::Narrow(_) => return Ok(None),
            Format::G722 => (Playout::G722(PacketBuffer::new(G722Decoder::new(), jitter)), Stream::g722()),
            Format::Opus => {
                let decoder = OpusDecoder::new().map_err(MediaError::Codec)?;
                let stream = OpusStream::new(terms.config(config), terms.dtx).map_err(MediaError::Codec)?;
                (Playout::Opus(PacketBuffer::new(decoder, jitter)), Stream::Opus(stream))
            }
        };
        let rate = Rate::of(format);
        let Some(private) = Converter::new(Rate::Narrow, rate) else { return Ok(None) };
        Ok(Some(Box::new(Self {
            format,
            playout,
            gate: config.gate.then(|| Gate::new(rate.hz(), GateConfig::default())),
            gate_fence: None,
            stream,
            private,
            digit: false,
            quiet: 0,
        })))
    }

    pub(crate) fn rate(&self) -> Rate {
        Rate::of(self.format)
    }

    /// Takes the encoder of another, if what was agreed about it differs.
    pub(super) fn take_terms(&mut self, other: &mut Self) {
        if let (Stream::Opus(ours), Stream::Opus(new)) = (&mut self.stream, &mut other.stream) {
            let dtx = new.dtx;
            if ours.settings().agreed() != new.settings().agreed() {
                std::mem::swap(ours, new);
            }
            ours.dtx = dtx;
        }
    }

    pub(super) fn playout_stats(&self) -> JitterStats {
        self.playout.stats()
    }
}

/// The jitter buffer of a leg that does not use it: as small as they come.
pub(super) fn unused(jitter: JitterConfig) -> JitterConfig {
    JitterConfig { maximum: std::time::Duration::ZERO, ..jitter }
}

/// Samples of 8 kHz in a tick, as players give them.
pub(crate) type NarrowFrame = [i16; FRAME];
