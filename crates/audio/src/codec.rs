//! Stateless 8 kHz codecs: G.711 µ-law and A-law (ITU-T G.711), and linear 16-bit for the simulator.

/// A codec of a G.711-rate leg. All are mono at 8 kHz and stateless: any payload decodes without its neighbours.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Big-endian linear 16-bit, 8 kHz mono: exact, for the simulator only.
    L16,
}

/// G.711 µ-law code word → linear, ITU-T G.711 table 2 scaled to 16 bits.
const MU_LAW: [i16; 256] = {
    let mut table = [0i16; 256];
    let mut code = 0;
    while code < 256 {
        let word = !(code as u8);
        let magnitude = ((((word & 0x0F) as i32) << 3) + 132) << ((word & 0x70) >> 4);
        table[code] = (if word & 0x80 != 0 { 132 - magnitude } else { magnitude - 132 }) as i16;
        code += 1;
    }
    table
};

/// G.711 A-law code word → linear, ITU-T G.711 table 1 scaled to 16 bits.
const A_LAW: [i16; 256] = {
    let mut table = [0i16; 256];
    let mut code = 0;
    while code < 256 {
        let word = (code as u8) ^ 0x55;
        let segment = (word & 0x70) >> 4;
        let step = ((word & 0x0F) as i32) << 4;
        let magnitude = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
        table[code] = (if word & 0x80 != 0 { magnitude } else { -magnitude }) as i16;
        code += 1;
    }
    table
};

/// The exponent and the top four mantissa bits of a small positive integer, as `exponent << 4 | mantissa`.
///
/// A float's bit pattern *is* segment and step of a logarithmic code, and the conversion vectorises where a search for
/// the segment would not. Exact below 2²⁴.
#[inline(always)]
fn segment_and_step(magnitude: i32) -> i32 {
    ((magnitude as f32).to_bits() >> 19) as i32 - (127 << 4)
}

#[inline(always)]
fn mu_law(sample: i16) -> u8 {
    let biased = (sample as i32).abs().min(32_635) + 132;
    let code = segment_and_step(biased) - (7 << 4);
    let sign = ((sample >> 15) as i32) & 0x80;
    !((sign | code) as u8)
}

#[inline(always)]
fn a_law(sample: i16) -> u8 {
    let negative = (sample >> 15) as i32;
    let magnitude = ((sample as i32) ^ negative) >> 3;
    // The two lowest segments share one step size, so they are linear.
    let code = if magnitude < 32 { magnitude >> 1 } else { segment_and_step(magnitude) - (4 << 4) };
    let sign = (!negative) & 0x80;
    ((sign | code) ^ 0x55) as u8
}

impl Codec {
    /// The encoding name used in SDP (`rtpmap`).
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::L16 => "L16",
        }
    }

    /// RTP clock rate in Hz.
    pub const fn clock_rate(self) -> u32 {
        8_000
    }

    /// The static RTP payload type (RFC 3551), if it has one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
            Codec::L16 => None,
        }
    }

    /// Payload bytes per sample.
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Codec::Pcmu | Codec::Pcma => 1,
            Codec::L16 => 2,
        }
    }

    /// The payload byte that stands for digital silence: 0xFF, 0xD5, 0x00.
    pub const fn silence_word(self) -> u8 {
        match self {
            Codec::Pcmu => 0xFF,
            Codec::Pcma => 0xD5,
            Codec::L16 => 0x00,
        }
    }

    /// Decodes as many whole samples as both slices hold; answers the number of samples written.
    pub fn decode(self, payload: &[u8], out: &mut [i16]) -> usize {
        match self {
            Codec::Pcmu => expand(&MU_LAW, payload, out),
            Codec::Pcma => expand(&A_LAW, payload, out),
            Codec::L16 => {
                let count = (payload.len() / 2).min(out.len());
                for (sample, bytes) in out.iter_mut().zip(payload.chunks_exact(2)) {
                    *sample = i16::from_be_bytes([bytes[0], bytes[1]]);
                }
                count
            }
        }
    }

    /// Encodes as many samples as both slices hold; answers the number of bytes written.
    pub fn encode(self, samples: &[i16], out: &mut [u8]) -> usize {
        match self {
            Codec::Pcmu => compress(mu_law, samples, out),
            Codec::Pcma => compress(a_law, samples, out),
            Codec::L16 => {
                let count = samples.len().min(out.len() / 2);
                for (bytes, sample) in out.chunks_exact_mut(2).zip(samples) {
                    bytes.copy_from_slice(&sample.to_be_bytes());
                }
                count * 2
            }
        }
    }

    /// The largest magnitude that digital silence decodes to: A-law has no zero, its smallest words are ±8.
    pub const fn silence_magnitude(self) -> i16 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu | Codec::L16 => 0,
        }
    }
}

#[inline(always)]
fn expand(table: &[i16; 256], payload: &[u8], out: &mut [i16]) -> usize {
    let count = payload.len().min(out.len());
    for (sample, &word) in out[..count].iter_mut().zip(&payload[..count]) {
        *sample = table[word as usize];
    }
    count
}

