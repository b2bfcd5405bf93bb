//! How a simulated phone encodes and decodes.

use audio::opus::LONGEST_PAYLOAD;
use audio::{Codec, Format, G722Decoder, G722Encoder, OpusConfig, OpusDecoder, OpusEncoder, g722};

/// A phone's encoder.
pub(super) enum Mouth {
    Narrow(Codec),
    G722(Box<G722Encoder>),
    /// None: libopus had no memory.
    Opus(Option<Box<OpusEncoder>>),
}

impl Mouth {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Narrow(codec) => Self::Narrow(codec),
            Format::G722 => Self::G722(Box::default()),
            Format::Opus => {
                let config = OpusConfig { dtx: false, bitrate: 64_000, ..OpusConfig::default() };
                Self::Opus(OpusEncoder::new(config).ok().map(Box::new))
            }
        }
    }

    /// Encodes 20 ms.
    pub(super) fn encode(&mut self, frame: &[i16]) -> Vec<u8> {
        match self {
            Self::Narrow(codec) => {
                let mut payload = vec![codec.silence_word(); frame.len() * codec.bytes_per_sample()];
                codec.encode(frame, &mut payload);
                payload
            }
            Self::G722(encoder) => {
                let mut payload = [0; g722::FRAME_BYTES];
                if let Some(frame) = frame.first_chunk() {
                    encoder.encode(frame, &mut payload);
                }
                payload.to_vec()
            }
            Self::Opus(encoder) => {
                let mut payload = [0; LONGEST_PAYLOAD];
                let len = match (encoder, frame.first_chunk()) {
                    (Some(encoder), Some(frame)) => encoder.encode(frame, &mut payload),
                    _ => 0,
                };
                payload.get(..len).unwrap_or(&[]).to_vec()
            }
        }
    }
}

/// A phone's decoder.
pub(super) enum Ear {
    Narrow(Codec),
    G722(Box<G722Decoder>),
    Opus(Option<Box<OpusDecoder>>),
}

impl Ear {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Narrow(codec) => Self::Narrow(codec),
            Format::G722 => Self::G722(Box::new(G722Decoder::new())),
            Format::Opus => Self::Opus(OpusDecoder::new().ok().map(Box::new)),
        }
    }

    /// The samples of a packet.
    pub(super) fn decode(&mut self, payload: &[u8]) -> Vec<i16> {
        match self {
            Self::Narrow(codec) => {
                let mut frame = vec![0; payload.len() / codec.bytes_per_sample()];
                codec.decode(payload, &mut frame);
                frame
            }
            Self::G722(decoder) => {
                let mut frame = vec![0; payload.len() * 2];
                decoder.decode(payload, &mut frame);
                frame
            }
            Self::Opus(decoder) => {
                let mut frame = vec![0; audio::opus::LONGEST_PACKET];
                let len = decoder.as_mut().and_then(|decoder| decoder.decode(payload, &mut frame).ok()).unwrap_or(0);
                frame.truncate(len);
                frame
            }
        }
    }
}
