//! What was received as a whisper must never be played to somebody who is admitted later: marks are the proof.

use super::super::*;
use super::network::*;
use proptest::prelude::*;

fn config(waveform: bool) -> JitterConfig {
    zero(if waveform { Concealment::Waveform } else { Concealment::Zero }, true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Two runs differ only in what packets before `cut` hold. Wherever the answer says that nothing before `cut`
    /// contributed, both must return the same samples.
    #[test]
    fn a_frame_whose_oldest_mark_is_new_depends_on_no_older_packet(
        seed: u64, cut in 20u64..100, loss in 0.0f64..0.4, jitter_ms in 0.0f64..80.0, packet in 0usize..5,
        ppm in -30_000.0f64..30_000.0, waveform: bool, time_scaling: bool,
    ) {
        let packet_ms = [10.0, 20.0, 30.0, 40.0, 60.0][packet];
        let network = Network { seed, packet_ms, loss, jitter_ms, ppm, duplicates: 0.1, ..Network::default() };
        // Time scaling listens to the samples; below its threshold of silence it always does what is wanted, so that both
        // runs stay in step.
        let loudness = if time_scaling { 190 } else { 20_011 };
        let noise = |p: u64, factor: u64| (p * factor % loudness) as i16 - (loudness / 2) as i16;
        let cut_at = cut * (packet_ms * 8.0) as u64;
        let public = network.packets(4.0, |p| noise(p, 7_919));
        let whisper = network.packets(4.0, |p| noise(p, if p < cut_at { 6_007 } else { 7_919 }));
        let config = JitterConfig { time_scaling, ..config(waveform) };
        let mut first = JitterBuffer::new(Codec::L16, config);
        let mut second = first.clone();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        run(&mut first, &public, 0.0, 4_000.0, |_, buffer, pulled, frame| a.push((pulled, frame.to_vec(), buffer.play)));
        run(&mut second, &whisper, 0.0, 4_000.0, |_, buffer, pulled, frame| b.push((pulled, frame.to_vec(), buffer.play)));
        for ((p, x, from), (q, y, also)) in a.iter().zip(&b) {
            if from != also {
                // A cross-fade that ends in another frame can put off a change of delay; from there on the runs do not compare.
                prop_assert!(time_scaling && waveform);
                break;
            }
            // How long a cross-fade lasts depends on the pitch, so its end may lie in different frames.
            if p.oldest_mark >= cut && q.oldest_mark >= cut {
                prop_assert_eq!(x, y);
            }
        }
    }

    #[test]
    fn after_forgetting_nothing_older_is_ever_returned(
        seed: u64, at in 10usize..180, loss in 0.0f64..0.4, jitter_ms in 0.0f64..80.0, waveform: bool,
    ) {
        let network = Network { seed, loss, jitter_ms, ..Network::default() };
        let sent = network.packets(4.0, |_| 5_000);
        let mut buffer = JitterBuffer::new(Codec::L16, config(waveform));
        let mut next = sent.iter().peekable();
        let mut frame = [0i16; 160];
        let mut newest = 0;
        let mut forgotten = 0;
        for tick in 0..200usize {
            let now = tick as f64 * 20.0;
            while let Some(packet) = next.next_if(|p| p.arrival <= now) {
                newest = newest.max(packet.index);
                if packet.index >= forgotten { insert(&mut buffer, packet); }
            }
            if tick == at {
                forgotten = newest + 1;
                buffer.forget_before(forgotten);
            }
            let pulled = buffer.pull(ms(now), &mut frame);
            prop_assert!(pulled.oldest_mark >= forgotten);
            if pulled.oldest_mark == u64::MAX {
                prop_assert!(frame.iter().all(|&s| s == 0));
            }
        }
    }
}

#[test]
fn concealment_and_the_cross_fade_after_it_carry_the_mark_of_the_history() {
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    let network = Network::default();
    let mut sent = network.packets(1.0, |p| speech(p + 2_000));
    sent.retain(|p| p.index != 25);
    let mut marks = Vec::new();
    run(&mut buffer, &sent, 0.0, 980.0, |_, _, pulled, _| marks.push((pulled.oldest_mark, pulled.concealed)));
    let hole = marks.iter().position(|m| m.1).expect("a hole");
    // 400 samples of history: three packets back.
    assert_eq!(marks[hole], (22, true));
    assert_eq!(marks[hole + 1], (22, false));
    assert_eq!(marks[hole + 2], (27, false));
    assert_eq!(marks[hole - 1], (24, false));
}

/// A buffer that has played samples of packet 3 and then 160 of packet 4, and holds `first` samples of packet 5 and then packet 9.
fn at_a_boundary(first: usize) -> JitterBuffer {
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    buffer.concealer.record(&[100; 240], 3);
    buffer.concealer.record(&[200; 160], 4);
    let stretch = |start: usize, end: usize, mark| Stretch {
        start: start as i64,
        origin: start as i64,
        len: end - start,
        mark,
        arrival: 0,
        judged: true,
    };
    if first > 0 {
        buffer.queue.put(stretch(0, first, 5), &vec![300; first]);
    }
    buffer.queue.put(stretch(first, 400, 9), &vec![400; 400 - first]);
    buffer.play = Some(0);
    buffer
}

#[test]
fn a_cross_fade_of_time_scaling_carries_the_mark_of_both_its_sides() {
    let mut frame = [0i16; 160];
    for lag in [1usize, 20, 77, 160] {
        for first in 0..160 {
            let mut buffer = at_a_boundary(first);
            let oldest = if first == 0 { 9 } else { 5 };
            assert_eq!(buffer.delete_period(0, lag, &mut frame).oldest_mark, oldest, "{lag} {first}");
            assert_eq!(at_a_boundary(first).insert_period(0, lag, &mut frame).oldest_mark, 4, "{lag} {first}");
        }
    }
    let mut buffer = at_a_boundary(0);
    buffer.concealer.record(&[250; 10], 8);
    assert_eq!(buffer.clone().insert_period(0, 10, &mut frame).oldest_mark, 8);
    assert_eq!(buffer.insert_period(0, 11, &mut frame).oldest_mark, 4);
}
