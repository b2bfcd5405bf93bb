//! Sample-exact promises, with zeros for concealment.

use super::super::*;
use super::network::*;
use proptest::prelude::*;

/// A value that tells its position, never 0.
fn counter(position: u64) -> i16 {
    (position % 30_000) as i16 + 1
}

/// Runs a network and gives all output.
fn play(network: &Network, config: JitterConfig, seconds: f64) -> (Vec<i16>, JitterBuffer) {
    let sent = network.packets(seconds, counter);
    let mut buffer = JitterBuffer::new(Codec::L16, config);
    let mut out = Vec::new();
    run(&mut buffer, &sent, 0.0, seconds * 1_000.0 + 400.0, |_, _, _, frame| out.extend_from_slice(frame));
    (out, buffer)
}

#[test]
fn on_a_perfect_network_every_sample_comes_out_once_in_order_without_a_gap() {
    for packet_ms in [20.0, 30.0, 40.0, 60.0] {
        for phase in [0.5, 5.0, 12.3, 18.9, 19.9] {
            let network = Network { phase_ms: phase, packet_ms, ..Network::default() };
            // Packets that are no multiple of the tick need one more tick of depth, which without time scaling is configuration.
            let initial = Duration::from_millis(if packet_ms % 20.0 == 0.0 { 20 } else { 40 });
            let (out, buffer) = play(&network, JitterConfig { initial, ..zero(Concealment::Zero, false) }, 6.0);
            let first = out.iter().position(|&s| s != 0).expect("sound");
            let expected: Vec<i16> = (0..48_000u64).map(counter).collect();
            assert!(out[first..first + 48_000] == expected[..], "{packet_ms} {phase} {:?}", buffer.stats());
            assert!(out[first + 48_000..].iter().all(|&s| s == 0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sample_is_repeated_reordered_or_dropped_without_being_counted(
        seed: u64, packet in 1usize..6, loss in 0.0f64..0.3, jitter_ms in 0.0f64..60.0, duplicates in 0.0f64..0.3, phase_ms in 0.0f64..40.0,
    ) {
        let packet_ms = [10.0, 20.0, 30.0, 40.0, 60.0][packet - 1];
        let network = Network { seed, packet_ms, loss, jitter_ms, duplicates, phase_ms, ..Network::default() };
        let (out, buffer) = play(&network, zero(Concealment::Zero, false), 3.0);
        let first = out.iter().position(|&s| s != 0).unwrap_or(0);
        let mut expected: Option<i16> = None;
        let mut skipped = 0u64;
        for &sample in &out[first..] {
            if let Some(value) = expected
                && sample != 0
                && sample != value
            {
                prop_assert!(sample > value, "{} after {}", sample, value);
                skipped += (sample - value) as u64;
                expected = Some(sample);
            }
            expected = Some(match expected { None => sample + 1, Some(value) => value + 1 });
        }
        let stats = buffer.stats();
        prop_assert!(skipped <= stats.deleted_samples, "{} {:?}", skipped, stats);
        let silent = out[first..].iter().filter(|&&s| s == 0).count() as u64;
        prop_assert!(silent <= stats.silent_samples);
        prop_assert_eq!(stats.concealed_samples, 0);
    }

    #[test]
    fn any_packets_in_any_order_are_taken_without_panic(
        packets in prop::collection::vec((any::<u16>(), prop_oneof![any::<u32>(), 0u32..5_000], 0usize..1_100, 0u64..100, any::<bool>()), 0..300),
        seed: u64, waveform: bool, codec in 0usize..3,
    ) {
        let concealment = if waveform { Concealment::Waveform } else { Concealment::Zero };
        let mut buffer = JitterBuffer::new([Codec::Pcmu, Codec::Pcma, Codec::L16][codec], zero(concealment, seed % 2 == 0));
        let mut dice = Dice(seed);
        let mut now = 0u64;
        for (i, (sequence, timestamp, len, wait, marker)) in packets.into_iter().enumerate() {
            now += wait;
            let payload: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
            let arrival = Duration::from_millis(now);
            buffer.insert(Packet { sequence, timestamp, payload: &payload, arrival, marker, mark: i as u64 });
            if dice.next().is_multiple_of(3) {
                let mut frame = vec![0i16; (dice.next() % 600) as usize];
                let pulled = buffer.pull(Duration::from_millis(now + dice.next() % 300), &mut frame);
                prop_assert!(pulled.oldest_mark == u64::MAX || pulled.oldest_mark <= i as u64);
                prop_assert!(pulled.sound == (pulled.oldest_mark != u64::MAX));
            }
        }
    }
}
