//! A simulator's ear inside the shards: what wide listeners are sent before it is encoded, and what each encoder has encoded.

use std::time::Duration;

use crate::LegId;
use crate::convert::Rate;

/// What a wide listener was sent in a tick, before the encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// Who listens.
    pub leg: LegId,
    /// The tick's time.
    pub at: Duration,
    /// The sampling rate in Hz.
    pub rate: u32,
    /// 20 ms of samples; none: silence.
    pub samples: Option<Vec<i16>>,
}

/// One encode of Opus in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encode {
    /// The tick's time.
    pub at: Duration,
    /// Which encoder, since its last reset: a reset gives it another number.
    pub encoder: u64,
    /// Microphones in the mix.
    pub sources: Vec<LegId>,
    /// Who was sent the packet.
    pub listeners: Vec<LegId>,
}

/// Collects.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub mixed: Vec<Mixed>,
    pub encodes: Vec<Encode>,
}

impl Probe {
    pub(crate) fn mixed(&mut self, leg: LegId, slot: u64, rate: Rate, samples: Option<&[i16]>) {
        let samples = samples.map(<[i16]>::to_vec);
        self.mixed.push(Mixed { leg, at: Duration::from_millis(slot), rate: rate.hz(), samples });
    }

    pub(crate) fn encoding(&mut self, slot: u64, encoder: u64) {
        let at = Duration::from_millis(slot);
        self.encodes.push(Encode { at, encoder, sources: Vec::new(), listeners: Vec::new() });
    }

    pub(crate) fn source(&mut self, leg: LegId) {
        if let Some(encode) = self.encodes.last_mut() {
            encode.sources.push(leg);
        }
    }

    pub(crate) fn served(&mut self, leg: LegId) {
        if let Some(encode) = self.encodes.last_mut() {
            encode.listeners.push(leg);
        }
    }
}
