//! What is sent where nothing sounds.

use audio::opus::LONGEST_PAYLOAD;
use audio::{Format, G722Encoder, OpusConfig, OpusEncoder, g722, opus};

use crate::MediaError;

/// Encoded frames of silence, made once for a shard. The encoders that made them have heard nothing else.
pub(crate) struct Silence {
    len: usize,
    opus: [u8; LONGEST_PAYLOAD],
    g722: [u8; g722::FRAME_BYTES],
}

impl Silence {
    pub(crate) fn new() -> Result<Self, MediaError> {
        let config = OpusConfig { dtx: false, fec: false, ..OpusConfig::default() };
        let mut encoder = OpusEncoder::new(config).map_err(MediaError::Codec)?;
        let mut opus = [0; LONGEST_PAYLOAD];
        // Once it has settled, silence takes fewest bytes.
        let mut len = 0;
        for _ in 0..10 {
            len = encoder.encode(&[0; opus::FRAME], &mut opus);
        }
        let mut g722 = [0; g722::FRAME_BYTES];
        G722Encoder::new().encode(&[0; g722::FRAME], &mut g722);
        Ok(Self { len, opus, g722 })
    }

    pub(crate) fn packet(&self, format: Format) -> &[u8] {
        match format {
            Format::G722 => &self.g722,
            Format::Opus | Format::Narrow(_) => self.opus.get(..self.len).unwrap_or(&[]),
        }
    }
}
