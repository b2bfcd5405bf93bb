use super::*;
use crate::voice::{noise, speech};
use proptest::prelude::*;

fn run(gate: &mut Gate, sound: &[i16], frame: usize) -> (Vec<i16>, Vec<bool>) {
    let mut out = sound.to_vec();
    let open = out.chunks_exact_mut(frame).map(|frame| gate.process(frame)).collect();
    (out, open)
}

#[test]
fn background_noise_becomes_exact_zero_and_stays_so() {
    for rate in [8_000u32, 16_000, 48_000] {
        // Even noise of peak 40 has −60 dBFS.
        let (out, open) =
            run(&mut Gate::new(rate, GateConfig::default()), &noise(1, 40, rate as usize * 5), rate as usize / 50);
        assert!(out.iter().all(|&s| s == 0) && !open.contains(&true), "{rate}");
    }
}

#[test]
fn it_stays_open_through_short_pauses_and_closes_after_the_hangover_without_a_step() {
    let mut sound = noise(2, 40, 48_000 * 3);
    for (at, sample) in sound[48_000..52_800].iter_mut().enumerate() {
        *sample = (8_000.0 * (at as f64 * 0.05).sin()) as i16;
    }
    let (out, open) = run(&mut Gate::new(48_000, GateConfig::default()), &sound, 960);
    let first = open.iter().position(|&o| o);
    let last = open.iter().rposition(|&o| o);
    assert_eq!(first, Some(50));
    assert!((74..=75).contains(&last.unwrap_or(0)), "{last:?}");
    assert!(open[50..=last.unwrap_or(50)].iter().all(|&o| o));
    assert_eq!(&out[48_000..52_800], &sound[48_000..52_800]);
    let end = (last.unwrap_or(0) + 1) * 960;
    assert!(out[end - 2..].iter().all(|&s| s.abs() <= 1));
}

#[test]
fn a_click_passes() {
    let mut sound = vec![0i16; 9_600];
    sound[5_000] = 4_000;
    let (out, _) = run(&mut Gate::new(48_000, GateConfig::default()), &sound, 960);
    assert_eq!(out[5_000], 4_000);
}

proptest! {
    #[test]
    fn speech_over_noise_never_loses_an_onset(
        seed: u32, onset in 0usize..9_600, gain in 0.05f64..1.0, rate in prop::sample::select(vec![8_000u32, 16_000, 48_000]),
    ) {
        let voice = speech(rate, rate as usize * 2);
        let from = rate as usize / 5 + onset * rate as usize / 48_000;
        let mut sound = noise(seed, 40, rate as usize * 2);
        // The voice begins at its loudest, as a plosive does.
        let skip = rate as usize / 4;
        for (sample, &voice) in sound[from..].iter_mut().zip(&voice[skip..skip + rate as usize]) {
            *sample = sample.saturating_add((f64::from(voice) * gain) as i16);
        }
        let frame = rate as usize / 50;
        let (out, open) = run(&mut Gate::new(rate, GateConfig::default()), &sound, frame);
        let block = rate as usize / 200;
        for (at, part) in sound.chunks_exact(block).enumerate().map(|(i, part)| (i * block, part)) {
            if rms_dbfs(part) > -50.0 {
                prop_assert_eq!(&out[at..at + block], part, "at {} ms", at * 1_000 / rate as usize);
            }
        }
        // What it does not pass is exact zero, and what it passes is whole but for ramps of 5 ms.
        for ((i, &open), whole) in open.iter().enumerate().zip(sound.chunks_exact(frame)) {
            let part = &out[i * frame..(i + 1) * frame];
            prop_assert!(open || part.iter().all(|&s| s == 0));
            prop_assert!(!open || part[block..frame - block] == whole[block..frame - block]);
        }
    }

    #[test]
    fn silence_gives_exact_zeros_whatever_came_before(before in prop::collection::vec(any::<i16>(), 960), frames in 1usize..5) {
        let mut gate = Gate::new(48_000, GateConfig::default());
        gate.process(&mut before.clone());
        for _ in 0..frames * 10 {
            let mut frame = [0i16; 960];
            gate.process(&mut frame);
            prop_assert!(frame.iter().all(|&s| s == 0));
        }
        prop_assert!(frames < 3 || !gate.is_open());
    }

    #[test]
    fn frames_of_any_length_pass(frames in prop::collection::vec(prop::collection::vec(any::<i16>(), 0..500), 0..30), rate in 0u32..50_000) {
        let mut gate = Gate::new(rate, GateConfig { threshold_dbfs: -10.0, hangover_ms: 30 });
        for mut frame in frames {
            let open = gate.process(&mut frame);
            prop_assert!(open || frame.iter().all(|&s| s == 0));
        }
    }
}
