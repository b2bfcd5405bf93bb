//! Random histories of rooms, legs and taps: in no sample does a tap hear a source that the plan in force denies it.

mod common;

use std::collections::BTreeMap;

use common::{Member, exact, ms};
use media::sim::{PhoneSetup, Simulator, Voice};
use media::{BusId, Ear, LegId, Plan, PlanListener, PlanSource, RoomChange, RoomId, SourceRef, TapReader, TapSetup};

const LEGS: usize = 6;
const BUSES: u16 = 3;
/// Ticks after which a listener hears all it may: the jitter buffer, a handover, and what a widening withholds.
const SETTLED: u64 = 16;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn some<T: Copy>(&mut self, of: &[T], out_of: u64) -> Vec<T> {
        of.iter().copied().filter(|_| self.below(out_of) == 0).collect()
    }
}

/// A tap and what it may hear: in which ticks which legs, as bits.
struct Listener {
    reader: TapReader,
    /// The leg it is on, if any.
    leg: Option<usize>,
    /// From a tick on, up to another, these; where several are in doubt, any of them.
    may: Vec<(u64, u64, u32)>,
}

impl Listener {
    fn at(&self, tick: u64) -> u32 {
        self.may.iter().filter(|(from, to, _)| (*from..*to).contains(&tick)).fold(0, |all, (.., legs)| all | legs)
    }

    /// Since when it has been the same, if it is beyond doubt.
    fn since(&self, tick: u64) -> Option<u64> {
        let mut there = self.may.iter().filter(|(from, to, _)| (*from..*to).contains(&tick));
        let (from, ..) = there.next()?;
        there.next().is_none().then_some(*from)
    }

    /// From `applied` on it may hear `legs`; the change had been on its way since `sent`. The ticks of a leg's tap are the room's,
    /// give or take one.
    fn change(&mut self, sent: u64, applied: u64, legs: u32) {
        let Some((_, until, before)) = self.may.last_mut() else { return self.may.push((0, u64::MAX, legs)) };
        if *before == legs {
            return;
        }
        let doubt = u64::from(self.leg.is_some());
        *until = applied + doubt;
        self.may.push((sent.min(applied).saturating_sub(doubt), u64::MAX, legs));
    }
}

type Buses = Vec<Option<u16>>;
type Ears = BTreeMap<usize, Vec<u16>>;

