use super::*;
use crate::level::rms_dbfs;
use crate::tone::Tone;
use crate::voice::{self, snr};
use proptest::prelude::*;

/// CRC-32 as in zip files (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A test sequence as the recommendation's software distribution stores it: 16-bit little-endian words between two synchronising
/// runs of 16 words, whose lowest bit resets the codec.
fn file(words: impl Iterator<Item = u16>) -> Vec<u8> {
    let sync = [1u16; 16];
    sync.into_iter().chain(words).chain(sync).flat_map(u16::to_le_bytes).collect()
}

/// The sequence T1C2.XMT of G.722 Appendix II, which overflows everything.
fn overflowing() -> Vec<u16> {
    let first = (0..639).map(|i| if i % 2 == 0 { 0x8000 } else { 0x7FFE });
    let joint = [0x0000, 0xB1E0, 0xC000];
    let second = (0..126).map(|i| if i % 3 == 1 { 0x7FFE } else { 0x8000 });
    first.chain(joint).chain(second).collect()
}

/// Encoder and decoder against the published checksums of the recommendation's sequences T1C2.XMT, T2R2.COD, T3L2.RC1 and T3H2.RC0, in the
/// configuration they are made for: sub-bands without mirror filters.
#[test]
fn the_overflow_sequences_of_the_recommendation_code_bit_by_bit() {
    let input = overflowing();
    assert_eq!(crc32(&file(input.iter().copied())), 0x2D60_4685, "T1C2.XMT");
    let mut encoder = G722Encoder::new();
    let codes: Vec<u8> = input
        .iter()
        .map(|&word| {
            let sample = i32::from(word.cast_signed()) >> 1;
            encoder.encode_bands(sample, sample)
        })
        .collect();
    assert_eq!(crc32(&file(codes.iter().map(|&c| u16::from(c) << 8))), 0x344E_A5D0, "T2R2.COD");
    let mut decoder = G722Decoder::new();
    let bands: Vec<(i32, i32)> = codes.iter().map(|&code| decoder.decode_bands(code)).collect();
    assert_eq!(crc32(&file(bands.iter().map(|b| (b.0 << 1) as u16))), 0xAF00_F31F, "T3L2.RC1");
    assert_eq!(crc32(&file(bands.iter().map(|b| (b.1 << 1) as u16))), 0x5330_AE2E, "T3H2.RC0");
}

fn speech(len: usize) -> Vec<i16> {
    voice::speech(16_000, len)
}

fn through(input: &[i16]) -> Vec<i16> {
    let (mut encoder, mut decoder) = (G722Encoder::new(), G722Decoder::new());
    let mut out = Vec::new();
    for frame in input.as_chunks::<FRAME>().0 {
        let (mut bytes, mut decoded) = ([0; FRAME_BYTES], [0; FRAME]);
        encoder.encode(frame, &mut bytes);
        assert_eq!(decoder.decode(&bytes, &mut decoded), FRAME);
        out.extend_from_slice(&decoded);
    }
    out
}

const DELAY: usize = 22;

#[test]
fn tones_and_speech_come_back_clean_22_samples_later() {
    for (freq, level, least) in
        [(200.0, -10.0, 30.0), (1_000.0, -10.0, 30.0), (3_000.0, -20.0, 30.0), (5_500.0, -20.0, 12.0)]
    {
        let mut tone = vec![0; 16_000];
        Tone::new(freq, level, 16_000).fill(&mut tone);
        let got = snr(&tone[4_000..15_000], &through(&tone)[4_000..], DELAY);
        assert!(got > least, "{freq} Hz: {got} dB");
    }
    let input = speech(64_000);
    let output = through(&input);
    let at = |delay| snr(&input[..63_000], &output, delay);
    assert!(at(DELAY) > at(DELAY - 1) + 3.0 && at(DELAY) > at(DELAY + 1) + 3.0, "the delay is {DELAY}");
    let segments: Vec<f64> = (0..63_000 - 320)
        .step_by(320)
        .filter(|&i| rms_dbfs(&input[i..i + 320]) > -40.0)
        .map(|i| snr(&input[i..i + 320], &output[i..], DELAY))
        .collect();
    let mean = segments.iter().sum::<f64>() / segments.len() as f64;
    assert!(mean >= 25.0, "segmental signal to noise {mean} dB over {}", segments.len());
}

