//! Jumps, losses, stalls, counters, limits.

use super::super::*;
use super::network::*;
use crate::g722::{G722Decoder, G722Encoder};
use crate::level::rms_dbfs;
use crate::voice::speech;

#[test]
fn on_a_perfect_network_the_sound_is_the_decoders_own() {
    let packets = encode(&speech(48_000, 48_000 * 3), 0, false);
    let expected = decode(&packets);
    for phase_ms in [0.5, 7.0, 13.3, 19.9] {
        let mut out = Vec::new();
        let sent = Network { phase_ms, ..Network::default() }.send(&packets, 48_000);
        run(&mut buffer(), &sent, 0.0, 2_900.0, |_, _, _, frame| out.extend_from_slice(frame));
        let from = (0..5).find(|i| out[i * 960..(i + 5) * 960] == expected[..4_800]).expect("from the first sample on");
        assert_eq!(&out[from * 960..140 * 960], &expected[..(140 - from) * 960], "{phase_ms}");
    }
}

#[test]
fn g722_plays_as_its_decoder_does() {
    let sound = speech(16_000, 48_000);
    let mut encoder = G722Encoder::new();
    let packets: Vec<Vec<u8>> = sound
        .as_chunks::<320>()
        .0
        .iter()
        .map(|frame| {
            let mut out = [0; 160];
            encoder.encode(frame, &mut out);
            out.to_vec()
        })
        .collect();
    let mut expected = vec![0; 48_000];
    let mut decoder = G722Decoder::new();
    packets.iter().zip(expected.chunks_mut(320)).for_each(|(p, out)| assert_eq!(decoder.decode(p, out), 320));
    let mut out = Vec::new();
    let sent = Network::default().send(&packets, 8_000);
    let mut buffer = PacketBuffer::new(G722Decoder::new(), JitterConfig::default());
    run(&mut buffer, &sent, 0.0, 2_900.0, |_, _, _, frame| out.extend_from_slice(frame));
    assert_eq!(&out[320..140 * 320], &expected[..139 * 320]);
    let lossy = Network { loss: 0.05, jitter_ms: 30.0, ..Network::default() }.send(&packets, 8_000);
    let mut buffer = PacketBuffer::new(G722Decoder::new(), JitterConfig::default());
    run(&mut buffer, &lossy, 0.0, 2_900.0, |_, _, _, _| {});
    let stats = buffer.stats();
    assert!(stats.lost > 0 && stats.concealed_samples > 0 && stats.recovered_samples == 0, "{stats:?}");
}

/// Runs a stream that changes at 5 s and answers how long after the change good sound was back, in ms.
fn recovery(change: impl Fn(&mut Sent)) -> (f64, PacketBuffer<crate::opus::OpusDecoder>) {
    let packets = encode(&speech(48_000, 48_000 * 9), 0, false);
    let mut sent = Network { jitter_ms: 1.0, ..Network::default() }.send(&packets, 48_000);
    sent.iter_mut().filter(|p| p.arrival >= 5_000.0).for_each(&change);
    sent.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
    let mut buffer = buffer();
    let mut last_bad = 5_000.0;
    run(&mut buffer, &sent, 0.0, 8_900.0, |tick, _, pulled, _| {
        if tick > 4_980.0 && (!pulled.sound || pulled.concealed) {
            last_bad = tick + 20.0;
        }
    });
    (last_bad - 5_000.0, buffer)
}

#[test]
fn timestamp_jumps_recover_within_200_ms_and_sequence_jumps_cost_nothing() {
    let back = |by: u32| 0u32.wrapping_sub(by);
    for jump in [6_000, 48_000, 480_000, 3_000_000_000, back(6_000), back(48_000), back(2_400_000)] {
        let (gap, buffer) = recovery(|p| p.timestamp = p.timestamp.wrapping_add(jump));
        assert!(gap <= 200.0, "jump {} took {gap} ms: {:?}", jump.cast_signed(), buffer.stats());
        assert!(buffer.stats().delay < ms(65.0), "jump {}: {:?}", jump.cast_signed(), buffer.stats());
    }
    for jump in [5_000u16, 30_000, 60_000] {
        let (gap, buffer) = recovery(|p| p.sequence = p.sequence.wrapping_add(jump));
        assert_eq!((gap, buffer.stats().lost), (0.0, 0), "{:?}", buffer.stats());
    }
}

