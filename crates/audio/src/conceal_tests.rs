use super::*;
use crate::level::rms_dbfs;
use proptest::prelude::*;

/// A voiced sound of 125 Hz with falling harmonics.
fn voice(len: usize) -> Vec<i16> {
    (0..len)
        .map(|i| {
            let t = std::f64::consts::TAU * 125.0 * i as f64 / 8_000.0;
            (1..8).map(|h| 4_000.0 / h as f64 * (t * h as f64 + h as f64).sin()).sum::<f64>() as i16
        })
        .collect()
}

fn heard(voice: &[i16]) -> Concealer {
    let mut concealer = Concealer::new();
    for (i, frame) in voice.chunks(160).enumerate() {
        concealer.record(frame, i as u64);
    }
    concealer
}

#[test]
fn a_lost_frame_of_a_steady_voice_is_continued_in_phase() {
    let voice = voice(1_280);
    let mut concealer = heard(&voice[..960]);
    let mut hole = [0i16; 80];
    assert!(concealer.continue_over(&mut hole).is_some());
    let error: f64 = hole.iter().zip(&voice[960..]).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
    let power: f64 = voice[960..1_040].iter().map(|a| (*a as f64).powi(2)).sum();
    assert!(error < 0.02 * power, "{}", error / power);
}

#[test]
fn long_holes_fade_to_silence_by_80_ms_and_then_derive_from_nothing() {
    let mut concealer = heard(&voice(960));
    let mut levels = Vec::new();
    for tick in 0..8 {
        let mut hole = [0i16; 160];
        let mark = concealer.continue_over(&mut hole);
        assert_eq!(mark.is_some(), tick < 4, "tick {tick}");
        levels.push(rms_dbfs(&hole));
    }
    assert!(levels.windows(2).all(|w| w[1] <= w[0]), "{levels:?}");
    assert!(levels[0] > -20.0 && levels[3] < levels[0] - 12.0 && levels[4] == crate::level::SILENCE_DBFS, "{levels:?}");
    assert!(concealer.is_silent());
    assert_eq!(concealer.mark_of_recent(HISTORY), u64::MAX);
}

#[test]
fn neither_the_hole_nor_the_return_clicks() {
    let voice = voice(4_000);
    let steepest = voice.windows(2).map(|w| (w[1] as i32 - w[0] as i32).abs()).max().unwrap_or(0);
    for hole_len in [40usize, 160, 320, 333, 800] {
        let mut concealer = heard(&voice[..960]);
        let mut played = voice[..960].to_vec();
        let mut hole = vec![0i16; hole_len];
        concealer.continue_over(&mut hole);
        played.extend(&hole);
        // The talker comes back in another phase.
        for part in voice[1_007..1_647].chunks(50) {
            let mut part = part.to_vec();
            let mark = concealer.merge(&mut part).unwrap_or(u64::MAX);
            concealer.record(&part, mark);
            played.extend(part);
        }
        assert!(concealer.is_settled());
        let worst = played.windows(2).map(|w| (w[1] as i32 - w[0] as i32).abs()).max().unwrap_or(0);
        assert!(worst < steepest * 3 / 2, "hole {hole_len}: {worst} against {steepest}");
        assert_eq!(played[played.len() - 100..], voice[1_547..1_647]);
    }
}

#[test]
fn what_is_forgotten_is_never_heard_again() {
    let mut concealer = heard(&voice(960));
    let mut hole = [0i16; 50];
    assert!(concealer.continue_over(&mut hole).is_some());
    concealer.forget_before(100);
    let mut rest = [1i16; 300];
    assert_eq!(concealer.continue_over(&mut rest), None);
    assert_eq!(rest, [0; 300]);
    let mut back = [1_000i16; 160];
    assert_eq!(concealer.merge(&mut back), None);
    assert_eq!(concealer.mark_of_recent(HISTORY), u64::MAX);
}

proptest! {
    #[test]
    fn concealment_carries_the_oldest_mark_of_the_history_it_may_read(
        frames in prop::collection::vec((1usize..300, 0u64..50), 1..60),
    ) {
        let mut concealer = Concealer::new();
        let mut played: Vec<u64> = Vec::new();
        for (len, mark) in frames {
            concealer.record(&vec![1_000i16; len], mark);
            played.extend(std::iter::repeat_n(mark, len));
            let window = &played[played.len().saturating_sub(HISTORY)..];
            let exact = window.iter().copied().min().unwrap_or(u64::MAX);
            // Many tiny pieces are merged, and then count as old as their oldest.
            prop_assert!(concealer.mark_of_recent(HISTORY) <= exact);
            prop_assert!(concealer.mark_of_recent(100) <= window[window.len().saturating_sub(100)..].iter().copied().min().unwrap_or(u64::MAX));
        }
    }

    #[test]
    fn any_material_and_any_hole_is_covered_without_panic(
        material in prop::collection::vec(any::<i16>(), 0..900),
        steps in prop::collection::vec((any::<bool>(), 0usize..500), 0..30),
    ) {
        let mut concealer = Concealer::new();
        concealer.record(&material, 7);
        for (hole, len) in steps {
            let mut frame = vec![i16::MIN; len];
            if hole { concealer.continue_over(&mut frame); } else {
                let mark = concealer.merge(&mut frame).unwrap_or(9);
                concealer.record(&frame, mark);
            }
        }
    }
}
