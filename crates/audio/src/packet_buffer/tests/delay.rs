//! Promises about delay.

use super::network::*;
use crate::voice::speech;

#[test]
fn on_a_quiet_network_the_delay_is_at_most_22_ms_at_every_arrival_phase() {
    let packets = encode(&speech(48_000, 48_000 * 5), 0, false);
    for step in 0..40 {
        let phase_ms = 40.0 + f64::from(step) * 0.5 - 0.3;
        let sent = Network { phase_ms, jitter_ms: 0.6, ..Network::default() }.send(&packets, 48_000);
        let mut buffer = buffer();
        run(&mut buffer, &sent, 0.0, 4_900.0, |tick, buffer, pulled, _| {
            if tick > 1_000.0 {
                assert!(buffer.stats().delay < ms(22.0) && !pulled.concealed, "{phase_ms}: {:?}", buffer.stats());
            }
        });
    }
}

#[test]
fn packets_of_every_legal_duration_play_without_a_hole_once_learned() {
    let sound = speech(48_000, 48_000 * 8);
    for samples in [120, 240, 480, 960, 1_920, 2_880, 3_840, 4_800, 5_760] {
        let packet_ms = samples as f64 / 48.0;
        let packets = encode_long(&sound, samples);
        for phase in [0.0, 9.9, 19.9] {
            let sent = Network { packet_ms, phase_ms: 130.0 + phase, jitter_ms: 0.4, ..Network::default() }
                .send(&packets, 48_000);
            let mut buffer = buffer();
            let mut learned = (0, 0);
            run(&mut buffer, &sent, 0.0, 7_900.0, |tick, buffer, _, _| {
                if tick < 3_000.0 {
                    learned = (buffer.stats().concealed_samples, buffer.stats().late);
                }
            });
            let stats = buffer.stats();
            assert_eq!((stats.concealed_samples, stats.late), learned, "{packet_ms} ms at {phase}: {stats:?}");
            assert!(stats.delay <= ms(packet_ms.max(20.0) + 3.0), "{packet_ms} ms at {phase}: {stats:?}");
        }
    }
}

#[test]
fn an_hour_of_drift_loss_and_jitter_stays_near_the_target() {
    // The same minute again and again: what counts is the clock.
    let minute = encode(&speech(48_000, 48_000 * 60), 0, true);
    for ppm in [200.0, -200.0] {
        let packets: Vec<Vec<u8>> = (0..60).flat_map(|_| minute.iter().cloned()).collect();
        let network = Network { loss: 0.02, jitter_ms: 30.0, duplicates: 0.01, ppm, ..Network::default() };
        let mut buffer = buffer();
        let (mut far, mut ticks) = (0u32, 0u32);
        run(&mut buffer, &network.send(&packets, 48_000), 0.0, 3_599_000.0, |tick, buffer, _, _| {
            let stats = buffer.stats();
            ticks += u32::from(tick > 5_000.0);
            far += u32::from(tick > 5_000.0 && stats.delay.abs_diff(stats.target) > ms(20.0));
        });
        let stats = buffer.stats();
        assert_eq!(far, 0, "of {ticks} ticks at {ppm} ppm: {stats:?}");
        assert!(stats.late * 200 < stats.received, "{stats:?}");
        assert!(stats.target < ms(65.0), "{stats:?}");
    }
}

#[test]
fn drift_alone_never_costs_a_concealed_sample() {
    for ppm in [200.0, -200.0] {
        let packets = encode(&speech(48_000, 48_000 * 120), 0, false);
        let mut buffer = buffer();
        let sent = Network { ppm, jitter_ms: 0.6, ..Network::default() }.send(&packets, 48_000);
        run(&mut buffer, &sent, 0.0, 119_000.0, |tick, buffer, _, _| {
            assert!(tick < 2_000.0 || buffer.stats().delay < ms(28.0), "{tick}: {:?}", buffer.stats());
        });
        let stats = buffer.stats();
        assert_eq!((stats.concealed_samples, stats.late), (0, 0), "{ppm}: {stats:?}");
        let moved = stats.inserted_samples.abs_diff(stats.deleted_samples);
        assert!((500..2_500).contains(&moved), "{ppm}: {stats:?}");
    }
}

#[test]
fn a_network_stall_and_its_burst_leave_no_delay_behind() {
    let packets = encode(&speech(48_000, 48_000 * 12), 0, false);
    let mut sent = Network { jitter_ms: 0.6, ..Network::default() }.send(&packets, 48_000);
    sent.iter_mut().filter(|p| (5_000.0..5_500.0).contains(&p.arrival)).for_each(|p| p.arrival = 5_500.0);
    let mut buffer = buffer();
    run(&mut buffer, &sent, 0.0, 11_500.0, |tick, buffer, pulled, _| {
        if tick > 6_500.0 {
            assert!(buffer.stats().delay < ms(45.0) && !pulled.concealed, "{tick}: {:?}", buffer.stats());
        }
    });
    assert_eq!(buffer.stats().resets, 0, "{:?}", buffer.stats());
}
