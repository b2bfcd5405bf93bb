//! Senders' pauses.

use super::network::*;
use crate::level::rms_dbfs;
use crate::opus::is_dtx;
use crate::voice::{noise, speech};

/// Two seconds of speech, four of a quiet room, two of speech; sent as browsers do: of a pause only its first packet and, every
/// 400 ms, a frame of noise. Answers what arrives, with `marks` of talk spurts or without.
fn browser(marks: bool, notice: bool) -> (Vec<Sent>, Vec<i16>) {
    let mut sound = speech(48_000, 48_000 * 8);
    let room = noise(4, 12, 48_000 * 4);
    sound[96_000..288_000].copy_from_slice(&room);
    let packets = encode(&sound, 0, true);
    let clean = decode(&packets);
    let mut sent = Network { jitter_ms: 0.5, ..Network::default() }.send(&packets, 48_000);
    let mut pausing = false;
    let mut quiet = 0;
    let mut kept: Vec<Sent> = Vec::new();
    for packet in sent.drain(..) {
        let dtx = is_dtx(&packet.payload);
        let first = dtx && !pausing;
        quiet = if dtx { quiet + 1 } else { quiet };
        let marker = !dtx && pausing && quiet < 19;
        pausing = dtx;
        if !dtx {
            quiet = 0;
        }
        if !dtx || (first && notice) {
            kept.push(Sent { sequence: kept.len() as u16, marker: marks && marker, ..packet });
        }
    }
    (kept, clean)
}

#[test]
fn nothing_is_made_up_in_a_browsers_pause_and_its_noise_is_silence() {
    for marks in [true, false] {
        let (sent, _) = browser(marks, true);
        let noises = sent.iter().filter(|p| (140..295).contains(&p.index) && !is_dtx(&p.payload)).count();
        assert!((5..20).contains(&noises), "{noises} frames of noise in the pause");
        let mut buffer = buffer();
        let mut silent = 0;
        run(&mut buffer, &sent, 0.0, 7_900.0, |tick, _, pulled, _| {
            if (2_800.0..5_900.0).contains(&tick) {
                assert!(!pulled.sound, "{tick}");
                silent += 1;
            }
        });
        let stats = buffer.stats();
        assert_eq!((stats.concealed_samples, stats.lost, stats.late, stats.resets), (0, 0, 0, 0), "{stats:?}");
        assert!(silent > 150);
    }
}

#[test]
fn speech_after_a_pause_comes_back_whole() {
    for marks in [true, false] {
        let (sent, clean) = browser(marks, true);
        let loud = |i: &usize| rms_dbfs(&clean[i * 960..(i + 1) * 960]) > -45.0;
        let onset = (300..400).find(loud).expect("speech");
        let mut first = None;
        run(&mut buffer(), &sent, 0.0, 7_900.0, |tick, _, pulled, frame| {
            if tick > 5_950.0 && pulled.sound && rms_dbfs(frame) > -45.0 {
                first.get_or_insert(tick);
            }
        });
        let expected = onset as f64 * 20.0 + 20.0;
        assert!(first.is_some_and(|t| t <= expected + 40.0), "{first:?} for {expected}");
    }
}

#[test]
fn a_pause_without_notice_is_known_by_its_sequence_and_costs_at_most_one_concealment() {
    let (sent, _) = browser(false, false);
    let mut buffer = buffer();
    run(&mut buffer, &sent, 0.0, 7_900.0, |_, _, _, _| {});
    let stats = buffer.stats();
    // Until the next packet shows what it was, a pause cannot be told from a loss.
    let pauses = sent.windows(2).filter(|w| w[1].index > w[0].index + 1 && w[0].payload.len() > 20).count() as u64;
    assert!(stats.concealed_samples <= (pauses + 1) * 5_760, "{stats:?}, {pauses} pauses");
    assert_eq!((stats.lost, stats.resets), (0, 0), "{stats:?}");
}

#[test]
fn a_hole_of_the_timeline_without_a_loss_is_not_concealed() {
    // Both sides of the hole have come before it is reached: four packets in one burst.
    let packets = encode(&speech(48_000, 48_000 * 2), 0, false);
    let mut sent = Network::default().send(&packets, 48_000);
    for packet in sent.iter_mut().filter(|p| p.index >= 60) {
        packet.timestamp = packet.timestamp.wrapping_add(960);
    }
    sent.iter_mut().filter(|p| (40..64).contains(&p.index)).for_each(|p| p.arrival += 45.0);
    sent.iter_mut().filter(|p| p.index >= 64).for_each(|p| p.arrival += 20.0);
    let mut buffer = buffer();
    let mut before = 0;
    run(&mut buffer, &sent, 0.0, 1_900.0, |tick, buffer, _, _| {
        if tick < 1_150.0 {
            before = buffer.stats().concealed_samples;
        }
    });
    assert_eq!(buffer.stats().concealed_samples, before, "{:?}", buffer.stats());
}

#[test]
fn a_loss_is_concealed_where_the_sender_does_not_pause() {
    let packets = encode(&speech(48_000, 48_000 * 2), 0, false);
    let mut sent = Network::default().send(&packets, 48_000);
    sent.retain(|p| p.index != 30 && p.index != 31);
    let mut buffer = buffer();
    run(&mut buffer, &sent, 0.0, 1_900.0, |_, _, _, _| {});
    assert_eq!((buffer.stats().concealed_samples, buffer.stats().lost), (1_920, 2), "{:?}", buffer.stats());
}