struct World {
    sim: Simulator,
    members: Vec<Member>,
    rooms: Vec<RoomId>,
    /// By leg: its room.
    places: Vec<Option<usize>>,
    revisions: Vec<u64>,
    /// By room: legs on buses, and buses of listeners, as the last plan says.
    plans: Vec<(Buses, Ears)>,
    listeners: Vec<(usize, Listener)>,
    /// When a leg last changed its place: its sound pauses on the way.
    moved: u64,
    heard: u64,
    exact: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut sim = Simulator::new(media::MediaConfig { seed: Some(seed), ..exact(2) }).expect("a plane");
        let members: Vec<Member> = (0..LEGS)
            .map(|n| {
                let setup = PhoneSetup::linear(n as u8 + 1);
                let phone = sim.phone(setup);
                // A frame of concealment or of nothing is 0; anything else is a sum of these.
                sim.say(phone, Voice::Samples(vec![1 << n]));
                Member { phone, leg: sim.call(phone, None).expect("a leg") }
            })
            .collect();
        let rooms: Vec<RoomId> = (0..2).map(|shard| sim.plane().open_room_on(shard).expect("a room")).collect();
        let mut listeners = Vec::new();
        let mut add = |room: usize, leg: Option<usize>, setup: TapSetup| {
            let (_, reader) = sim.plane().open_tap(setup).expect("a tap");
            listeners.push((room, Listener { reader, leg, may: vec![(0, u64::MAX, 0)] }));
        };
        for (n, room) in rooms.iter().enumerate() {
            add(n, None, TapSetup { capacity: 500, ..TapSetup::room(*room) });
            add(n, None, TapSetup { capacity: 500, ..TapSetup::room(*room) });
        }
        for (n, member) in members.iter().enumerate() {
            add(usize::MAX, Some(n), TapSetup { capacity: 500, ..TapSetup::leg(member.leg) });
        }
        let plans = vec![(vec![None; LEGS], BTreeMap::new()); 2];
        Self {
            sim,
            members,
            rooms,
            places: vec![None; LEGS],
            revisions: vec![0; 2],
            plans,
            listeners,
            moved: 0,
            heard: 0,
            exact: 0,
        }
    }

    fn tick(&self) -> u64 {
        self.sim.now().as_millis() as u64 / 20
    }

    /// What a tap may hear as things are.
    fn allowed(&self, at: usize) -> u32 {
        let (room, listener) = &self.listeners[at];
        let room = match listener.leg {
            Some(leg) => match self.places[leg] {
                Some(room) => room,
                None => return 0,
            },
            None => *room,
        };
        let (buses, ears) = &self.plans[room];
        let Some(hears) = ears.get(&at) else { return 0 };
        (0..LEGS)
            .filter(|leg| self.places[*leg] == Some(room))
            .filter(|leg| buses[*leg].is_some_and(|bus| hears.contains(&bus)))
            .map(|leg| 1 << leg)
            .sum()
    }

    fn act(&mut self, random: &mut Random) {
        let room = random.below(2) as usize;
        let everyone: Vec<usize> = (0..LEGS).collect();
        let join = random.some(&everyone, 3);
        let leave: Vec<usize> = random.some(&everyone, 5).into_iter().filter(|leg| !join.contains(leg)).collect();
        let buses: Vec<Option<u16>> =
            (0..LEGS).map(|_| Some(random.below(u64::from(BUSES) + 1) as u16).filter(|b| *b < BUSES)).collect();
        let taps: Vec<usize> = (0..self.listeners.len()).collect();
        let mut ears = BTreeMap::new();
        for tap in taps {
            // Now and then a plan names a tap that has no business in this room.
            if random.below(4) > 0 {
                ears.insert(tap, random.some(&[0, 1, 2], 2));
            }
        }
        self.revisions[room] += 1;
        let leg = |n: usize| -> LegId { self.members[n].leg };
        let source = |(n, bus): (usize, &Option<u16>)| {
            bus.map(|bus| PlanSource { source: SourceRef::Leg(leg(n)), bus: BusId(bus), relay_digits: false })
        };
        let listener = |(tap, buses): (&usize, &Vec<u16>)| PlanListener {
            ear: Ear::Tap(self.listeners[*tap].1.reader.id()),
            buses: buses.iter().map(|bus| BusId(*bus)).collect(),
        };
        let plan = Plan {
            revision: self.revisions[room],
            buses: BUSES,
            sources: buses.iter().enumerate().filter_map(source).collect(),
            listeners: ears.iter().map(listener).collect(),
        };
        let change = RoomChange {
            plan,
            join: join.iter().map(|n| leg(*n)).collect(),
            leave: leave.iter().map(|n| leg(*n)).collect(),
            ..RoomChange::default()
        };
        let sent = self.tick();
        let pending = self.sim.plane().change_room(self.rooms[room], change);
        let applied = self.sim.wait(pending).expect("applied").tick;
        for n in join {
            if self.places[n].replace(room) != Some(room) {
                self.moved = applied;
            }
        }
        for n in leave {
            if self.places[n] == Some(room) {
                self.places[n] = None;
            }
        }
        self.plans[room] = (buses, ears);
        for at in 0..self.listeners.len() {
            let allowed = self.allowed(at);
            self.listeners[at].1.change(sent, applied, allowed);
        }
    }

    fn listen(&mut self, seed: u64) {
        for at in 0..self.listeners.len() {
            let (_, listener) = &mut self.listeners[at];
            while let Some(frame) = listener.reader.read() {
                let may = listener.at(frame.tick);
                let since = listener.since(frame.tick);
                for sample in frame.outbound {
                    let heard = u32::from(sample.cast_unsigned());
                    assert_eq!(heard & !may, 0, "seed {seed}, tap {at}, tick {}: {heard:b}, may {may:b}", frame.tick);
                    self.heard += u64::from(heard != 0);
                }
                if let Some(leg) = listener.leg {
                    assert!(frame.inbound.iter().all(|s| *s == 0 || *s == 1 << leg), "its own sound alone");
                }
                if since.is_some_and(|since| frame.tick > since.max(self.moved) + SETTLED) {
                    let full = frame.outbound.iter().all(|s| u32::from(s.cast_unsigned()) == may);
                    assert!(full, "seed {seed}, tap {at}, tick {}: {:b} of {may:b}", frame.tick, frame.outbound[80]);
                    self.exact += u64::from(may != 0);
                }
            }
            assert_eq!(listener.reader.lost(), 0);
        }
    }
}

#[test]
fn in_random_histories_no_tap_hears_a_sample_that_its_plan_denies_and_each_hears_all_it_allows() {
    let (mut heard, mut exact) = (0, 0);
    for seed in 1..=40u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::new(seed);
        world.sim.run(ms(500));
        for _ in 0..30 {
            world.act(&mut random);
            world.sim.run_ms([0, 7, 20, 60, 300, 700][random.below(6) as usize]);
            world.listen(seed);
        }
        heard += world.heard;
        exact += world.exact;
    }
    assert!(heard > 1_000_000 && exact > 10_000, "{heard} samples heard, {exact} settled frames");
}
