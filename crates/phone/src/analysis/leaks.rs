//! Leak injection: each detector must find one leaked packet in synthetic streams, or its blind spot must be the documented one.

use std::time::{Duration, Instant};

use super::*;
use crate::codec::Codec;
use crate::rtp::{Content, Header, Packet};

/// 20 ms packets with perfect headers and pacing.
pub(crate) fn stream(codec: Codec, samples: &[i16], start: Instant) -> Vec<Packet> {
    samples
        .chunks(160)
        .enumerate()
        .map(|(i, frame)| Packet {
            at: start + Duration::from_millis(20) * i as u32,
            from: ([127, 0, 0, 1], 4000).into(),
            header: Header {
                marker: i == 0,
                payload_type: codec.offered_payload_type(),
                sequence: (i as u16).wrapping_add(65_500),
                timestamp: (i as u32 * 160).wrapping_add(0xFFFF_F000),
                ssrc: 7,
            },
            content: Content::Audio(codec),
            payload: if frame.iter().all(|&s| s == 0) {
                vec![codec.silence_word(); frame.len() * codec.bytes_per_sample()]
            } else {
                codec.encode(frame)
            }
            .into(),
        })
        .collect()
}

pub(crate) fn sine(freq: u32, dbfs: f64, n: usize) -> Vec<i16> {
    let peak = 32_767.0 * 10f64.powf(dbfs / 20.0);
    (0..n)
        .map(|i| (peak * (std::f64::consts::TAU * f64::from(freq) * i as f64 / 8000.0).sin()).round() as i16)
        .collect()
}

fn with_burst(mut samples: Vec<i16>, at: usize, freq: u32, dbfs: f64) -> Vec<i16> {
    for (s, b) in samples[at..].iter_mut().zip(sine(freq, dbfs, 160)) {
        *s = s.saturating_add(b);
    }
    samples
}

const SECONDS: usize = 5;

#[test]
fn one_leaked_frame_in_silence_trips_every_detector() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::L16] {
        let clean = stream(codec, &vec![0; SECONDS * 8000], Instant::now());
        assert_eq!(exact_silence(&clean), Ok(()));
        // Aligned with packets and straddling two, in the weakest places of the one-second windows (quarter points) and elsewhere.
        for at in [8_000 + 40, 18_000, 20_000, 22_040, 16_000] {
            let leaked = stream(codec, &with_burst(vec![0; SECONDS * 8000], at, 1200, -20.0), Instant::now());
            let leak = exact_silence(&leaked).unwrap_err();
            assert_eq!(leak.packet, at / 160);
            assert_eq!(leak.at, Some(leaked[at / 160].at));
            let samples = Track::complete(&leaked).unwrap().samples;
            let short = levels_20ms(&samples, 1200).max();
            assert!((-21.0..=-19.5).contains(&short), "{codec:?} at {at}: {short}");
            let long = levels_1s(&samples, 1200).max();
            assert!((-54.1..=-47.5).contains(&long), "{codec:?} at {at}: {long}");
            assert!(short > SILENT_20MS_DBFS && long > SILENT_1S_DBFS);
        }
    }
}

#[test]
fn one_leaked_frame_under_another_voice_trips_the_tone_detectors() {
    let set = tone_set(3).unwrap();
    let [talk, leak, _] = set.tones else { panic!() };
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let voice = sine(*talk, set.level, SECONDS * 8000);
        let base = Track::complete(&stream(codec, &voice, Instant::now())).unwrap().samples;
        assert!(levels_20ms(&base, *leak).max() < SILENT_20MS_DBFS && levels_1s(&base, *leak).max() < SILENT_1S_DBFS);
        let heard = Track::complete(&stream(codec, &with_burst(voice, 17_777, *leak, set.level), Instant::now()))
            .unwrap()
            .samples;
        assert!(levels_20ms(&heard, *leak).max() > SILENT_20MS_DBFS);
        assert!(levels_1s(&heard, *leak).max() > SILENT_1S_DBFS);
    }
}

#[test]
fn the_one_second_detector_is_bounded_as_documented() {
    // At the weakest inner place (a quarter into every window that holds it) a frame shows 34 dB down, at a window's middle 28.
    let level = |at: usize| levels_1s(&with_burst(vec![0; SECONDS * 8000], at, 1200, -20.0), 1200).max();
    let (weakest, strongest) =
        (4_000..32_000).step_by(80).map(level).fold((0.0f64, -200.0f64), |(w, s), l| (w.min(l), s.max(l)));
    assert!((weakest + 54.0).abs() < 0.3 && (strongest + 48.0).abs() < 0.3, "{weakest} {strongest}");
    // −31 dBFS is the faintest frame it promises to find; 6 dB less may pass, and the 20 ms detector still finds it.
    let faint = |dbfs| with_burst(vec![0; SECONDS * 8000], 18_000, 1200, dbfs);
    assert!(levels_1s(&faint(-30.9), 1200).max() > SILENT_1S_DBFS);
    assert!(levels_1s(&faint(-40.0), 1200).max() < SILENT_1S_DBFS);
    assert!(levels_20ms(&faint(-40.0), 1200).max() > SILENT_20MS_DBFS);
    // In the first instants no bound holds for it; the exact detector has no such place.
    let early = with_burst(vec![0; SECONDS * 8000], 0, 1200, -20.0);
    assert!(levels_1s(&early, 1200).max() < SILENT_1S_DBFS);
    assert_eq!(exact_silence(&stream(Codec::Pcmu, &early, Instant::now())).unwrap_err().packet, 0);
}

