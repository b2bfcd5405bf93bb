//! Promises about delay.

use super::super::*;
use super::network::*;

/// The first sample of each packet is an impulse that tells which packet it is.
fn impulse(position: u64) -> i16 {
    if position.is_multiple_of(160) { 2_000 + (position / 160 % 1_000) as i16 } else { 0 }
}

/// Added delay in ms of each packet whose impulse came out unharmed.
fn added_delays(network: &Network, config: JitterConfig, seconds: f64, after_ms: f64) -> (Vec<f64>, JitterBuffer, u64) {
    let sent = network.packets(seconds, impulse);
    let mut arrivals = std::collections::HashMap::new();
    for packet in &sent {
        arrivals.entry(packet.index).or_insert(packet.arrival);
    }
    let mut buffer = JitterBuffer::new(Codec::L16, config);
    let mut delays = Vec::new();
    let mut concealed = 0;
    run(&mut buffer, &sent, 0.0, seconds * 1_000.0, |tick, buffer, _, frame| {
        if tick < after_ms {
            concealed = buffer.stats().concealed_samples;
            return;
        }
        for (i, &sample) in frame.iter().enumerate().filter(|(_, s)| (2_000..3_000).contains(*s)) {
            let number = (sample - 2_000) as u64;
            // The newest packet of this number that had arrived.
            let index = (0..seconds as u64 * 50 / 1_000 + 1)
                .map(|k| number + k * 1_000)
                .filter(|k| arrivals.get(k).is_some_and(|&a| a <= tick))
                .max();
            if let Some(index) = index {
                delays.push(tick + i as f64 / 8.0 - arrivals[&index]);
            }
        }
    });
    let concealed = buffer.stats().concealed_samples - concealed;
    (delays, buffer, concealed)
}

#[test]
fn on_a_quiet_network_the_added_delay_is_at_most_22_ms_at_every_arrival_phase() {
    for step in 0..40 {
        for seed in 0..3 {
            // ±0.3 ms around the phase.
            let network =
                Network { seed, phase_ms: 40.0 + step as f64 * 0.5 - 0.3, jitter_ms: 0.6, ..Network::default() };
            let (mut delays, _, concealed) = added_delays(&network, JitterConfig::default(), 30.0, 1_000.0);
            assert_eq!(concealed, 0, "phase {step} seed {seed}");
            assert!(delays.len() > 1_350, "phase {step} seed {seed}: {}", delays.len());
            delays.sort_by(f64::total_cmp);
            let p99 = delays[delays.len() * 99 / 100];
            assert!(p99 <= 22.0, "phase {step} seed {seed}: p99 {p99}, worst {:?}", delays.last());
        }
    }
}

#[test]
fn packets_of_every_length_play_without_a_hole_once_learned() {
    for packet_ms in [10.0, 20.0, 30.0, 40.0, 60.0] {
        for phase in [0.0, 3.3, 9.9, 15.2, 19.9] {
            let network = Network { packet_ms, phase_ms: 50.0 + phase, jitter_ms: 0.4, ..Network::default() };
            let sent = network.packets(20.0, speech);
            let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
            let mut learned = (0, 0);
            run(&mut buffer, &sent, 0.0, 19_900.0, |tick, buffer, _, _| {
                if tick < 1_000.0 {
                    learned = (buffer.stats().concealed_samples, buffer.stats().late);
                }
            });
            assert_eq!(
                (buffer.stats().concealed_samples, buffer.stats().late),
                learned,
                "{packet_ms} ms packets at phase {phase}"
            );
            assert!(
                buffer.stats().delay <= ms(packet_ms.max(20.0) + 2.5),
                "{packet_ms} at {phase}: {:?}",
                buffer.stats()
            );
        }
    }
}

#[test]
fn an_hour_of_loss_jitter_reordering_duplicates_and_clock_drift_stays_near_the_target_and_discards_little() {
    for ppm in [200.0, -200.0] {
        let network = Network { seed: 7, loss: 0.05, jitter_ms: 40.0, duplicates: 0.01, ppm, ..Network::default() };
        let seconds = 3_600.0;
        let sent = network.packets(seconds, speech);
        let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
        let (mut far, mut ticks) = (0u64, 0u64);
        let mut before: Option<(i64, JitterStats)> = None;
        run(&mut buffer, &sent, 0.0, seconds * 1_000.0, |tick, buffer, _, frame| {
            let Some(play) = buffer.play else { return };
            let stats = buffer.stats();
            if let Some((from, earlier)) = before {
                // Each tick moves on by what it played, less what was inserted, plus what was deleted: nothing else.
                let inserted = (stats.inserted_samples - earlier.inserted_samples) as i64;
                let deleted = (stats.deleted_samples - earlier.deleted_samples) as i64;
                assert_eq!(play - from, frame.len() as i64 - inserted + deleted, "{tick}");
            }
            before = Some((play, stats));
            if tick > 5_000.0 {
                ticks += 1;
                far += (stats.delay.abs_diff(stats.target) > ms(20.0)) as u64;
            }
        });
        let stats = buffer.stats();
        assert_eq!(far, 0, "of {ticks} ticks, {ppm} ppm: {stats:?}");
        let unique = stats.received - stats.duplicate;
        assert!((stats.late as f64) < 0.005 * unique as f64, "{ppm} ppm: {stats:?}");
        assert!(stats.target < ms(70.0), "{stats:?}");
    }
}