#[inline(always)]
fn compress(law: impl Fn(i16) -> u8, samples: &[i16], out: &mut [u8]) -> usize {
    let count = samples.len().min(out.len());
    for (word, &sample) in out[..count].iter_mut().zip(&samples[..count]) {
        *word = law(sample);
    }
    count
}

/// Whether decoded samples are digital silence in this codec: all zero, or all within ±8 for A-law, whose smallest code
/// words are ±8. A mixer counts such a frame as exact zero.
pub fn is_digital_silence(codec: Codec, samples: &[i16]) -> bool {
    let limit = codec.silence_magnitude() as u16;
    // A fold without early exit vectorises, and a loud frame is the common case only for talkers.
    samples.chunks(32).all(|chunk| chunk.iter().fold(0u16, |peak, s| peak.max(s.unsigned_abs())) <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(codec: Codec, sample: i16) -> u8 {
        let mut out = [0u8; 1];
        assert_eq!(codec.encode(&[sample], &mut out), 1);
        out[0]
    }

    fn back(codec: Codec, word: u8) -> i16 {
        let mut out = [0i16; 1];
        assert_eq!(codec.decode(&[word], &mut out), 1);
        out[0]
    }

    #[test]
    fn zero_encodes_to_the_silence_word() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            assert_eq!(one(codec, 0), codec.silence_word());
        }
        assert_eq!(back(Codec::Pcmu, 0xFF), 0);
        assert_eq!(back(Codec::Pcma, 0xD5), 8);
        assert_eq!(back(Codec::Pcma, 0x55), -8);
    }

    #[test]
    fn every_code_word_survives_decode_and_encode_except_mu_law_negative_zero() {
        for word in 0..=255u8 {
            assert_eq!(one(Codec::Pcma, back(Codec::Pcma, word)), word);
            let expected = if word == 0x7F { 0xFF } else { word };
            assert_eq!(one(Codec::Pcmu, back(Codec::Pcmu, word)), expected);
        }
    }

    #[test]
    fn known_code_words_of_the_recommendation() {
        assert_eq!(back(Codec::Pcmu, 0x80), 32_124);
        assert_eq!(back(Codec::Pcmu, 0x00), -32_124);
        assert_eq!(back(Codec::Pcma, 0xAA), 32_256);
        assert_eq!(back(Codec::Pcma, 0x2A), -32_256);
        assert_eq!(one(Codec::Pcmu, i16::MAX), 0x80);
        assert_eq!(one(Codec::Pcmu, i16::MIN), 0x00);
        assert_eq!(one(Codec::Pcma, i16::MAX), 0xAA);
        assert_eq!(one(Codec::Pcma, i16::MIN), 0x2A);
    }

    #[test]
    fn encoding_is_monotonic_and_within_half_a_step_over_all_samples() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let mut previous = i16::MIN as i32;
            for sample in i16::MIN..=i16::MAX {
                let decoded = back(codec, one(codec, sample)) as i32;
                assert!(decoded >= previous, "{codec:?} {sample}");
                previous = decoded;
                let magnitude = (sample as i32).abs();
                if magnitude <= 32_000 {
                    // 13 segments: a step is at most 1/16 of the segment's base, so half a step is at most 1/32, plus 8.
                    assert!((decoded - sample as i32).abs() <= magnitude / 32 + 8, "{codec:?} {sample} {decoded}");
                }
            }
        }
    }

    #[test]
    fn a_law_silence_is_recognised_and_speech_is_not() {
        let mut frame = [8i16; 160];
        frame[7] = -8;
        assert!(is_digital_silence(Codec::Pcma, &frame));
        assert!(!is_digital_silence(Codec::Pcmu, &frame));
        frame[159] = 24;
        assert!(!is_digital_silence(Codec::Pcma, &frame));
        assert!(is_digital_silence(Codec::Pcmu, &[0; 160]));
    }

    proptest! {
        #[test]
        fn linear_round_trip_is_exact_and_lengths_are_honoured(samples: Vec<i16>, room in 0usize..600) {
            let mut bytes = vec![0u8; room];
            let written = Codec::L16.encode(&samples, &mut bytes);
            prop_assert_eq!(written, samples.len().min(room / 2) * 2);
            let mut decoded = vec![0i16; samples.len()];
            let count = Codec::L16.decode(&bytes[..written], &mut decoded);
            prop_assert_eq!(&decoded[..count], &samples[..written / 2]);
        }

        #[test]
        fn any_payload_decodes_without_panic(payload: Vec<u8>, room in 0usize..600) {
            for codec in [Codec::Pcmu, Codec::Pcma, Codec::L16] {
                let mut out = vec![0i16; room];
                prop_assert_eq!(codec.decode(&payload, &mut out), (payload.len() / codec.bytes_per_sample()).min(room));
            }
        }
    }
}
