//! A shard: the sans-IO core of one media thread. Time and network are arguments; everything it needs is allocated at its
//! start or arrives in boxes, and every box goes back up to be freed.

mod apply;
pub(crate) mod command;
pub(crate) mod mix;
pub(crate) mod plan_state;
pub(crate) mod room;
pub(crate) mod slab;
pub(crate) mod wheel;
pub(crate) mod wide;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use command::{Command, Up};
use mix::Scratch;
use room::Room;
use slab::Slab;
use wheel::Wheel;

use crate::config::MediaConfig;
use crate::fact::Note;
use crate::id::Key;
use crate::leg::wide::Silence;
use crate::leg::{Context, DATAGRAM, Home, Leg, Limits};
use crate::metrics::Counters;
use crate::net::Net;
use crate::net::os::fetch_ahead;
use crate::sim::Probe;
use crate::{LegId, MediaError};

pub(crate) use wheel::SLOTS;

/// Players a room holds at most.
pub(crate) const MAX_PLAYERS: usize = 16;
/// Commands taken per sub-slot at most.
const COMMANDS_PER_SLOT: u32 = 256;
/// Places on the way up that a command, a finished sound and a fault may need.
const UP_RESERVE: usize = 4;
/// Seats of a room that are fetched before its turn comes.
const SMALL: usize = 8;
/// How much later an idle shard looks for commands, ms.
const IDLE_SLOTS: u64 = 5;

/// Buses a room may have under this configuration.
pub(crate) fn max_buses(config: &MediaConfig) -> usize {
    config.max_members_per_room + MAX_PLAYERS
}

/// One shard.
pub(crate) struct ShardCore {
    id: u16,
    kit: Kit,
    legs: Slab<Leg>,
    rooms: Slab<Room>,
    wheel: Wheel,
    scratch: Scratch,
    /// The sub-slot to run next.
    next: u64,
    commands: rtrb::Consumer<Command>,
    up: rtrb::Producer<Up>,
    faults: Vec<Fault>,
}

/// What a shard lends to a leg for a tick.
struct Kit {
    utc_zero: i64,
    limits: Limits,
    arrivals: u64,
    counters: Arc<Counters>,
    buffer: Box<[u8; DATAGRAM]>,
    notes: rtrb::Producer<Note>,
    serials: u64,
    silence: Silence,
    probe: Option<Box<Probe>>,
}

impl Kit {
    fn context(&mut self, now: Duration, slot: u64) -> Context<'_> {
        Context {
            now,
            slot,
            utc_zero: self.utc_zero,
            arrivals: &mut self.arrivals,
            counters: &self.counters,
            buffer: &mut self.buffer[..],
            notes: &mut self.notes,
            limits: self.limits,
            serials: &mut self.serials,
            silence: &self.silence,
            probe: self.probe.as_deref_mut(),
        }
    }
}

/// A fault that still has to be told.
enum Fault {
    Room(Box<Room>, Box<dyn Any + Send>),
    Leg(LegId, Box<dyn Any + Send>),
}

/// The control side's ends of a shard's rings.
pub(crate) struct ShardEnds {
    pub commands: rtrb::Producer<Command>,
    pub up: rtrb::Consumer<Up>,
    pub notes: rtrb::Consumer<Note>,
    pub counters: Arc<Counters>,
}