#[test]
fn noise_over_both_bands_keeps_its_power() {
    let noise = voice::noise(7, 4_096, 32_000);
    let output = through(&noise);
    assert!((rms_dbfs(&noise[320..]) - rms_dbfs(&output[320..])).abs() < 1.5);
    assert!(snr(&noise[320..31_000], &output[320..], DELAY) > 8.0);
}

#[test]
fn silence_comes_back_as_near_silence_and_after_sound_too() {
    assert!(through(&[0; 16_000]).iter().all(|s| s.abs() <= 4));
    let mut input = speech(32_000);
    input.resize(48_000, 0);
    assert!(through(&input)[34_000..].iter().all(|s| s.abs() <= 8));
}

#[test]
fn a_loss_fades_to_silence_and_returns_without_a_jump() {
    let mut tone = vec![0; 16_000];
    Tone::new(180.0, -10.0, 16_000).fill(&mut tone);
    let (mut encoder, mut decoder) = (G722Encoder::new(), G722Decoder::new());
    let mut out = Vec::new();
    for (i, frame) in tone.as_chunks::<FRAME>().0.iter().enumerate() {
        let (mut bytes, mut decoded) = ([0; FRAME_BYTES], [0; FRAME]);
        encoder.encode(frame, &mut bytes);
        if [20, 30, 31, 32, 33, 34].contains(&i) {
            decoder.conceal(&mut decoded);
        } else {
            decoder.decode(&bytes, &mut decoded);
        }
        out.extend_from_slice(&decoded);
    }
    let step = |s: &[i16]| s.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max();
    assert!(step(&out[1_000..]) <= step(&tone).map(|s| s * 2), "{:?} against {:?}", step(&out[1_000..]), step(&tone));
    assert!(rms_dbfs(&out[20 * FRAME..21 * FRAME]) > -14.0, "a single loss is covered");
    assert!(out[33 * FRAME..35 * FRAME].iter().all(|&s| s == 0), "a long one is silence after 60 ms");
}

proptest! {
    #[test]
    fn any_bytes_decode_and_a_reset_equals_new(junk: Vec<u8>, room in 0usize..900, after in prop::collection::vec(any::<u8>(), 1..400)) {
        let mut decoder = G722Decoder::new();
        let mut out = vec![0; room];
        prop_assert_eq!(decoder.decode(&junk, &mut out), (junk.len() * 2).min(room / 2 * 2));
        decoder.conceal(&mut out);
        decoder.reset();
        let (mut a, mut b) = (vec![0; 800], vec![0; 800]);
        decoder.decode(&after, &mut a);
        G722Decoder::new().decode(&after, &mut b);
        prop_assert_eq!(a, b);
    }

    #[test]
    fn packets_of_any_length_decode_to_the_same_samples(bytes in prop::collection::vec(any::<u8>(), 0..900), cut in 1usize..300) {
        let mut whole = vec![0; bytes.len() * 2];
        G722Decoder::new().decode(&bytes, &mut whole);
        let mut decoder = G722Decoder::new();
        let mut parts = Vec::new();
        for part in bytes.chunks(cut) {
            let mut out = vec![0; part.len() * 2];
            decoder.decode(part, &mut out);
            parts.extend(out);
        }
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn any_sound_encodes_and_a_reset_encoder_equals_new(sound in prop::collection::vec(any::<i16>(), 2 * FRAME)) {
        let frames = sound.as_chunks::<FRAME>().0;
        let (mut a, mut b) = ([0; FRAME_BYTES], [0; FRAME_BYTES]);
        let mut encoder = G722Encoder::new();
        encoder.encode(&frames[0], &mut a);
        encoder.reset();
        encoder.encode(&frames[1], &mut a);
        G722Encoder::new().encode(&frames[1], &mut b);
        prop_assert_eq!(a, b);
    }
}
