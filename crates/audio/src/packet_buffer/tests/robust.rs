//! Anything may arrive.

use super::super::*;
use super::network::*;
use crate::g722::G722Decoder;
use crate::voice::speech;
use proptest::prelude::*;

fn storm<D: Decoder>(
    mut buffer: PacketBuffer<D>,
    packets: Vec<(u16, u32, Vec<u8>, u64, bool)>,
    seed: u64,
) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed);
    let mut now = 0;
    let mut counts = JitterStats::default();
    for (i, (sequence, timestamp, payload, wait, marker)) in packets.into_iter().enumerate() {
        now += wait;
        let arrival = Duration::from_millis(now);
        let mark = i as u64;
        match buffer.insert(Packet { sequence, timestamp, payload: &payload, arrival, marker, mark }) {
            Inserted::Malformed => counts.malformed += 1,
            Inserted::Duplicate => counts.duplicate += 1,
            Inserted::Queued | Inserted::Overflow | Inserted::Late => {}
        }
        match dice.next() % 40 {
            0 => buffer.forget_before(mark),
            1 => buffer.fence(mark),
            2 => buffer.reset(),
            _ => {}
        }
        if dice.next().is_multiple_of(3) {
            let mut frame = vec![7i16; (dice.next() % 1_200) as usize];
            let pulled = buffer.pull(Duration::from_millis(now + dice.next() % 300), &mut frame);
            prop_assert!(pulled.oldest_mark == u64::MAX || pulled.oldest_mark <= mark);
            prop_assert_eq!(pulled.sound, pulled.oldest_mark != u64::MAX);
            prop_assert!(pulled.sound || frame.iter().all(|&s| s == 0));
        }
        let stats = buffer.stats();
        prop_assert_eq!(stats.duplicate, counts.duplicate);
        prop_assert!(stats.malformed >= counts.malformed);
        prop_assert!(stats.late + stats.duplicate <= stats.received);
    }
    Ok(())
}

#[test]
fn a_buffer_takes_at_most_64_kib_with_its_decoder() {
    let own = size_of::<PacketBuffer<crate::opus::OpusDecoder>>();
    let buffer = buffer();
    assert!(own + buffer.waiting.bytes() + buffer.line.bytes() + 18_468 + 1_024 <= 64 * 1_024);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_packets_in_any_order_are_taken_without_panic(
        packets in prop::collection::vec(
            (any::<u16>(), prop_oneof![any::<u32>(), 0u32..30_000], prop::collection::vec(any::<u8>(), 0..200), 0u64..100, any::<bool>()), 0..200),
        seed: u64, g722: bool, time_scaling: bool,
    ) {
        let config = JitterConfig { time_scaling, ..JitterConfig::default() };
        if g722 {
            storm(PacketBuffer::new(G722Decoder::new(), config), packets, seed)?;
        } else {
            storm(PacketBuffer::new(crate::opus::OpusDecoder::new().expect("decoder"), config), packets, seed)?;
        }
    }

    #[test]
    fn nearly_good_streams_are_taken_and_their_delay_is_bounded(
        seed: u64, loss in 0.0f64..0.4, jitter_ms in 0.0f64..150.0, duplicates in 0.0f64..0.4, ppm in -20_000.0f64..20_000.0,
        at in 0usize..9, length in 0usize..9,
    ) {
        let sizes = [120, 240, 480, 960, 1_920, 2_880, 3_840, 4_800, 5_760];
        let packets = encode_long(&speech(48_000, 48_000 * 4), sizes[length]);
        let packet_ms = sizes[length] as f64 / 48.0;
        let mut sent = Network { seed, loss, jitter_ms, duplicates, ppm, packet_ms, ..Network::default() }.send(&packets, 48_000);
        let len = sent.len();
        if let Some(packet) = sent.get_mut(at * len / 9) {
            packet.timestamp = packet.timestamp.wrapping_add(seed as u32);
        }
        let mut buffer = buffer();
        run(&mut buffer, &sent, 0.0, 3_900.0, |tick, buffer, _, _| {
            let stats = buffer.stats();
            assert!(tick < 1_500.0 || stats.delay < ms(200.0 + packet_ms + 120.0), "{tick}: {stats:?}");
        });
    }
}