impl ShardCore {
    /// A shard whose zero of time is at `utc_zero` (µs since 1970), and the ends that drive it.
    ///
    /// # Errors
    /// libopus has no memory for a frame of silence.
    pub(crate) fn new(id: u16, config: &MediaConfig, utc_zero: i64) -> Result<(Self, ShardEnds), MediaError> {
        let (command_end, commands) = rtrb::RingBuffer::new(config.command_capacity);
        let (up, up_end) = rtrb::RingBuffer::new(config.command_capacity + UP_RESERVE * 4);
        let (notes, note_end) = rtrb::RingBuffer::new(config.fact_capacity);
        let counters = Arc::new(Counters::default());
        let core = Self {
            id,
            kit: Kit {
                utc_zero,
                limits: Limits::of(config),
                arrivals: 1,
                counters: counters.clone(),
                buffer: Box::new([0; DATAGRAM]),
                notes,
                serials: u64::from(id) << 48,
                silence: Silence::new()?,
                probe: None,
            },
            legs: Slab::new(config.max_legs_per_shard),
            rooms: Slab::new(config.max_rooms_per_shard),
            wheel: Wheel::new(config.max_rooms_per_shard, config.max_legs_per_shard),
            scratch: Scratch::new(config.max_members_per_room, max_buses(config)),
            next: 0,
            commands,
            up,
            faults: Vec::with_capacity(64),
        };
        Ok((core, ShardEnds { commands: command_end, up: up_end, notes: note_end, counters }))
    }

    /// Lets a simulator hear what is mixed and encoded.
    pub(crate) fn probe(&mut self) -> &mut Option<Box<Probe>> {
        &mut self.kit.probe
    }

    /// When the next sub-slot is due, since the zero of time. An idle shard looks up less often.
    pub(crate) fn deadline(&self) -> Duration {
        let wait = if self.wheel.is_empty() { IDLE_SLOTS } else { 0 };
        Duration::from_millis(self.next + wait)
    }

    /// Runs one sub-slot of 1 ms: commands, then the rooms and roomless legs that are due. `now` is monotonic since the zero of
    /// time. Called late it catches up one sub-slot per call; what is a whole tick late or more is skipped, never replayed.
    pub(crate) fn slot(&mut self, now: Duration, net: &mut impl Net) {
        let current = now.as_millis() as u64;
        if current < self.next {
            return;
        }
        if self.wheel.is_empty() {
            self.next = current;
        } else {
            let oldest = (current + 1).saturating_sub(SLOTS);
            self.kit.counters.skipped_slots.add(oldest.saturating_sub(self.next));
            self.next = self.next.max(oldest);
            self.kit.counters.late(now.saturating_sub(Duration::from_millis(self.next)));
        }
        let slot = self.next;
        self.next += 1;
        self.kit.counters.slots.one();
        net.begin_slot();
        self.take_commands(now, slot, net);
        self.tick_rooms(now, slot, net);
        self.tick_legs(now, slot, net);
        self.tell_faults();
    }

    fn take_commands(&mut self, now: Duration, slot: u64, net: &mut impl Net) {
        for _ in 0..COMMANDS_PER_SLOT {
            // A command is taken only if its box can go back.
            if self.up.slots() < UP_RESERVE {
                return;
            }
            let Ok(command) = self.commands.pop() else { return };
            self.obey(command, now, slot, net);
        }
    }

    fn tick_rooms(&mut self, now: Duration, slot: u64, net: &mut impl Net) {
        let place = (slot % SLOTS) as u8;
        let mut at = 0;
        while self.wheel.room_at(place, at).is_some() {
            self.look_ahead(place, at);
            // Where a room has ended, the last of the list now stands.
            at += usize::from(self.tick_room(place, at, now, slot, net));
        }
    }

    /// Brings the next rooms into the cache, step by step: what names where the next step lies was fetched one room ago.
    fn look_ahead(&self, place: u8, at: usize) {
        if let Some(room) = self.room_from(place, at + 4) {
            fetch_ahead(room, size_of::<Room>());
        }
        if let Some(room) = self.room_from(place, at + 3) {
            fetch_ahead(&*room.plan, size_of::<plan_state::Compiled>());
        }
        if let Some(room) = self.room_from(place, at + 2) {
            room.plan.fetch_ahead();
        }
        self.first_legs(place, at + 1).for_each(Leg::fetch_ahead);
        self.first_legs(place, at).for_each(Leg::fetch_samples);
    }

