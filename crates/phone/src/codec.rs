//! The phone's own G.711 and L16, built from the definition in ITU-T G.711 and not from the server's tables: a wrong table on one
//! side must not be cancelled by the same wrong table on the other.

/// An audio coding a phone can speak. All run at 8 000 Hz, mono, 20 ms per packet (160 samples).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// Big-endian 16-bit samples at 8 000 Hz, a dynamic payload type (RFC 3551 §4.5.11 has static types for 44.1 kHz only).
    L16,
}

/// Samples per second of every codec here.
pub const RATE: u32 = 8_000;
/// Samples in one 20 ms packet.
pub const FRAME: usize = 160;

impl Codec {
    /// Name in an SDP `rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::L16 => "L16",
        }
    }

    /// The payload type fixed by RFC 3551, if there is one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::L16 => None,
        }
    }

    /// The payload type this phone offers for the codec (97 for L16).
    pub const fn offered_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::L16 => 97,
        }
    }

    /// The byte every silent payload consists of: 0xFF (µ-law), 0xD5 (A-law), 0x00 (L16).
    pub const fn silence_word(self) -> u8 {
        match self {
            Self::Pcmu => 0xFF,
            Self::Pcma => 0xD5,
            Self::L16 => 0x00,
        }
    }

    /// Bytes per sample on the wire.
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 1,
            Self::L16 => 2,
        }
    }

    /// Encodes samples to a payload.
    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        match self {
            Self::Pcmu => samples.iter().map(|&s| ulaw(s)).collect(),
            Self::Pcma => samples.iter().map(|&s| alaw(s)).collect(),
            Self::L16 => samples.iter().flat_map(|s| s.to_be_bytes()).collect(),
        }
    }

    /// Decodes a payload; an odd last byte of L16 is ignored.
    pub fn decode(self, payload: &[u8]) -> Vec<i16> {
        match self {
            Self::Pcmu => payload.iter().map(|&b| unulaw(b)).collect(),
            Self::Pcma => payload.iter().map(|&b| unalaw(b)).collect(),
            Self::L16 => {
                payload.chunks_exact(2).map(|c| c.iter().fold(0u16, |v, &b| (v << 8) | u16::from(b)) as i16).collect()
            }
        }
    }

    /// Codec for an `rtpmap` encoding name at 8 000 Hz, case-insensitive.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Pcmu, Self::Pcma, Self::L16].into_iter().find(|c| c.name().eq_ignore_ascii_case(name))
    }
}

impl std::str::FromStr for Codec {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Self::by_name(s).ok_or_else(|| format!("unknown codec {s:?}; use pcmu, pcma or l16"))
    }
}

/// µ-law by definition: 14-bit magnitude plus bias 33, eight segments of sixteen steps, all bits inverted.
fn ulaw(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = (i32::from(sample).abs() >> 2).min(8158) + 33;
    let segment = (31 - (magnitude as u32).leading_zeros()).saturating_sub(5).min(7);
    let step = (magnitude >> (segment + 1)) & 0x0F;
    let code = ((segment << 4) as u8) | step as u8;
    !(code | if negative { 0x80 } else { 0 })
}

fn unulaw(byte: u8) -> i16 {
    let code = !byte;
    let segment = u32::from((code >> 4) & 7);
    let step = i32::from(code & 0x0F);
    let magnitude = (((2 * step + 33) << segment) - 33) << 2;
    (if code & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

/// A-law by definition: 12-bit magnitude, segment 0 and 1 linear, even bits inverted.
fn alaw(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = if negative { -(i32::from(sample) + 1) } else { i32::from(sample) } >> 4;
    let code = if magnitude < 32 {
        magnitude as u8
    } else {
        let segment = 28 - (magnitude as u32).leading_zeros();
        ((segment << 4) as u8) | ((magnitude >> (segment - 1)) & 0x0F) as u8
    };
    (code | if negative { 0 } else { 0x80 }) ^ 0x55
}

fn unalaw(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let segment = u32::from((code >> 4) & 7);
    let step = i32::from(code & 0x0F);
    let magnitude = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    (if code & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_g711_code_word_survives_a_round_trip() {
        for b in 0..=255u8 {
            // µ-law has two zeros; the negative one (0x7F) re-encodes as the positive one.
            if b != 0x7F {
                assert_eq!(ulaw(unulaw(b)), b, "µ-law {b:#x}");
            }
            assert_eq!(alaw(unalaw(b)), b, "A-law {b:#x}");
        }
    }

    #[test]
    fn known_code_words_of_g711() {
        assert_eq!(unulaw(0xFF), 0);
        assert_eq!(unulaw(0x80), 32124);
        assert_eq!(unulaw(0x00), -32124);
        assert_eq!(unalaw(0xD5), 8);
        assert_eq!(unalaw(0xAA), 32256);
        assert_eq!(unalaw(0x2A), -32256);
        assert_eq!(ulaw(0), 0xFF);
        assert_eq!(alaw(0), 0xD5);
        assert_eq!(ulaw(i16::MIN), 0x00);
        assert_eq!(alaw(i16::MIN), 0x2A);
        assert_eq!(ulaw(i16::MAX), 0x80);
    }

    #[test]
    fn coding_error_stays_within_half_a_step() {
        for s in (i16::MIN..=i16::MAX).step_by(7) {
            for c in [Codec::Pcmu, Codec::Pcma] {
                let back = i32::from(c.decode(&c.encode(&[s]))[0]);
                let limit = (i32::from(s).abs() / 16).max(16) + if i32::from(s).abs() > 32_000 { 700 } else { 0 };
                assert!((back - i32::from(s)).abs() <= limit, "{c:?} {s} → {back}");
            }
        }
    }

    #[test]
    fn silence_is_the_silence_word() {
        for c in [Codec::Pcmu, Codec::Pcma, Codec::L16] {
            assert!(c.encode(&[0; 160]).iter().all(|&b| b == c.silence_word()));
        }
    }
}
