//! What was received as a whisper must never be played to somebody who is admitted later: marks are the proof.

use super::super::*;
use super::network::*;
use crate::opus::OpusDecoder;
use crate::voice::{noise, speech};
use proptest::prelude::*;

/// Two talkers whose packets from `cut` on are the same, byte by byte, and differ before.
fn twins(cut: usize, fec: bool) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let one = encode(&speech(48_000, 48_000 * 3), if fec { 20 } else { 0 }, false);
    let mut other = encode(&noise(3, 9_000, 48_000 * 3), if fec { 20 } else { 0 }, false);
    other[cut..].clone_from_slice(&one[cut..]);
    (one, other)
}

type Frames = Vec<(Pulled, Vec<i16>)>;

fn heard(
    packets: &[Vec<u8>],
    network: &Network,
    time_scaling: bool,
    mut act: impl FnMut(usize, &mut PacketBuffer<OpusDecoder>),
) -> Frames {
    let config = JitterConfig { time_scaling, ..JitterConfig::default() };
    let mut buffer = PacketBuffer::new(OpusDecoder::new().expect("decoder"), config);
    let mut frames = Vec::new();
    run(&mut buffer, &network.send(packets, 48_000), 0.0, 2_900.0, |_, buffer, pulled, frame| {
        frames.push((pulled, frame.to_vec()));
        act(frames.len(), buffer);
    });
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Wherever the answer says that nothing before the fence contributed, both twins return the same samples, byte by byte.
    #[test]
    fn behind_a_fence_no_sample_depends_on_an_older_packet(
        seed: u64, cut in 20usize..100, loss in 0.0f64..0.2, jitter_ms in 0.0f64..60.0, fec: bool,
    ) {
        let (one, other) = twins(cut, fec);
        let network = Network { seed, loss, jitter_ms, duplicates: 0.1, ..Network::default() };
        let fence = |_: usize, buffer: &mut PacketBuffer<OpusDecoder>| buffer.fence(cut as u64);
        // Without time scaling, which listens to the sound, both twins keep step.
        let (a, b) = (heard(&one, &network, false, fence), heard(&other, &network, false, fence));
        let mut new = 0;
        for ((p, x), (q, y)) in a.iter().zip(&b) {
            prop_assert_eq!(p.oldest_mark, q.oldest_mark);
            if p.oldest_mark >= cut as u64 {
                prop_assert_eq!(x, y);
                new += u32::from(p.sound);
            }
        }
        prop_assert!(new > 10, "{new} new frames");
    }

    #[test]
    fn after_forgetting_nothing_older_is_ever_returned(
        seed: u64, at in 10usize..120, loss in 0.0f64..0.3, jitter_ms in 0.0f64..60.0, fec: bool,
    ) {
        let cut = at;
        let (one, other) = twins(cut, fec);
        let network = Network { seed, loss, jitter_ms, ..Network::default() };
        let forget = |frame: usize, buffer: &mut PacketBuffer<OpusDecoder>| {
            if frame == at + 1 { buffer.forget_before(cut as u64); }
        };
        let (a, b) = (heard(&one, &network, false, forget), heard(&other, &network, false, forget));
        for (tick, ((p, x), (_, y))) in a.iter().zip(&b).enumerate().skip(at + 1) {
            // Packets older than the mark that come after the command are old all the same, and told.
            if p.oldest_mark >= cut as u64 {
                prop_assert_eq!(x, y, "tick {}", tick);
            }
        }
    }

    #[test]
    fn time_scaling_and_concealment_keep_the_marks(seed: u64, cut in 20usize..100, loss in 0.0f64..0.2, ppm in -20_000.0f64..20_000.0) {
        let (one, _) = twins(cut, true);
        let network = Network { seed, loss, jitter_ms: 40.0, ppm, ..Network::default() };
        let frames = heard(&one, &network, true, |_, buffer| buffer.fence(cut as u64));
        let first = frames.iter().position(|(p, _)| p.sound && p.oldest_mark >= cut as u64);
        // Nothing can be new before the first new packet arrived.
        prop_assert!(first.is_some_and(|tick| tick * 20 + 40 >= cut * 20));
    }
}

#[test]
fn without_a_fence_all_sound_is_as_old_as_the_first_packet() {
    let (one, _) = twins(50, false);
    for (pulled, _) in heard(&one, &Network::default(), true, |_, _| {}) {
        assert!(!pulled.sound || pulled.oldest_mark == 0);
    }
}

#[test]
fn a_fence_costs_one_frame_of_old_sound_and_nothing_is_dropped() {
    let (one, _) = twins(50, false);
    let marks: Vec<u64> =
        heard(&one, &Network::default(), true, |_, buffer| buffer.fence(50)).iter().map(|f| f.0.oldest_mark).collect();
    let first = marks.iter().position(|&m| m == 50 || m > 50 && m != u64::MAX).expect("new sound");
    assert!((50..=53).contains(&first), "{first}: {:?}", &marks[45..60]);
    assert!(marks[first..].iter().all(|&m| m >= 50));
    assert!(marks[2..].iter().all(|&m| m != u64::MAX), "no silence");
}
