use super::*;
use crate::level::rms_dbfs;
use crate::voice::{noise, snr, speech};
use proptest::prelude::*;

/// The encoder's look-ahead and the decoder's delay, samples.
const DELAY: usize = 312;

fn encode(config: OpusConfig, loss: u8, sound: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = OpusEncoder::new(config).expect("encoder");
    encoder.set_loss(loss);
    let frames = sound.as_chunks::<FRAME>().0;
    frames
        .iter()
        .map(|frame| {
            let mut out = [0; LONGEST_PAYLOAD];
            let len = encoder.encode(frame, &mut out);
            out[..len].to_vec()
        })
        .collect()
}

fn decode(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = OpusDecoder::new().expect("decoder");
    let mut out = vec![0; packets.len() * FRAME];
    for (packet, out) in packets.iter().zip(out.chunks_exact_mut(FRAME)) {
        assert_eq!(decoder.decode(packet, out), Ok(FRAME));
    }
    out
}

#[test]
fn speech_comes_back_recognisable_and_in_its_bit_rate() {
    let input = speech(48_000, 48_000 * 6);
    let packets = encode(OpusConfig::default(), 0, &input);
    let output = decode(&packets);
    let got = snr(&input[..240_000], &output, DELAY);
    assert!(got > 6.0, "{got} dB");
    let (sent, got) = (rms_dbfs(&input), rms_dbfs(&output));
    assert!((sent - got).abs() < 1.5, "{sent} dBFS, {got} dBFS");
    let bits = packets.iter().map(Vec::len).sum::<usize>() * 8 / 6;
    assert!((10_000..36_000).contains(&bits), "{bits} bit/s");
}

#[test]
fn a_bit_rate_and_a_longest_packet_are_kept_to() {
    let input = noise(3, 8_000, 48_000 * 2);
    let small = OpusConfig { max_payload: 60, dtx: false, ..OpusConfig::default() };
    assert!(encode(small, 0, &input).iter().all(|packet| (1..=60).contains(&packet.len())));
    let mut encoder = OpusEncoder::new(OpusConfig::default()).expect("encoder");
    assert!(encoder.set_bitrate(16_000) && !encoder.set_bitrate(1) && !encoder.set_bitrate(600_000));
    assert_eq!(encoder.config().bitrate, 16_000);
    let mut out = [0; 400];
    let bytes: usize = input.as_chunks::<FRAME>().0.iter().map(|frame| encoder.encode(frame, &mut out)).sum();
    assert!((2_500..6_000).contains(&bytes), "{bytes} in two seconds");
    assert_eq!(encoder.encode(&[0; FRAME], &mut []), 0);
}

#[test]
fn losses_fall_into_six_classes() {
    let classes: Vec<u8> = [0, 1, 6, 7, 9, 13, 21, 31, 100].into_iter().map(loss_class).collect();
    assert_eq!(classes, [0, 6, 6, 8, 12, 20, 30, 30, 30]);
    let mut encoder = OpusEncoder::new(OpusConfig::default()).expect("encoder");
    assert_eq!((encoder.set_loss(5), encoder.set_loss(0)), (6, 0));
}

#[test]
fn silence_is_packets_that_need_not_be_sent() {
    let packets = encode(OpusConfig::default(), 0, &vec![0; 48_000 * 4]);
    let sent = packets[50..].iter().filter(|packet| !is_dtx(packet)).count();
    assert!(sent <= 150 / 18, "{sent} of 150 frames of silence");
    let without = OpusConfig { dtx: false, ..OpusConfig::default() };
    assert!(!encode(without, 0, &vec![0; 48_000]).iter().any(|packet| is_dtx(packet)));
}