#[test]
fn redundancy_fills_a_hole_where_the_next_packet_has_come() {
    let packets = encode(&speech(48_000, 48_000 * 6), 20, false);
    // Packets come in pairs, as over radio: where the first of a pair is lost, the second is there in time.
    let mut sent = Network::default().send(&packets, 48_000);
    sent.iter_mut().filter(|p| p.index % 2 == 0).for_each(|p| p.arrival += 20.0);
    sent.retain(|p| p.index % 10 != 8);
    let mut buffer = buffer();
    run(&mut buffer, &sent, 0.0, 5_900.0, |_, _, _, _| {});
    let stats = buffer.stats();
    let redundant = (1..29).filter(|i| crate::opus::has_fec(&packets[i * 10 + 9])).count() as u64;
    assert!(redundant > 10 && stats.recovered_samples >= redundant * 960, "{redundant}: {stats:?}");
    assert!(stats.concealed_samples <= (30 - redundant) * 960, "{redundant}: {stats:?}");
}

#[test]
fn a_long_loss_is_concealed_for_120_ms_and_then_silence() {
    let tone: Vec<i16> = (0..48_000 * 3).map(|i| (8_000.0 * (f64::from(i) * 0.02).sin()) as i16).collect();
    let mut sent = Network::default().send(&encode(&tone, 0, false), 48_000);
    sent.retain(|p| !(50..100).contains(&p.index));
    let mut kinds = Vec::new();
    let mut buffer = buffer();
    let mut worst = 0;
    let mut before = 0;
    run(&mut buffer, &sent, 0.0, 2_900.0, |_, _, pulled, frame| {
        for &sample in frame {
            worst = worst.max((i32::from(sample) - before).abs());
            before = i32::from(sample);
        }
        kinds.push(if !pulled.sound {
            's'
        } else if pulled.concealed {
            'c'
        } else {
            'p'
        });
    });
    let text: String = kinds.iter().collect();
    assert!(text.contains("pccccccss") || text.contains("pcccccccss"), "{text}");
    assert!(!text.contains("cccccccc"), "{text}");
    assert!(text.ends_with("ppppp"), "{text}");
    assert_eq!(buffer.stats().concealed_samples, 5_760);
    assert!(worst < 1_500, "{worst}: a click");
}

#[test]
fn a_stalled_tick_is_skipped_and_the_delay_is_back_within_a_second() {
    let packets = encode(&speech(48_000, 48_000 * 14), 0, false);
    for at_once in [false, true] {
        let mut sent = Network { jitter_ms: 0.6, ..Network::default() }.send(&packets, 48_000);
        let mut buffer = buffer();
        let before: Vec<Sent> = sent.iter().filter(|p| p.arrival <= 6_000.0).cloned().collect();
        run(&mut buffer, &before, 0.0, 6_000.0, |_, _, _, _| {});
        let usual = buffer.stats().delay;
        sent.retain(|p| p.arrival > 5_980.0);
        if at_once {
            sent.iter_mut().filter(|p| p.arrival < 6_487.0).for_each(|p| p.arrival = 6_487.0);
        }
        let (mut frames, mut concealed) = (0, 0);
        run(&mut buffer, &sent, 6_487.0, 13_000.0, |tick, buffer, pulled, _| {
            frames += 1;
            concealed += u32::from(pulled.concealed && frames > 3);
            if tick > 7_487.0 {
                assert!(buffer.stats().delay.abs_diff(usual) < ms(21.0), "{tick}: {:?} for {usual:?}", buffer.stats());
            }
        });
        assert_eq!((concealed, buffer.stats().stalls), (0, 1), "{:?}", buffer.stats());
        assert!(buffer.stats().skipped_samples.abs_diff(480 * 48) <= 40 * 48, "{:?}", buffer.stats());
    }
}

