//! What runs once per tick neither allocates nor frees: an allocator that counts, over every per-tick operation.

use audio::dtmf::{DtmfReceiver, DtmfSender, DtmfStep, DtmfTone};
use audio::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // The thread may be ending, its locals gone.
    let _ = CALLS.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: every call is passed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn calls(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls(|| drop(std::hint::black_box(vec![1u8; 100]))), 2);
}

#[test]
fn a_leg_and_its_mix_run_for_a_minute_without_touching_the_allocator() {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, JitterConfig::default());
    let mut mixer = Mixer::new(3, FRAME_8K);
    let mut up = Resampler::new(8_000, 48_000).expect("ratio");
    let mut down = Resampler::new(48_000, 8_000).expect("ratio");
    let mut tone = MultiTone::new(&[440.0, 480.0], -20.0, 8_000);
    let mut ring = Ringback::european(8_000);
    let mut detector = SpeechDetector::new(8_000);
    let mut sender = DtmfSender::new(8_000);
    let mut receiver = DtmfReceiver::new(8_000);
    let mut wide = [0i16; 960];
    let mut digits = 0;
    let used = calls(|| {
        let mut noise = 1u32;
        for tick in 0..3_000u32 {
            let now = Duration::from_millis(20 * tick as u64);
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut sound = [0i16; FRAME_8K];
            tone.fill(&mut sound);
            let mut payload = [0u8; FRAME_8K];
            Codec::Pcmu.encode(&sound, &mut payload);
            // Losses, reordering, jumps, codec changes: every path of the buffer.
            let swapped = if noise >> 28 == 3 { tick ^ 1 } else { tick };
            if noise >> 28 != 5 && tick % 200 < 180 {
                buffer.insert(Packet {
                    sequence: swapped as u16,
                    timestamp: (swapped + tick / 700 * 977).wrapping_mul(160),
                    payload: &payload[..if tick > 2_500 { 80 } else { 160 }],
                    arrival: now.saturating_sub(Duration::from_millis((noise >> 27) as u64)),
                    marker: false,
                    mark: tick as u64,
                });
            }
            match tick {
                1_500 => buffer.set_codec(Codec::Pcma),
                2_000 => buffer.forget_before(1_990),
                _ => {}
            }
            let mut frame = [0i16; FRAME_8K];
            buffer.pull(now + Duration::from_millis(if tick % 500 > 400 { 300 } else { 1 }), &mut frame);
            mixer.clear();
            mixer.add(0, &frame);
            mixer.add(1, &sound);
            let mut mix = [0i16; FRAME_8K];
            mixer.mix([0, 1].into_iter(), [frame.as_slice()].into_iter(), &mut mix);
            up.process(&mix, &mut wide);
            down.process(&wide, &mut mix);
            ring.fill(&mut mix);
            detector.update(&mix);
            level::rms_dbfs(&mix);
            if tick % 100 == 0 {
                sender.push("1w#").expect("room");
            }
            if let DtmfStep::Packet(packet) = sender.tick(tick * 160) {
                receiver.receive(packet.timestamp, &packet.payload, now);
            }
            digits += receiver.poll(now).is_some() as u32;
            if let Some(mut key) = DtmfTone::new('5', 20, 8_000) {
                key.fill(&mut mix);
            }
        }
    });
    assert_eq!(used, 0);
    assert_eq!(digits, 60);
    let stats = buffer.stats();
    assert!(stats.concealed_samples > 0 && stats.stalls > 0 && stats.resets > 1 && stats.late > 0, "{stats:?}");
}

/// libopus takes memory from C's allocator, which is not counted here; it does so only when a codec is made.
#[test]
fn wide_legs_run_for_a_minute_without_touching_the_allocator() {
    let mut encoder = OpusEncoder::new(OpusConfig::default()).expect("encoder");
    let decoder = OpusDecoder::new().expect("decoder");
    let mut opus = PacketBuffer::new(decoder, JitterConfig::default());
    let mut g722_encoder = G722Encoder::new();
    let mut g722 = PacketBuffer::new(G722Decoder::new(), JitterConfig::default());
    let mut gate = Gate::new(48_000, GateConfig::default());
    let mut voice = MultiTone::new(&[180.0, 560.0, 1_300.0], -20.0, 48_000);
    let mut down = Resampler::new(48_000, 16_000).expect("ratio");
    let used = calls(|| {
        let mut noise = 1u32;
        for tick in 0..3_000u32 {
            let now = Duration::from_millis(20 * u64::from(tick));
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut sound = [0i16; 960];
            if tick % 300 < 200 {
                voice.fill(&mut sound);
            }
            let mut narrow = [0i16; 320];
            down.process(&sound, &mut narrow);
            let (mut payload, mut bytes) = ([0u8; 1_276], [0u8; 160]);
            encoder.set_loss((tick / 500 * 5) as u8);
            let len = encoder.encode(&sound, &mut payload);
            g722_encoder.encode(&narrow, &mut bytes);
            let swapped = if noise >> 28 == 3 { tick ^ 1 } else { tick };
            let arrival = now.saturating_sub(Duration::from_millis(u64::from(noise >> 27)));
            let packet = |payload, step| Packet {
                sequence: swapped as u16,
                timestamp: (swapped + tick / 700 * 977).wrapping_mul(step),
                payload,
                arrival,
                marker: false,
                mark: u64::from(tick),
            };
            if noise >> 28 != 5 && len > 2 {
                opus.insert(packet(&payload[..len], 960));
                g722.insert(packet(&bytes[..], 160));
            }
            match tick {
                1_000 => opus.fence(1_000),
                1_500 => g722.reset(),
                2_000 => opus.forget_before(1_990),
                2_200 => encoder.reset(),
                _ => {}
            }
            let at = now + Duration::from_millis(if tick % 500 > 400 { 300 } else { 1 });
            opus.pull(at, &mut sound);
            g722.pull(at, &mut narrow);
            gate.process(&mut sound);
        }
    });
    assert_eq!(used, 0);
    for stats in [opus.stats(), g722.stats()] {
        assert!(stats.concealed_samples > 0 && stats.stalls > 0 && stats.resets > 0, "{stats:?}");
    }
    assert!(opus.stats().recovered_samples > 0, "{:?}", opus.stats());
}
