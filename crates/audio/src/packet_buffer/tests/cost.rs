//! What packets may cost.

use super::super::*;
use crate::g722::G722Decoder;
use crate::jitter::tests::network::ms;
use crate::opus::OpusDecoder;
use std::cell::Cell;
use std::rc::Rc;

/// A decoder that counts what it is given to decode, and may refuse it all.
struct Counting<D> {
    decoder: D,
    decoded: Rc<Cell<usize>>,
    refuses: bool,
}

impl<D: Decoder> Decoder for Counting<D> {
    const RATE: u32 = D::RATE;
    const CLOCK: u32 = D::CLOCK;
    const BYTES_PER_SECOND: usize = D::BYTES_PER_SECOND;
    const STEP: usize = D::STEP;

    fn samples(payload: &[u8]) -> Option<usize> {
        D::samples(payload)
    }
    fn is_pause(payload: &[u8]) -> bool {
        D::is_pause(payload)
    }
    fn has_redundancy(payload: &[u8]) -> bool {
        D::has_redundancy(payload)
    }
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> bool {
        self.decoded.set(self.decoded.get() + out.len());
        !self.refuses && self.decoder.decode(payload, out)
    }
    fn recover(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        self.decoded.set(self.decoded.get() + out.len());
        self.decoder.recover(next, out)
    }
    fn conceal(&mut self, out: &mut [i16]) {
        self.decoder.conceal(out);
    }
    fn reset(&mut self) {
        self.decoder.reset();
    }
}

/// Most samples decoded in a pull, all that were, and all that were heard as sound.
struct Cost {
    pull: usize,
    decoded: usize,
    heard: usize,
    stats: JitterStats,
}

/// For five seconds, 8 such packets come in every tick, each 2.5 ms after the one before.
fn flood<D: Decoder>(decoder: D, payload: &[u8], refuses: bool) -> Cost {
    let decoded = Rc::new(Cell::new(0));
    let counting = Counting { decoder, decoded: decoded.clone(), refuses };
    let mut buffer = PacketBuffer::new(counting, JitterConfig::default());
    let frame = D::RATE as usize / 50;
    let mut out = vec![0; frame];
    let mut cost = Cost { pull: 0, decoded: 0, heard: 0, stats: JitterStats::default() };
    for tick in 0..250u64 {
        for n in 0..8u64 {
            let number = tick * 8 + n;
            let inserted = buffer.insert(Packet {
                sequence: number as u16,
                timestamp: (number * u64::from(D::CLOCK) / 400) as u32,
                payload,
                arrival: ms(tick as f64 * 20.0 + n as f64 * 2.5),
                marker: false,
                mark: number,
            });
            assert!(!matches!(inserted, Inserted::Malformed | Inserted::Duplicate | Inserted::Late), "{inserted:?}");
        }
        let before = decoded.get();
        let pulled = buffer.pull(ms(tick as f64 * 20.0 + 20.0), &mut out);
        cost.pull = cost.pull.max(decoded.get() - before);
        cost.heard += if pulled.sound { frame } else { 0 };
    }
    (cost.decoded, cost.stats) = (decoded.get(), buffer.stats());
    cost
}

/// 48 stereo frames of 2.5 ms, so small that many such packets find room.
fn dearest() -> Vec<u8> {
    let mut packet = vec![28 << 3 | 4 | 3, 48];
    packet.extend((0..96u32).map(|n| (n * 97 + 13) as u8));
    packet
}

#[test]
fn overlapping_packets_cost_no_more_decoding_than_what_is_heard_of_them() {
    let opus = flood(OpusDecoder::new().expect("decoder"), &dearest(), false);
    let g722 = flood(G722Decoder::new(), &[0x5a; 160], false);
    for (cost, ms) in [(opus, 48), (g722, 16)] {
        assert!(cost.heard > 4_800 * ms, "{} of 5000 ms were heard", cost.heard / ms);
        assert!(cost.decoded <= 2 * cost.heard + 120 * ms, "{} ms decoded", cost.decoded / ms);
        assert!(cost.pull <= 240 * ms, "{} ms decoded in one pull", cost.pull / ms);
        assert!(cost.stats.undecoded > 500, "{:?}", cost.stats);
    }
}

#[test]
fn packets_that_cannot_be_decoded_cost_a_pull_no_more_than_240_ms() {
    let opus = flood(OpusDecoder::new().expect("decoder"), &dearest(), true);
    let g722 = flood(G722Decoder::new(), &[0x5a; 960], true);
    for (cost, ms) in [(opus, 48), (g722, 16)] {
        assert!(cost.heard == 0 && cost.decoded > 0);
        assert!(cost.pull <= 240 * ms, "{} ms decoded in one pull", cost.pull / ms);
        assert!(cost.stats.undecoded > 0 && cost.stats.malformed > 0, "{:?}", cost.stats);
    }
}