#[test]
fn bad_packets_are_counted_and_change_nothing() {
    let mut buffer = buffer();
    let mut packet = |payload: &[u8]| {
        buffer.insert(Packet { sequence: 1, timestamp: 1, payload, arrival: Duration::ZERO, marker: false, mark: 0 })
    };
    assert_eq!(packet(&[]), Inserted::Malformed);
    assert_eq!(packet(&[0x1B, 0x3F, 1]), Inserted::Malformed);
    assert_eq!(packet(&[0; 4_000]), Inserted::Malformed);
    assert_eq!(packet(&[0x78, 1, 2, 3]), Inserted::Queued);
    assert_eq!(packet(&[0x78, 1, 2, 3]), Inserted::Duplicate);
    let stats = buffer.stats();
    assert_eq!((stats.received, stats.malformed, stats.duplicate), (2, 3, 1));
}

#[test]
fn a_backlog_without_pulls_is_bounded_and_counted_and_only_its_end_is_played() {
    let mut buffer = buffer();
    let packets = encode(&speech(48_000, 48_000 * 5), 0, false);
    let sent = Network { phase_ms: 5.0, ..Network::default() }.send(&packets, 48_000);
    let (first, rest): (Vec<Sent>, Vec<Sent>) = sent.into_iter().partition(|p| p.arrival < 2_000.0);
    let overflows = first.iter().filter(|p| insert(&mut buffer, p) == Inserted::Overflow).count();
    assert!(overflows > 50, "{overflows}");
    run(&mut buffer, &rest, 2_000.0, 4_900.0, |tick, buffer, _, _| {
        if tick > 2_100.0 {
            assert!(buffer.stats().delay < ms(45.0), "{tick} {:?}", buffer.stats());
        }
    });
}

#[test]
fn an_idle_buffer_says_so_and_may_be_left_alone() {
    let mut buffer = buffer();
    assert!(buffer.is_idle());
    let packets = encode(&speech(48_000, 48_000 * 20), 0, false);
    let sent = Network { phase_ms: 5.0, ..Network::default() }.send(&packets, 48_000);
    let (first, second): (Vec<Sent>, Vec<Sent>) = sent.into_iter().partition(|p| p.index < 100);
    let mut idle_at = None;
    run(&mut buffer, &first, 0.0, 3_000.0, |tick, buffer, _, _| {
        if buffer.is_idle() && tick > 100.0 {
            idle_at.get_or_insert(tick);
        }
    });
    assert!(idle_at.is_some_and(|t| (2_060.0..2_220.0).contains(&t)), "{idle_at:?}");
    let later: Vec<Sent> = second.into_iter().filter(|p| p.arrival > 10_000.0).collect();
    let mut silent = 0;
    run(&mut buffer, &later, 10_000.0, 19_000.0, |_, _, pulled, _| silent += u32::from(!pulled.sound));
    assert!(silent <= 3, "{silent}");
    assert!(buffer.stats().delay < ms(25.0), "{:?}", buffer.stats());
}

/// 5 % loss, 30 ms of jitter, drift: what is heard is what was said. Frames are compared where nothing was stretched or made up.
#[test]
fn speech_over_a_bad_network_is_whole_where_packets_came() {
    let sound = speech(48_000, 48_000 * 10);
    let packets = encode(&sound, 12, false);
    let clean = decode(&packets);
    let network = Network { loss: 0.05, jitter_ms: 30.0, duplicates: 0.02, ppm: 100.0, ..Network::default() };
    let mut buffer = buffer();
    let (mut good, mut compared, mut silent) = (0, 0, 0);
    run(&mut buffer, &network.send(&packets, 48_000), 0.0, 9_500.0, |tick, _, pulled, frame| {
        silent += u32::from(!pulled.sound && tick > 100.0);
        if tick < 200.0 || pulled.concealed || rms_dbfs(frame) < -30.0 {
            return;
        }
        let now = (tick * 48.0) as usize;
        compared += 1;
        let (_, snr) = find(&clean, frame, now.saturating_sub(4_800)..now.saturating_sub(200));
        good += u32::from(snr > 12.0);
    });
    let stats = buffer.stats();
    assert_eq!(silent, 0, "{stats:?}");
    assert!(compared > 120 && good * 10 >= compared * 8, "{good} of {compared}: {stats:?}");
    assert!(stats.delay < ms(65.0) && stats.late * 50 < stats.received, "{stats:?}");
}
