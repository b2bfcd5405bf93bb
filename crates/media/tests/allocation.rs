//! The tick neither allocates nor frees: an allocator that counts what happens inside sub-slots.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::sim::Stepped;
use media::{
    BusId, Carrier, Codec, Fact, Feed, LegSetup, LegUpdate, MediaConfig, Pending, PlanListener, PlanSource, Play,
    PlayChange, PlayId, PlayerChange, PlayerId, RoomChange, Sound, SourceRef, TapSetup,
};

struct Watching;

static INSIDE: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IN_SLOT: Cell<bool> = const { Cell::new(false) };
}

fn watch() {
    if IN_SLOT.with(Cell::get) {
        INSIDE.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        LIVE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        watch();
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

struct Bench {
    stepped: Stepped,
    phones: Vec<(UdpSocket, u16, u16)>,
    slot: u64,
}

impl Bench {
    /// A millisecond; every phone speaks at its own phase, and reads what it is sent.
    fn step(&mut self) {
        for (n, (socket, to, sequence)) in self.phones.iter_mut().enumerate() {
            if self.slot % 20 == n as u64 * 3 % 20 {
                let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n as u8];
                packet[2..4].copy_from_slice(&sequence.to_be_bytes());
                packet[4..8].copy_from_slice(&(u32::from(*sequence) * 160).to_be_bytes());
                packet.extend(std::iter::repeat_n(0x10 + n as u8 * 3, 160));
                if *sequence % 50 == 49 {
                    // A key is pressed.
                    packet[1] = 101;
                    packet.truncate(12);
                    packet.extend_from_slice(&[5, 0x80, 3, 0x20]);
                }
                *sequence += 1;
                let _ = socket.send_to(&packet, ("127.0.0.1", *to));
                if self.slot.is_multiple_of(200) {
                    let _ = socket.send_to(&[9; 40], ("127.0.0.1", *to));
                }
                let mut sink = [0; 512];
                while socket.recv(&mut sink).is_ok() {}
            }
        }
        self.stepped.step(|inside| IN_SLOT.with(|flag| flag.set(inside)));
        self.slot += 1;
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
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
}

#[test]
fn nothing_is_allocated_or_freed_inside_a_sub_slot() {
    let config = MediaConfig {
        bind: "127.0.0.1".parse().expect("ip"),
        ports: 41_000..=41_999,
        fact_capacity: 64,
        ..common::config(2)
    };
    let (plane, mut facts, stepped) = Stepped::new(config).expect("a plane");
    let mut bench = Bench { stepped, phones: Vec::new(), slot: 0 };
    let mut legs = Vec::new();
    let before = LIVE.load(Ordering::Relaxed);
    for n in 0..6u16 {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a phone");
        socket.set_nonblocking(true).expect("non-blocking");
        let ports = plane.reserve_ports().expect("ports");
        bench.phones.push((socket, ports.rtp_addr().port(), n));
        let remote = bench.phones[usize::from(n)].0.local_addr().expect("address");
        let carrier = Carrier::Rtp { ports, remote: Some(remote), remote_rtcp: None, signalling_source: remote.ip() };
        let setup = LegSetup {
            telephone_event: Some(101),
            shard: Some(n % 2),
            ..LegSetup::new(carrier, Codec::Pcmu.into(), 0)
        };
        legs.push(plane.add_leg(setup).expect("a leg"));
    }
    let per_leg = (LIVE.load(Ordering::Relaxed) - before) / 6;
    assert!(per_leg <= 48 << 10, "{per_leg} bytes per leg, its buffers included");
    bench.run(200);
    let rooms = [plane.open_room_on(0).expect("a room"), plane.open_room_on(1).expect("a room")];
    let sound = Sound::from_samples(&[3_000; 1_000]);
    let (mut played, mut tapped, mut fed) = (0, 0, 0);
    for round in 0..40u64 {
        // Everybody moves between the rooms and shards; rules, players and private players change with it.
        let room = rooms[(round % 2) as usize];
        let sources: Vec<_> = legs.iter().map(|leg| (*leg, u16::from(leg.as_u64() % 3 == 0))).collect();
        let listeners: Vec<(_, &[u16])> =
            legs.iter().map(|leg| (*leg, &[0u16, 1][..1 + (round % 2) as usize])).collect();
        let mut plan = common::plan(round + 1, 3, &sources, &listeners);
        for source in &mut plan.sources {
            source.relay_digits = round % 3 == 0;
        }
        plan.sources.push(PlanSource { source: SourceRef::Player(PlayerId(1)), bus: BusId(0), relay_digits: false });
        // Taps on a room and on a leg, that live for this round or end in it with a full ring.
        let taps: Vec<_> = [TapSetup::room(room), TapSetup::leg(legs[4]), TapSetup::leg(legs[5])]
            .into_iter()
            .map(|setup| plane.open_tap(TapSetup { capacity: 8, ..setup }).expect("a tap"))
            .collect();
        for (tap, _) in &taps {
            plan.listeners.push(PlanListener { ear: (*tap).into(), buses: vec![BusId(0), BusId(1)] });
        }
        // Feeds: one whose writer goes first, one that is replaced while it has sound, one of the room.
        let ((first, mut a), (second, mut b), (third, mut c)) = (Feed::new(800), Feed::new(800), Feed::new(800));
        for writer in [&mut a, &mut b, &mut c] {
            assert_eq!(writer.push(&[500; 700]), 700);
        }
        plan.sources.push(PlanSource { source: SourceRef::Player(PlayerId(2)), bus: BusId(1), relay_digits: false });
        let play = |id| Play { gain_db: -3.0, ..Play::once(PlayId(id), sound.clone()) };
        let change = RoomChange {
            plan,
            join: legs.clone(),
            leave: Vec::new(),
            plays: vec![(legs[0], PlayChange::Start(play(round)))],
            players: vec![
                (PlayerId(1), PlayerChange::Start(play(0))),
                (PlayerId(2), PlayerChange::Start(Play::once(PlayId(0), third))),
            ],
        };
        bench.wait(plane.change_room(room, change));
        bench.wait(plane.play(legs[1], play(round)));
        bench.wait(plane.play_on(legs[1], 1, Play::once(PlayId(1_000 + round), first)));
        bench.wait(plane.play_on(legs[4], 2, Play::once(PlayId(2_000 + round), second).hidden()));
        bench.wait(plane.play_on(legs[4], 7, play(3_000 + round)));
        bench.wait(plane.send_digits(legs[2], "1"));
        bench.wait(
            plane.update_leg(legs[3], LegUpdate { format: Some((Codec::Pcma.into(), 0)), ..LegUpdate::default() }),
        );
        bench.wait(
            plane.update_leg(legs[3], LegUpdate { format: Some((Codec::Pcmu.into(), 0)), ..LegUpdate::default() }),
        );
        bench.wait(plane.leg_stats(legs[4]));
        bench.run(100);
        b.clear();
        drop(a);
        bench.run(200);
        bench.wait(plane.stop_lane(legs[4], 2, None));
        fed += b.position() + c.played();
        drop((b, c));
        for (n, (tap, mut reader)) in taps.into_iter().enumerate() {
            if n == 1 {
                bench.wait(plane.close_tap(tap));
            }
            tapped += std::iter::from_fn(|| reader.read()).filter(|f| f.outbound != [0; 160]).count();
            assert!(n == 2 || reader.lost() > 0, "a full ring");
        }
        while let Ok(fact) = facts.try_recv() {
            played += u64::from(matches!(fact, Fact::PlayEnded { completed: true, .. }));
        }
    }
    bench.wait(plane.stop_play(legs[1], None));
    bench.wait(plane.close_room(rooms[0]));
    let removed: Vec<u64> = legs.iter().map(|leg| bench.wait(plane.remove_leg(*leg)).packets_received).collect();
    bench.run(50);
    let metrics = plane.metrics();
    let total = |read: fn(&media::ShardMetrics) -> u64| metrics.shards.iter().map(read).sum::<u64>();
    assert!(total(|s| s.slots) > 20_000 && total(|s| s.room_ticks) > 300);
    assert!(removed.iter().all(|n| *n > 300), "sound came in: {removed:?}");
    assert!(total(|s| s.encodes) > 1_000 && metrics.handovers > 100, "{metrics:?}");
    assert!(played > 120, "players ended: {played}");
    assert!(tapped > 200 && fed == 40 * 1_400, "taps heard {tapped} frames, {fed} samples fed");
    assert_eq!(INSIDE.load(Ordering::Relaxed), 0, "allocations and frees inside sub-slots");
    // The watch itself works.
    IN_SLOT.with(|flag| flag.set(true));
    drop(std::hint::black_box(Box::new(Duration::ZERO)));
    IN_SLOT.with(|flag| flag.set(false));
    assert_eq!(INSIDE.load(Ordering::Relaxed), 2);
}
