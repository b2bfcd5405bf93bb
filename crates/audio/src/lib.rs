//! Pure signal code: codecs, playout buffers, concealment, mixing, tones, telephone events, resampling, a gate.
//!
//! Nothing here knows a clock, a thread or a socket: time is an argument. Constructors may allocate; what runs once per
//! tick neither allocates nor frees.
//!
//! Levels are in **dBFS where 0 dBFS is a full-scale sine** (peak 32 767): a full-scale square wave reads +3 dBFS.
#![forbid(unsafe_code)]

pub mod codec;
pub mod conceal;
pub mod dtmf;
pub mod format;
pub mod g722;
pub mod gate;
pub mod jitter;
pub mod level;
pub mod mixer;
pub mod opus;
pub mod packet_buffer;
pub mod resample;
pub mod tone;
#[cfg(test)]
mod voice;
pub mod wav;

pub use codec::{Codec, is_digital_silence};
pub use conceal::Concealer;
pub use dtmf::{Digit, DtmfReceiver, DtmfSender, DtmfTone, Event};
pub use format::Format;
pub use g722::{G722Decoder, G722Encoder};
pub use gate::{Gate, GateConfig};
pub use jitter::{Concealment, Inserted, JitterBuffer, JitterConfig, JitterStats, Packet, Pulled};
pub use level::{SpeechDetector, SpeechEvent};
pub use mixer::{Mixer, accumulate, saturate_into, subtract};
pub use opus::{OpusConfig, OpusDecoder, OpusEncoder, OpusError};
pub use packet_buffer::PacketBuffer;
pub use resample::Resampler;
pub use tone::{MultiTone, Ringback, Tone};

/// Samples of one 20 ms tick at 8 kHz.
pub const FRAME_8K: usize = 160;