#[test]
fn redundancy_recovers_a_lost_frame_better_than_concealment() {
    let input = speech(48_000, 48_000 * 4);
    let packets = encode(OpusConfig::default(), 20, &input);
    let clean = decode(&packets);
    let (mut recovered, mut concealed, mut frames) = (0.0, 0.0, 0);
    for lost in (20..180).step_by(7) {
        if rms_dbfs(&clean[lost * FRAME..(lost + 1) * FRAME]) < -30.0 || !has_fec(&packets[lost + 1]) {
            continue;
        }
        let run = |with_fec: bool| {
            let mut decoder = OpusDecoder::new().expect("decoder");
            let mut frame = [0; FRAME];
            packets[..lost].iter().for_each(|p| assert_eq!(decoder.decode(p, &mut frame), Ok(FRAME)));
            if with_fec {
                assert!(decoder.recover(&packets[lost + 1], &mut frame));
            } else {
                decoder.conceal(&mut frame);
            }
            snr(&clean[lost * FRAME..(lost + 1) * FRAME], &frame, 0)
        };
        recovered += run(true);
        concealed += run(false);
        frames += 1;
    }
    assert!(frames > 5, "{frames}");
    let (recovered, concealed) = (recovered / f64::from(frames), concealed / f64::from(frames));
    assert!(recovered > concealed + 3.0, "{recovered} dB against {concealed} dB over {frames}");
    assert!(!encode(OpusConfig::default(), 0, &input).iter().any(|packet| has_fec(packet)));
}

#[test]
fn concealment_of_any_length_fills_and_fades() {
    let packets = encode(OpusConfig::default(), 0, &speech(48_000, 48_000));
    for len in [0, 1, 119, 120, 121, 960, 5_760, 20_000] {
        let mut decoder = OpusDecoder::new().expect("decoder");
        let mut frame = [0; FRAME];
        packets[..20].iter().for_each(|p| assert_eq!(decoder.decode(p, &mut frame), Ok(FRAME)));
        let mut out = vec![i16::MAX; len];
        decoder.conceal(&mut out);
        assert!(out.iter().all(|&s| s != i16::MAX));
        assert!(len < 20_000 || rms_dbfs(&out[15_000..]) < -40.0);
    }
}

/// Every legal duration, mono and stereo.
#[test]
fn packets_of_every_duration_and_of_two_channels_decode_to_mono() {
    for channels in [Channels::Mono, Channels::Stereo] {
        let width = channels as usize;
        for samples in [120, 240, 480, 960, 1_920, 2_880, 3_840, 4_800, 5_760] {
            let mut encoder = Encoder::new(48_000, channels, Application::Audio).expect("encoder");
            let mut decoder = OpusDecoder::new().expect("decoder");
            let mono = speech(48_000, samples * 8);
            let input: Vec<i16> = mono.iter().flat_map(|&s| [s, s].into_iter().take(width)).collect();
            let mut out = vec![0; LONGEST_PACKET];
            for frame in input.chunks_exact(samples * width) {
                let packet = encoder.encode_vec(frame, 4_000).expect("packet");
                assert_eq!(packet_samples(&packet), Ok(samples));
                assert_eq!(decoder.decode(&packet, &mut out), Ok(samples));
                assert_eq!(
                    decoder.decode(&packet, &mut out[..samples - 1]),
                    Err(OpusError::NoRoom { needed: samples, room: samples - 1 })
                );
            }
        }
    }
}

/// With redundancy, libopus' choice whether to send it outlives a reset: that is a setting, not sound. Any two pasts give the same.
#[test]
fn a_reset_forgets_all_sound() {
    let (one, two) = (speech(48_000, 48_000), noise(9, 3_000, 48_000));
    let after = |loss: u8, past: &[i16]| {
        let mut encoder = OpusEncoder::new(OpusConfig::default()).expect("encoder");
        encoder.set_loss(loss);
        let mut out = [0; LONGEST_PAYLOAD];
        past.as_chunks::<FRAME>().0.iter().for_each(|frame| assert!(encoder.encode(frame, &mut out) > 0));
        encoder.reset();
        let frames = one.as_chunks::<FRAME>().0.iter();
        let mut packet = |frame| {
            let len = encoder.encode(frame, &mut out);
            out[..len].to_vec()
        };
        frames.map(&mut packet).collect::<Vec<_>>()
    };
    let fresh = encode(OpusConfig::default(), 0, &one);
    assert_eq!(after(0, &two), fresh);
    assert_eq!(after(0, &one), fresh);
    assert_eq!(after(12, &two), after(12, &one));
    let mut decoder = OpusDecoder::new().expect("decoder");
    let mut frame = [0; FRAME];
    encode(OpusConfig::default(), 0, &two).iter().for_each(|p| assert_eq!(decoder.decode(p, &mut frame), Ok(FRAME)));
    decoder.reset();
    for (packet, expected) in fresh.iter().zip(decode(&fresh).as_chunks::<FRAME>().0) {
        assert_eq!(decoder.decode(packet, &mut frame), Ok(FRAME));
        assert_eq!(&frame, expected);
    }
}

