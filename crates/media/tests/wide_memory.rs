//! Wide legs and the allocator: nothing is allocated or freed in the tick, by libopus neither, and a member's memory is bounded.
//! The C library's own functions are watched, so that what libopus asks for is seen as well as what Rust does.

#![allow(clippy::print_stdout, reason = "figures")]

mod common;

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use audio::opus::{FRAME, LONGEST_PAYLOAD};
use audio::{OpusConfig, OpusEncoder};
use media::sim::Stepped;
use media::{
    Carrier, Format, LegId, LegSetup, LegUpdate, MediaConfig, MediaPlane, PathPacket, Pending, Play, PlayId,
    RoomChange, Sound, TransportEnd, Wake,
};

static INSIDE: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static IN_SLOT: Cell<bool> = const { Cell::new(false) };
}

fn watch(bytes: i64) {
    LIVE.fetch_add(bytes, Ordering::Relaxed);
    if IN_SLOT.with(Cell::get) {
        INSIDE.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(at: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(at: *mut c_void);
    fn malloc_usable_size(at: *mut c_void) -> usize;
}

fn size(at: *mut c_void) -> i64 {
    // SAFETY: `at` came from the C library and is live, or is null.
    unsafe { malloc_usable_size(at) as i64 }
}

// SAFETY, of all four: everything is handed to the C library's own functions as it came.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(bytes: usize) -> *mut c_void {
    let at = unsafe { __libc_malloc(bytes) };
    watch(size(at));
    at
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, bytes: usize) -> *mut c_void {
    let at = unsafe { __libc_calloc(count, bytes) };
    watch(size(at));
    at
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(old: *mut c_void, bytes: usize) -> *mut c_void {
    let before = size(old);
    let at = unsafe { __libc_realloc(old, bytes) };
    watch(size(at) - before);
    at
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(at: *mut c_void) {
    if !at.is_null() {
        watch(-size(at));
        unsafe { __libc_free(at) };
    }
}

struct Asleep;

impl Wake for Asleep {
    fn wake(&self) {}
}

/// Legs over paths, and what their far sides say: encoded beforehand.
struct Stage {
    plane: MediaPlane,
    stepped: Stepped,
    far: Vec<(TransportEnd, u16, usize)>,
    /// By kind of speech: packets, over and over.
    speech: [Vec<Vec<u8>>; 4],
    slot: u64,
    spent: Duration,
    facts: media::FactReceiver,
}

const SILENT: usize = 0;
/// And the next two, at other pitches.
const TALKING: usize = 1;

fn encoded(hz: f64, level: f64) -> Vec<Vec<u8>> {
    let mut encoder = OpusEncoder::new(OpusConfig { dtx: false, ..OpusConfig::default() }).expect("an encoder");
    let mut tone = audio::Tone::new(hz, level, 48_000);
    (0..50)
        .map(|_| {
            let (mut frame, mut out) = ([0; FRAME], [0; LONGEST_PAYLOAD]);
            tone.fill(&mut frame);
            let len = encoder.encode(&frame, &mut out);
            out[..len].to_vec()
        })
        .collect()
}

impl Stage {
    fn new(shards: usize) -> Self {
        let config = MediaConfig {
            bind: "127.0.0.1".parse().expect("ip"),
            max_legs_per_shard: 4_096,
            max_rooms_per_shard: 1_024,
            max_wide_legs: 4_096,
            ..common::config(shards)
        };
        let (plane, facts, stepped) = Stepped::new(config).expect("a plane");
        let speech =
            [(440.0, -120.0), (440.0, -15.0), (560.0, -15.0), (720.0, -15.0)].map(|(hz, level)| encoded(hz, level));
        Self { plane, stepped, far: Vec::new(), speech, slot: 0, spent: Duration::ZERO, facts }
    }

    fn leg(&mut self, format: Format, payload_type: u8, shard: u16, says: usize) -> LegId {
        let (media, transport) = media::path(Arc::new(Asleep));
        let setup = LegSetup {
            telephone_event: Some(101),
            shard: Some(shard),
            ..LegSetup::new(Carrier::Path(media), format, payload_type)
        };
        self.far.push((transport, 0, says));
        self.plane.add_leg(setup).expect("a leg")
    }

    fn step(&mut self) {
        for (n, (transport, sequence, says)) in self.far.iter_mut().enumerate() {
            if self.slot % 20 == n as u64 % 20 {
                let packets = &self.speech[*says];
                let payload = &packets[usize::from(*sequence) % packets.len()];
                let mut packet =
                    PathPacket::new(111, *sequence, u32::from(*sequence) * 960, payload).expect("short enough");
                packet.arrival = Duration::from_millis(self.slot);
                *sequence += 1;
                transport.deliver(packet);
            }
            while transport.next().is_some() {}
        }
        let mut began = Instant::now();
        let spent = &mut self.spent;
        self.stepped.step(|inside| {
            if inside {
                began = Instant::now();
            } else {
                *spent += began.elapsed();
            }
            IN_SLOT.with(|flag| flag.set(inside));
        });
        self.slot += 1;
        while self.facts.try_recv().is_ok() {}
    }

    fn run(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    fn wait<T>(&mut self, mut pending: Pending<T>) -> T {
        for _ in 0..1_000 {
            if let Some(answer) = pending.try_now() {
                return answer.expect("done");
            }
            self.step();
        }
        panic!("no answer");
    }

    fn room(&mut self, room: media::RoomId, revision: u64, legs: &[LegId], whisperer: Option<LegId>) {
        let sources: Vec<_> = legs.iter().map(|leg| (*leg, u16::from(Some(*leg) == whisperer))).collect();
        let listeners: Vec<(LegId, &[u16])> =
            legs.iter().enumerate().map(|(n, leg)| (*leg, &[0u16, 1][..1 + n % 2])).collect();
        let plan = common::plan(revision, 2, &sources, &listeners);
        let change = RoomChange { plan, join: legs.to_vec(), ..RoomChange::default() };
        let pending = self.plane.change_room(room, change);
        self.wait(pending);
    }
}

#[test]
fn nothing_is_allocated_or_freed_in_the_tick_of_wide_legs_and_their_memory_is_bounded() {
    let mut stage = Stage::new(2);
    let _warm = stage.leg(Format::Opus, 111, 0, SILENT);
    stage.run(100);
    let before = LIVE.load(Ordering::Relaxed);
    let mut legs: Vec<LegId> = (0..20).map(|n| stage.leg(Format::Opus, 111, n % 2, usize::from(n % 3 == 0))).collect();
    let opus = (LIVE.load(Ordering::Relaxed) - before) / 20;
    println!("{} KiB for an Opus leg over a path", opus >> 10);
    assert!(opus <= 256 << 10, "{opus} bytes");
    let narrow_before = LIVE.load(Ordering::Relaxed);
    legs.extend((0..4).map(|n| stage.leg(Format::Narrow(audio::Codec::Pcmu), 0, n % 2, SILENT)));
    println!("{} KiB for a G.711 leg over a path", (LIVE.load(Ordering::Relaxed) - narrow_before) / 4 / 1_024);
    legs.extend((0..2).map(|n| stage.leg(Format::G722, 9, n % 2, SILENT)));
    let rooms = [stage.plane.open_room_on(0).expect("a room"), stage.plane.open_room_on(1).expect("a room")];
    let sound = Sound::from_samples(&[3_000; 1_600]);
    for round in 0..12u64 {
        let whisperer = (round % 3 == 1).then(|| legs[round as usize % legs.len()]);
        stage.room(rooms[(round % 2) as usize], round + 1, &legs, whisperer);
        let pending = stage.plane.play(legs[3], Play::once(PlayId(round), sound.clone()));
        stage.wait(pending);
        let pending = stage.plane.send_digits(legs[5], "12");
        stage.wait(pending);
        let (format, kind) = if round % 2 == 0 { (Format::G722, 9) } else { (Format::Opus, 111) };
        let update = LegUpdate { format: Some((format, kind)), ..LegUpdate::default() };
        let pending = stage.plane.update_leg(legs[7], update);
        stage.wait(pending);
        let _meter = stage.plane.meter(legs[round as usize]).expect("a meter");
        stage.run(300);
        let (_, _, says) = &mut stage.far[1 + round as usize];
        *says = 1 - *says;
        stage.run(700);
    }
    let removals: Vec<_> = legs.iter().map(|leg| stage.plane.remove_leg(*leg)).collect();
    let received: u64 = removals.into_iter().map(|removal| stage.wait(removal).packets_received).sum();
    let metrics = stage.plane.metrics();
    let total = |read: fn(&media::ShardMetrics) -> u64| metrics.shards.iter().map(read).sum::<u64>();
    assert!(received > 5_000, "{received} packets came");
    assert!(
        total(|s| s.wide_encodes) > 1_000 && total(|s| s.wide_shared) > 1_000 && total(|s| s.decodes) > 5_000,
        "{metrics:?}"
    );
    assert!(total(|s| s.conversions) > 1_000 && metrics.handovers > 100);
    assert_eq!(INSIDE.load(Ordering::Relaxed), 0, "allocations and frees inside sub-slots");
    // The watch itself sees libopus.
    IN_SLOT.with(|flag| flag.set(true));
    drop(std::hint::black_box(OpusEncoder::new(OpusConfig::default())));
    IN_SLOT.with(|flag| flag.set(false));
    assert!(INSIDE.load(Ordering::Relaxed) >= 2);
}

/// Prints what a tick costs: `cargo test --release -p media --test wide_memory -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures of this machine"]
fn figures() {
    for (talkers, rooms) in [(0, 40), (1, 40), (3, 40)] {
        let mut stage = Stage::new(1);
        for _ in 0..rooms {
            let legs: Vec<LegId> = (0..3)
                .map(|n| stage.leg(Format::Opus, 111, 0, if n < talkers { TALKING + n } else { SILENT }))
                .collect();
            let room = stage.plane.open_room_on(0).expect("a room");
            let sources: Vec<_> = legs.iter().map(|leg| (*leg, 0)).collect();
            let listeners: Vec<(LegId, &[u16])> = legs.iter().map(|leg| (*leg, &[0u16][..])).collect();
            let plan = common::plan(1, 1, &sources, &listeners);
            let pending = stage.plane.change_room(room, RoomChange { plan, join: legs, ..RoomChange::default() });
            stage.wait(pending);
        }
        stage.run(3_000);
        let before = stage.plane.metrics().shards[0].clone();
        stage.spent = Duration::ZERO;
        stage.run(4_000);
        let after = stage.plane.metrics().shards[0].clone();
        let ticks = (after.room_ticks - before.room_ticks) as f64;
        println!(
            "{talkers} of 3 talk: {:.0} µs per room and tick; encodes {:.2}, distinct {:.2}, decodes {:.2} per tick",
            stage.spent.as_micros() as f64 / ticks,
            (after.wide_encodes - before.wide_encodes) as f64 / ticks,
            (after.distinct_mixes - before.distinct_mixes) as f64 / ticks,
            (after.decodes - before.decodes) as f64 / ticks,
        );
    }
}