#[test]
fn a_20_ms_burst_loses_less_than_a_decibel_wherever_it_lies() {
    for at in 8_000..8_160 {
        let level = levels_20ms(&with_burst(vec![0; 16_000], at, 1200, -20.0), 1200).max();
        assert!(level > -20.9, "at {at}: {level}");
    }
}

#[test]
fn the_matrix_tells_heard_silent_and_leak_apart() {
    let start = Instant::now();
    let customer = stream(Codec::Pcmu, &sine(1200, -15.0, 16_000), start);
    let agent: Vec<i16> = sine(1200, -15.0, 16_000).iter().zip(sine(2700, -15.0, 16_000)).map(|(a, b)| a + b).collect();
    let agent = stream(Codec::Pcma, &agent, start);
    let ears = [Ears { name: "customer", packets: &customer }, Ears { name: "agent", packets: &agent }];
    let speakers = [Speaker { name: "agent", freq: 1200 }, Speaker { name: "supervisor", freq: 2700 }];
    let end = start + Duration::from_secs(2);
    let m = matrix(&ears, &speakers, start, end, Duration::from_millis(100)).unwrap();
    let at = Expect::HeardAt { level: -15.0, tolerance: 1.0 };
    m.check(&[
        ("customer", "agent", at),
        ("customer", "supervisor", Expect::Silent),
        ("agent", "supervisor", Expect::Heard),
    ])
    .unwrap();
    let wrong = m
        .check(&[
            ("customer", "supervisor", Expect::Heard),
            ("agent", "nobody", Expect::Silent),
            ("customer", "agent", Expect::Silent),
        ])
        .unwrap_err();
    assert_eq!(wrong.len(), 3);
    assert!(m.to_string().contains("supervisor (2700 Hz)"));

    let leaky = stream(Codec::Pcmu, &with_burst(sine(1200, -15.0, 16_000), 9_000, 2700, -20.0), start);
    let m = matrix(&[Ears { name: "customer", packets: &leaky }], &speakers, start, end, Duration::ZERO).unwrap();
    assert!(matches!(m.verdict("customer", "supervisor"), Some(Verdict::Partly { max, .. }) if max > -22.0));

    let mut lossy = customer.clone();
    lossy.remove(60);
    let broken = matrix(&[Ears { name: "customer", packets: &lossy }], &speakers, start, end, Duration::ZERO);
    assert!(matches!(broken, Err(MatrixError::Stream { source: StreamError::Lost(1), .. })));
    assert!(matches!(matrix(&ears, &speakers, end, end, Duration::ZERO), Err(MatrixError::TooShort { .. })));
}

#[test]
fn onset_and_end_are_the_right_packets() {
    let start = Instant::now();
    let mut samples = vec![0; 16_000];
    samples[4_800..8_000].copy_from_slice(&sine(1200, -20.0, 3_200));
    let packets = stream(Codec::Pcmu, &samples, start);
    let first = first_heard(&packets, 1200, start, SILENT_20MS_DBFS).unwrap();
    let last = last_heard(&packets, 1200, start + Duration::from_secs(9), SILENT_20MS_DBFS).unwrap();
    assert_eq!((first.packet, last.packet), (30, 49));
    assert_eq!(first.at, start + Duration::from_millis(600));
    assert!(first_heard(&packets, 1200, last.at + Duration::from_millis(1), SILENT_20MS_DBFS).is_none());
    assert!(first_heard(&packets, 2700, start, SILENT_20MS_DBFS).is_none());
}

#[test]
fn continuity_lists_every_kind_of_break() {
    let start = Instant::now();
    let clean = stream(Codec::Pcmu, &vec![0; 32_000], start);
    assert!(continuity(&clean).is_perfect(), "wrap-around of sequence and timestamp is not a break");
    let broken = |change: &dyn Fn(&mut Vec<Packet>)| {
        let mut p = clean.clone();
        change(&mut p);
        continuity(&p)
    };
    let c = broken(&|p| drop(p.remove(50)));
    assert_eq!((c.lost, c.gaps.len(), c.gaps[0].packet, c.gaps[0].sequence_step), (1, 1, 50, 2));
    let c = broken(&|p| p.insert(51, p[50].clone()));
    assert_eq!((c.lost, c.duplicated), (0, 1));
    let c = broken(&|p| p.swap(50, 51));
    assert_eq!((c.lost, c.reordered), (0, 1));
    let c = broken(&|p| p[50..].iter_mut().for_each(|p| p.header.ssrc = 8));
    assert_eq!((c.ssrcs.clone(), c.gaps.len(), c.is_perfect()), (vec![7, 8], 1, false));
    let c = broken(&|p| p[50..].iter_mut().for_each(|p| p.header.timestamp = p.header.timestamp.wrapping_add(160)));
    assert_eq!((c.gaps[0].timestamp_step, c.is_lossless()), (320, false));
    let mut swapped = clean.clone();
    swapped.swap(50, 51);
    swapped.insert(60, swapped[59].clone());
    assert_eq!(Track::new(&swapped).frames.len(), clean.len());
}

#[test]
fn pacing_is_measured_between_arrivals() {
    let start = Instant::now();
    let mut p = stream(Codec::Pcmu, &vec![0; 16_000], start);
    p[50].at += Duration::from_millis(7);
    let pacing = pacing(&p);
    assert_eq!(pacing.mean(), Duration::from_millis(20));
    assert_eq!(pacing.percentile(1.0), Duration::from_millis(27));
    assert_eq!((pacing.histogram()[13], pacing.histogram()[20], pacing.histogram()[27]), (1, 97, 1));
}