/// How a decoder that begins in the middle of speech differs from one that heard it all: what a fence costs those who heard all.
#[test]
fn a_renewed_decoder_is_in_step_within_100_ms() {
    let packets = encode(OpusConfig::default(), 0, &speech(48_000, 48_000 * 4));
    let whole = decode(&packets);
    let (mut sums, mut count) = ([0.0; 8], 0.0);
    for start in (10..180).filter(|i| rms_dbfs(&whole[i * FRAME..(i + 1) * FRAME]) > -25.0) {
        let mut decoder = OpusDecoder::new().expect("decoder");
        let mut frame = [0; FRAME];
        for (i, sum) in sums.iter_mut().enumerate() {
            assert_eq!(decoder.decode(&packets[start + i], &mut frame), Ok(FRAME));
            *sum += snr(&whole[(start + i) * FRAME..(start + i + 1) * FRAME], &frame, 0).min(60.0);
        }
        count += 1.0;
    }
    let mean = sums.map(|sum| sum / count);
    assert!(mean[0] > 2.0 && mean[2] > 10.0 && mean[5] > 20.0, "{mean:.1?} dB");
}

#[test]
fn a_malformed_packet_is_told_and_changes_nothing() {
    let packets = encode(OpusConfig::default(), 0, &speech(48_000, 48_000));
    let expected = decode(&packets);
    let mut decoder = OpusDecoder::new().expect("decoder");
    let mut out = [0; LONGEST_PACKET];
    for (packet, expected) in packets.iter().zip(expected.chunks_exact(FRAME)) {
        for bad in [&[][..], &[0x0B], &[0x0B, 0], &[0x09, 1], &[0x1B, 0x3F, 1], &[0x0A, 252]] {
            let error = decoder.decode(bad, &mut out).expect_err("malformed");
            assert!(matches!(error, OpusError::Malformed { bytes, .. } if bytes == bad.len()), "{bad:?}: {error}");
            assert!(error.to_string().contains("RFC 6716"));
        }
        assert_eq!(decoder.decode(packet, &mut out), Ok(FRAME));
        assert_eq!(&out[..FRAME], expected);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused_and_the_next_packet_plays(
        junk in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..12), room in 0usize..6_000,
    ) {
        let mut decoder = OpusDecoder::new().expect("decoder");
        let mut out = vec![0; room];
        for packet in &junk {
            let samples = packet_samples(packet);
            has_fec(packet);
            match decoder.decode(packet, &mut out) {
                Ok(len) => prop_assert_eq!(samples, Ok(len)),
                Err(OpusError::NoRoom { needed, .. }) => prop_assert_eq!(samples, Ok(needed)),
                Err(_) => {}
            }
            decoder.recover(packet, &mut out);
            decoder.conceal(&mut out);
        }
        decoder.reset();
        let packets = encode(OpusConfig::default(), 0, &speech(48_000, 9_600));
        let mut frame = [0; FRAME];
        for (packet, expected) in packets.iter().zip(decode(&packets).as_chunks::<FRAME>().0) {
            prop_assert_eq!(decoder.decode(packet, &mut frame), Ok(FRAME));
            prop_assert_eq!(&frame, expected);
        }
    }

    #[test]
    fn a_packet_is_as_long_as_libopus_says(toc: u8, mut rest in prop::collection::vec(any::<u8>(), 0..40), few: bool) {
        if let Some(first) = rest.first_mut().filter(|_| few) {
            *first &= 0xC7;
        }
        let packet: Vec<u8> = [toc].into_iter().chain(rest).collect();
        let theirs = ::opus::packet::parse(&packet).ok().and_then(|_| ::opus::packet::get_nb_samples(&packet, 48_000).ok());
        prop_assert_eq!(packet_samples(&packet).ok(), theirs);
    }
}