#[test]
fn drift_alone_never_costs_a_concealed_sample() {
    for ppm in [200.0, -200.0] {
        let network = Network { ppm, jitter_ms: 0.6, ..Network::default() };
        let seconds = 600.0;
        let sent = network.packets(seconds, speech);
        let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
        let mut worst = Duration::ZERO;
        run(&mut buffer, &sent, 0.0, seconds * 1_000.0 - 1_000.0, |tick, buffer, _, _| {
            if tick > 2_000.0 {
                worst = worst.max(buffer.stats().delay);
            }
        });
        let stats = buffer.stats();
        assert_eq!((stats.concealed_samples, stats.late), (0, 0), "{ppm}: {stats:?}");
        let moved = stats.inserted_samples.abs_diff(stats.deleted_samples);
        assert!((640..1_280).contains(&moved), "{ppm}: {stats:?}");
        assert!(worst < ms(28.0), "{ppm}: {worst:?}");
    }
}

#[test]
fn a_stalled_tick_is_skipped_and_the_delay_is_back_within_a_second() {
    for kernel_times in [true, false] {
        let network = Network { jitter_ms: 0.6, ..Network::default() };
        let mut sent = network.packets(20.0, speech);
        let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
        let before: Vec<Sent> = sent.iter().filter(|p| p.arrival <= 10_000.0).cloned().collect();
        run(&mut buffer, &before, 0.0, 10_000.0, |_, _, _, _| {});
        let usual = buffer.stats().delay;
        sent.retain(|p| p.arrival > 9_980.0);
        if !kernel_times {
            // Read from the socket only after the stall, all at once.
            for packet in sent.iter_mut().filter(|p| p.arrival < 10_487.0) {
                packet.arrival = 10_487.0;
            }
        }
        let (mut frames, mut concealed) = (0, 0);
        run(&mut buffer, &sent, 10_487.0, 19_000.0, |tick, buffer, pulled, _| {
            frames += 1;
            concealed += (pulled.concealed && frames > 3) as u32;
            if tick > 11_487.0 {
                assert!(
                    buffer.stats().delay.abs_diff(usual) < ms(21.0),
                    "{tick}: {:?} against {usual:?}",
                    buffer.stats()
                );
            }
        });
        assert_eq!(concealed, 0, "{kernel_times}");
        assert_eq!(buffer.stats().stalls, 1);
        assert!(buffer.stats().skipped_samples.abs_diff(3_840) <= 320, "{:?}", buffer.stats());
    }
}

#[test]
fn single_missed_ticks_do_not_add_up_to_delay() {
    let network = Network { jitter_ms: 0.6, ..Network::default() };
    let sent = network.packets(30.0, speech);
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    let mut next = sent.iter().peekable();
    let mut frame = [0i16; 160];
    for tick in 0..1_450u32 {
        let now = tick as f64 * 20.0;
        // Two ticks in a row are missed each second.
        if tick % 50 == 20 || tick % 50 == 21 {
            continue;
        }
        while let Some(packet) = next.next_if(|p| p.arrival <= now) {
            insert(&mut buffer, packet);
        }
        buffer.pull(ms(now), &mut frame);
        if tick > 50 && tick % 50 == 19 {
            assert!(buffer.stats().delay < ms(30.0), "tick {tick}: {:?}", buffer.stats());
        }
    }
}

#[test]
fn a_network_stall_and_its_burst_leave_no_delay_behind() {
    let network = Network { jitter_ms: 0.6, ..Network::default() };
    let mut sent = network.packets(20.0, speech);
    for packet in sent.iter_mut().filter(|p| (10_000.0..10_500.0).contains(&p.arrival)) {
        packet.arrival = 10_500.0;
    }
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    run(&mut buffer, &sent, 0.0, 19_000.0, |tick, buffer, pulled, _| {
        if tick > 11_500.0 {
            assert!(buffer.stats().delay < ms(45.0), "{tick}: {:?}", buffer.stats());
            assert!(!pulled.concealed, "{tick}");
        }
    });
    assert_eq!(buffer.stats().resets, 0, "{:?}", buffer.stats());
}