    /// A room of a sub-slot; after the last come those of the next.
    fn room_from(&self, place: u8, at: usize) -> Option<&Room> {
        let index = self.wheel.room_at(place, at).or_else(|| {
            let beyond = at.checked_sub(self.wheel.rooms_in(place))?;
            self.wheel.room_at((place + 1) % SLOTS as u8, beyond)
        })?;
        self.rooms.at(index)
    }

    /// The legs of a room, of a large one the first.
    fn first_legs(&self, place: u8, at: usize) -> impl Iterator<Item = &Leg> {
        let seats = self.room_from(place, at).into_iter().flat_map(|room| room.plan.seats.iter().take(SMALL));
        seats.filter_map(|seat| self.legs.get(seat.leg?))
    }

    /// Ticks one room; false if that ended it.
    fn tick_room(&mut self, place: u8, at: usize, now: Duration, slot: u64, net: &mut impl Net) -> bool {
        let Some(index) = self.wheel.room_at(place, at) else { return true };
        let Self { rooms, legs, scratch, up, kit, .. } = self;
        let Some(room) = rooms.at_mut(index) else { return true };
        kit.counters.room_ticks.one();
        let mut cx = kit.context(now, slot);
        let done = catch_unwind(AssertUnwindSafe(|| mix::tick(room, legs, scratch, net, &mut cx)));
        apply::finish_mutations(room);
        match done {
            Ok(()) => {
                for seat in &room.plan.seats {
                    if let Some(leg) = seat.leg.and_then(|k| legs.get_mut(k)) {
                        free_spent(leg, up);
                    }
                }
                true
            }
            Err(payload) => {
                let key = room.key;
                self.end_room(key, payload);
                false
            }
        }
    }

    fn tick_legs(&mut self, now: Duration, slot: u64, net: &mut impl Net) {
        let place = (slot % SLOTS) as u8;
        let mut at = 0;
        while let Some(index) = self.wheel.leg_at(place, at) {
            at += 1;
            if let Some(next) = self.wheel.leg_at(place, at).and_then(|index| self.legs.at(index)) {
                next.fetch_ahead();
            }
            let Some(leg) = self.legs.at_mut(index) else { continue };
            let mut cx = self.kit.context(now, slot);
            match catch_unwind(AssertUnwindSafe(|| leg.tick_alone(net, &mut cx))) {
                Ok(()) => free_spent(leg, &mut self.up),
                Err(payload) => {
                    leg.failed = true;
                    leg.home = Home::Nowhere;
                    let id = leg.id;
                    self.wheel.remove_leg(place, index);
                    self.wheel.add_load(place, -1);
                    self.kit.counters.leg_faults.one();
                    self.faults.push(Fault::Leg(id, payload));
                    // Here the last of the list now stands.
                    at -= 1;
                }
            }
        }
    }

    /// Ends a room whose tick failed: its legs live on without a room.
    fn end_room(&mut self, key: Key, payload: Box<dyn Any + Send>) {
        self.kit.counters.room_faults.one();
        self.scatter(key);
        if let Some(room) = self.rooms.take(key) {
            self.kit.counters.rooms.less(1);
            self.faults.push(Fault::Room(room, payload));
        }
    }

    fn tell_faults(&mut self) {
        while self.up.slots() > UP_RESERVE {
            let Some(fault) = self.faults.pop() else { return };
            let _ = self.up.push(match fault {
                Fault::Room(room, payload) => Up::RoomFailed { room, payload },
                Fault::Leg(leg, payload) => Up::LegFailed { leg, payload },
            });
        }
    }
}

/// Sends what has been played up to be freed.
fn free_spent(leg: &mut Leg, up: &mut rtrb::Producer<Up>) {
    if leg.has_spent()
        && up.slots() > UP_RESERVE
        && let Some(material) = leg.take_spent()
    {
        let _ = up.push(Up::Spent(material));
    }
}
